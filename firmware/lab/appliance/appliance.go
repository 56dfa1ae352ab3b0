// Package appliance runs the real box: its binary in a process of its own, with a boot file, and asks it how it is.
//
// What is in the boot file is package branch's job.
package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Box is the box's process.
type Box struct {
	Binary   string // the holdfast program; it runs in the boot file's folder, but a relative name counts from the lab's
	BootFile string
	RunDir   string // run_dir of the boot file
	LogFile  string // gets what the box writes

	cmd    *exec.Cmd
	exited chan struct{}
	err    error
}

// stopWait is how long the box may take to end its work.
const stopWait = 5 * time.Second

// Check says whether the binary is there, and what to do when it is not.
func (b *Box) Check() error {
	st, err := os.Stat(b.Binary)
	if err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
		return nil
	}
	if err == nil {
		err = errors.New("not an executable file")
	}
	return fmt.Errorf("no box to run at %s: %w\nbuild it with: go build -o %s ./firmware/cmd/holdfast   (or name it with --box)", b.Binary, err, b.Binary)
}

// Start starts the process.
func (b *Box) Start() error {
	log, err := os.OpenFile(b.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("box log: %w", err)
	}
	defer log.Close()
	binary, err := filepath.Abs(b.Binary)
	if err != nil {
		return fmt.Errorf("start the box: %w", err)
	}
	b.cmd = exec.Command(binary, "run", "-c", b.BootFile)
	b.cmd.Dir = filepath.Dir(b.BootFile)
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // Ctrl-C is for the lab, which stops the box itself
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start the box: %w", err)
	}
	b.exited = make(chan struct{})
	go func() {
		b.err = b.cmd.Wait()
		close(b.exited)
	}()
	return nil
}

// PID is the process's id.
func (b *Box) PID() int { return b.cmd.Process.Pid }

// Exited is closed when the process has ended; Err says how.
func (b *Box) Exited() <-chan struct{} { return b.exited }

// Err says how the process ended, with the last lines that it wrote.
func (b *Box) Err() error {
	return fmt.Errorf("the box ended: %v; its last words:\n%s", b.err, b.LastWords(8))
}

// Stop ends the process: SIGTERM, then SIGKILL. It returns an error when the box did not end by itself and cleanly.
func (b *Box) Stop() error {
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	select {
	case <-b.exited:
		return b.Err()
	default:
	}
	b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
		if b.err != nil {
			return b.Err()
		}
		return nil
	case <-time.After(stopWait):
		b.cmd.Process.Kill()
		<-b.exited
		return fmt.Errorf("the box did not end within %v of SIGTERM", stopWait)
	}
}

// Kill ends the process as a fault in it would, without a last word; Start then begins its next life.
func (b *Box) Kill() {
	b.cmd.Process.Kill()
	<-b.exited
}

// LastWords are the last lines of the log.
func (b *Box) LastWords(n int) string {
	data, err := os.ReadFile(b.LogFile)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Status is what `holdfast status --json` says, as far as the lab looks.
type Status struct {
	Mode     string
	Since    time.Time // of the mode; zero when the box does not say
	Calls    int       // that run
	Sessions int       // of media
}

// StatusCommand is the command line that asks the box.
func (b *Box) StatusCommand() []string {
	return []string{b.Binary, "status", "--socket", filepath.Join(b.RunDir, "holdfast.sock")}
}

// Status asks the box.
func (b *Box) Status(ctx context.Context) (Status, error) {
	select {
	case <-b.exited:
		return Status{}, b.Err()
	default:
	}
	ctx, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	args := append(b.StatusCommand(), "--json")
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if len(out) == 0 && err != nil { // the exit code speaks about the box's state too: what was printed counts
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return Status{}, fmt.Errorf("status: %w", err)
	}
	return parseStatus(out)
}

// parseStatus reads what the lab needs and no more.
func parseStatus(out []byte) (Status, error) {
	var raw struct {
		Mode struct {
			Name  string    `json:"name"`
			Since time.Time `json:"since"`
		} `json:"mode"`
		Calls []json.RawMessage `json:"calls"`
		Media struct {
			Sessions int `json:"sessions"`
		} `json:"media"`
	}
	if err := json.Unmarshal(out, &raw); err != nil {
		return Status{}, fmt.Errorf("status: %w", err)
	}
	s := Status{Mode: raw.Mode.Name, Since: raw.Mode.Since, Calls: len(raw.Calls), Sessions: raw.Media.Sessions}
	if s.Mode == "" {
		return s, fmt.Errorf("status: no mode in %.200s", out)
	}
	return s, nil
}

// WaitMode asks until the box is in one of the modes, and returns which and since when, by the box's own word if it gives one.
func (b *Box) WaitMode(ctx context.Context, modes ...string) (string, time.Time, error) {
	var last Status
	var lastErr error
	for {
		if last, lastErr = b.Status(ctx); lastErr == nil {
			for _, m := range modes {
				if last.Mode == m {
					at := time.Now()
					if !last.Since.IsZero() && last.Since.Before(at) {
						at = last.Since
					}
					return m, at, nil
				}
			}
		}
		select {
		case <-b.exited:
			return "", time.Time{}, b.Err()
		case <-ctx.Done():
			return last.Mode, time.Time{}, fmt.Errorf("the box's mode is %q, not %v (%v): %w", last.Mode, modes, lastErr, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
