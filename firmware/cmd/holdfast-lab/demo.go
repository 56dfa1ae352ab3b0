package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/script"
)

// verdict is what --json prints.
type verdict struct {
	Demo    string           `json:"demo"` // PASS or FAIL
	Failed  []string         `json:"failed"`
	Skipped int              `json:"skipped"`
	Started time.Time        `json:"started"`
	Seconds float64          `json:"seconds"`
	Version string           `json:"version"`
	Files   string           `json:"files,omitempty"` // where the box's log and files are, when they were kept
	Steps   []script.Verdict `json:"steps"`
}

func runDemo(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	box := fs.String("box", besideMe("holdfast"), "")
	asJSON := fs.Bool("json", false, "")
	keep := fs.Bool("keep", false, "")
	dir := fs.String("dir", "", "")
	if err := fs.Parse(args); err != nil {
		return exitUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "holdfast-lab: %q is not expected here\n\n%s", fs.Arg(0), usage)
		return exitUsage
	}
	out := os.Stdout
	if *asJSON {
		out = os.Stderr
	}
	screen := script.NewScreen(out, isTerminal(out))
	fmt.Fprintf(out, "Holdfast demo: an outage at a branch with six phones, on this machine.\n\n")

	temporary := *dir == ""
	if temporary {
		made, err := os.MkdirTemp("", "holdfast-lab-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
			return exitUsage
		}
		*dir = made
	} else if err := os.MkdirAll(*dir, 0o700); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitUsage
	}
	v := verdict{Started: time.Now(), Version: version}
	b, err := branch.Start(*dir, *box)
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		if temporary {
			os.RemoveAll(*dir)
		}
		return exitUsage
	}
	v.Steps = script.Run(ctx, demo.Steps(b, screen), screen)
	if *keep && ctx.Err() == nil {
		screen.Table(v.Steps)
		stayUp(ctx, out, b)
	}
	v.Steps = append(v.Steps, closing(screen, b, len(v.Steps)+1))
	v.Failed, v.Skipped = script.Failed(v.Steps)
	v.Seconds, v.Demo = time.Since(v.Started).Seconds(), "PASS"
	if len(v.Failed)+v.Skipped > 0 {
		v.Demo = "FAIL"
	}
	if temporary && v.Demo == "PASS" {
		os.RemoveAll(*dir)
	} else {
		v.Files = *dir
	}
	return tell(out, screen, v, *asJSON)
}

// closing is the last step: the box ends when it is asked to.
func closing(screen *script.Screen, b *branch.Branch, number int) script.Verdict {
	return script.Run(context.Background(), []script.Step{{
		Name: "Everything ends when asked to", Want: "the box leaves with status 0 on SIGTERM",
		Do: func(context.Context, *script.Notes) error { return b.Close() },
	}}, numbered{screen, number})[0]
}

// numbered shows a step under another number than that of its own script.
type numbered struct {
	*script.Screen
	n int
}

// Begin implements script.Watcher.
func (w numbered) Begin(_, _ int, s script.Step) { w.Screen.Begin(w.n, w.n, s) }

// tell prints the verdict.
func tell(out io.Writer, screen *script.Screen, v verdict, asJSON bool) int {
	screen.Table(v.Steps)
	fmt.Fprintf(out, "%d of %d steps as expected, %d failed, %d skipped, %.0f s\n",
		len(v.Steps)-len(v.Failed)-v.Skipped, len(v.Steps), len(v.Failed), v.Skipped, v.Seconds)
	if v.Files != "" {
		fmt.Fprintf(out, "The box's log and files: %s\n", v.Files)
	}
	switch {
	case v.Demo == "PASS":
		fmt.Fprintln(out, "demo: PASS")
	case len(v.Failed) == 0:
		fmt.Fprintln(out, "demo: FAIL: interrupted")
	default:
		fmt.Fprintln(out, "demo: FAIL: "+strings.Join(v.Failed, "; "))
	}
	if asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
			return exitFailed
		}
	}
	if v.Demo != "PASS" {
		return exitFailed
	}
	return 0
}

func besideMe(name string) string {
	me, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(me), name)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}
