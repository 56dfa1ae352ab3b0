// Command holdfast-lab is a whole branch on one machine: a cloud with two zones, an SBC with a PSTN behind it, desk
// phones, and the real box in its own process. `holdfast-lab demo` tells the story of an outage with them.
//
// Everything is on loopback addresses (127.0.0.10 to 127.0.0.60) with throw-away certificates: nothing is installed, no
// privilege is needed, nothing leaves the machine. Linux only. `holdfast-lab qemu-test` is the exception: it makes a
// network namespace for itself, for which it needs root.
//
// Exit status: 0 all steps were as expected, 1 some were not, 2 the command line was wrong or the lab could not start.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Stamped in by the linker.
var (
	version = "dev"
	commit  = ""
)

const usage = `holdfast-lab: a whole branch on one machine

  holdfast-lab demo [--box FILE] [--json] [--keep] [--dir DIR]
                        the story of an outage, step by step (about a minute)
  holdfast-lab torture [--box FILE] [--json]
                        the messages of RFC 4475 and RFC 5118 against the box
  holdfast-lab bench-sip [--box FILE] [--phones 5000] [--rounds 3] [--rate 100] [--only holdfast|kamailio] [--highest=false]
                        registrations and calls against Kamailio and rtpengine, in turns
  holdfast-lab qemu-test [--image DIR] [--cuts 3] [--seed N] [--only life,mistakes,vlan,slots,updates,cuts,faults] [--dir DIR]
                        the real image on an emulated board, with power cuts; needs root and qemu-system-aarch64
  holdfast-lab bench-admin [--box FILE] [--calls 200] [--viewers 200] [--rounds 3] [--span 15s]
                        what people who look at the box's page cost it while calls run
  holdfast-lab version  what this is

  --box FILE   the box's program (default: holdfast beside this one)
  --json       a machine-readable verdict on standard output; the story goes to standard error
  --keep       leave everything running afterwards, and say how to talk to it
  --dir DIR    where the box's files go (default: a new temporary folder, removed when all was well)

Exit status: 0 as expected, 1 not, 2 could not start.
`

const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "demo":
		return runDemo(ctx, args[1:])
	case "torture":
		return runTorture(ctx, args[1:])
	case "bench-sip":
		return runBenchSIP(ctx, args[1:])
	case "qemu-test":
		return runQEMUTest(ctx, args[1:])
	case "bench-admin":
		return runBenchAdmin(ctx, args[1:])
	case "version":
		fmt.Println("holdfast-lab", version, commit)
		return 0
	case "help", "-h", "--help":
		fmt.Print(usage)
		return 0
	case "":
		fmt.Fprint(os.Stderr, usage)
	default:
		fmt.Fprintf(os.Stderr, "holdfast-lab: no command %q\n\n%s", command, usage)
	}
	return exitUsage
}
