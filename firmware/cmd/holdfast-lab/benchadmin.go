package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"holdfast/firmware/lab/load"
)

func runBenchAdmin(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("bench-admin", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	o := load.ViewerOptions{Out: os.Stdout}
	fs.StringVar(&o.Box, "box", besideMe("holdfast"), "")
	fs.IntVar(&o.Calls, "calls", 200, "")
	fs.IntVar(&o.Viewers, "viewers", 200, "")
	fs.IntVar(&o.Rounds, "rounds", 3, "")
	fs.DurationVar(&o.Span, "span", 15*time.Second, "")
	if err := fs.Parse(args); err != nil {
		return exitUsage
	}
	if fs.NArg() > 0 || o.Calls < 1 || o.Viewers < 1 || o.Rounds < 1 || o.Span < time.Second {
		fmt.Fprintf(os.Stderr, "holdfast-lab: bench-admin takes --calls, --viewers and --rounds of one or more, and a --span of a second or more\n\n%s", usage)
		return exitUsage
	}
	if err := load.Viewers(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitFailed
	}
	return 0
}
