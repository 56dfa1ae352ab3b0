package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"holdfast/firmware/lab/load"
)

// runBenchSIP compares the box with Kamailio.
func runBenchSIP(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("bench-sip", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage) }
	o := load.Options{Out: os.Stdout}
	fs.StringVar(&o.Box, "box", besideMe("holdfast"), "")
	fs.IntVar(&o.Phones, "phones", 5000, "")
	fs.IntVar(&o.Rounds, "rounds", 3, "")
	fs.IntVar(&o.Rate, "rate", 100, "")
	fs.StringVar(&o.Only, "only", "", "")
	fs.BoolVar(&o.Highest, "highest", true, "")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 || o.Phones < 4 || o.Phones > 50000 || o.Rounds < 1 || o.Rate < 1 {
		return exitUsage
	}
	if err := load.Compare(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "holdfast-lab:", err)
		return exitFailed
	}
	return 0
}
