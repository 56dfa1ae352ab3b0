package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"holdfast/firmware/lab/board"
	"holdfast/firmware/lab/script"
)

// inside says that the process is a lane: in its own network namespace, telling its parent on newsFile how it goes.
const (
	inside   = "HOLDFAST_LAB_INSIDE"
	newsFile = 3
)

// laneEnds is how long a lane has to end when it is told to.
const laneEnds = 20 * time.Second

// news is what a lane tells its parent, a line of JSON each.
type news struct {
	Begins  string          `json:"begins,omitempty"`
	Verdict *script.Verdict `json:"verdict,omitempty"`
	First   time.Duration   `json:"first,omitempty"` // from power to the first REGISTER
}

// teller tells of the steps.
type teller struct{ out *json.Encoder }

func (t teller) Begin(_, _ int, s script.Step)  { t.out.Encode(news{Begins: s.Name}) }
func (t teller) End(_, _ int, v script.Verdict) { t.out.Encode(news{Verdict: &v}) }

// runLane is the lane's own process.
func runLane(ctx context.Context, o board.Options) int {
	out := json.NewEncoder(os.NewFile(newsFile, "news"))
	verdicts, first, err := board.Run(ctx, o, teller{out})
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitUsage
	}
	out.Encode(news{First: first})
	if failed, skipped := script.Failed(verdicts); len(failed)+skipped > 0 {
		return exitFailed
	}
	return 0
}

// laneProcess runs this program in a new network namespace, which needs root and goes away with it. That steps failed is no error.
func laneProcess(ctx context.Context, args []string, hear func(news)) error {
	me, err := os.Executable()
	if err != nil {
		return err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	cmd := exec.CommandContext(ctx, me, args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{out}
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = laneEnds
	err = cmd.Start()
	out.Close()
	if err != nil {
		return fmt.Errorf("a network of its own (needs root): %w", err)
	}
	lines := json.NewDecoder(in)
	for {
		var n news
		if err := lines.Decode(&n); err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "holdfast-lab: news of a lane:", err)
			}
			break
		}
		hear(n)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitFailed {
		return nil
	}
	return err
}
