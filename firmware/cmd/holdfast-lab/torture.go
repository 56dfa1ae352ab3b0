package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/torture"
)

// runTorture sends the messages of RFC 4475 and RFC 5118 to a box whose cloud is gone.
func runTorture(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("torture", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	box := fs.String("box", besideMe("holdfast"), "")
	asJSON := fs.Bool("json", false, "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		return exitUsage
	}
	out := io.Writer(os.Stdout)
	if *asJSON {
		out = os.Stderr
	}
	all, err := torment(ctx, *box, func(r torture.Result) { fmt.Fprintln(out, r) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
	}
	if *asJSON {
		if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
			return exitFailed
		}
	}
	right := torture.Count(all)
	fmt.Fprintf(out, "torture: %d of %d\n", right, torture.Messages())
	if right <= torture.Others || err != nil {
		return exitFailed
	}
	return 0
}

// torment starts a branch, cuts its cloud, waits until the box serves, and sends everything.
func torment(ctx context.Context, box string, told func(torture.Result)) ([]torture.Result, error) {
	dir, err := os.MkdirTemp("", "holdfast-lab-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := branch.Start(dir, box)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := b.CutCloud(); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if mode, _, err := b.Box.WaitMode(wait, "resilience"); err != nil {
		return nil, fmt.Errorf("the box does not serve (mode %s): %w", mode, err)
	}
	addr, cfg := b.Door()
	return torture.Run(ctx, torture.Server{Addr: addr.String(), Domain: branch.Domain, TLS: cfg}, told)
}
