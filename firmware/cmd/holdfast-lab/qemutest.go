package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"

	"holdfast/firmware/lab/board"
	"holdfast/firmware/lab/script"
)

// inside says that the process is in its own network namespace already.
const inside = "HOLDFAST_LAB_INSIDE"

// runQEMUTest runs the story of the real image on an emulated board. It starts itself anew in a network namespace of its own.
func runQEMUTest(ctx context.Context, args []string) int {
	if os.Getenv(inside) == "" {
		return again()
	}
	fs := flag.NewFlagSet("qemu-test", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	o := board.Options{Seed: rand.Uint64()}
	fs.StringVar(&o.Image, "image", "dist/image/qemu-virt", "")
	fs.IntVar(&o.Cuts, "cuts", 3, "")
	fs.Uint64Var(&o.Seed, "seed", o.Seed, "")
	fs.StringVar(&o.Dir, "dir", "", "")
	fs.StringVar(&o.Only, "only", "", "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 || o.Cuts < 0 {
		return exitUsage
	}
	temporary := o.Dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "holdfast-board-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
			return exitUsage
		}
		o.Dir = dir
	}
	fmt.Printf("The card of %s in QEMU's virt machine, with software emulation; -seed %d\n\n", o.Image, o.Seed)
	screen := script.NewScreen(os.Stdout, isTerminal(os.Stdout))
	verdicts, first, err := board.Run(ctx, o, screen)
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitFailed
	}
	screen.Table(verdicts)
	failed, skipped := script.Failed(verdicts)
	bad := len(failed) + skipped
	if temporary && bad == 0 {
		os.RemoveAll(o.Dir)
	} else {
		fmt.Printf("Console, card and files: %s\n", o.Dir)
	}
	fmt.Printf("qemu-test: %d passed, %d failed; first REGISTER after %.1f s\n", len(verdicts)-bad, bad, first.Seconds())
	if bad > 0 {
		return exitFailed
	}
	return 0
}

// again runs this program in a new network namespace, which needs root and goes away with it.
func again() int {
	me, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitUsage
	}
	cmd := exec.Command(me, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "holdfast-lab: a network of its own (needs root):", err)
		return exitUsage
	}
	return 0
}
