// Command holdfast is the box: `holdfast run` serves a branch, the other commands look at a running box or at its files.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	_ "time/tzdata" // the board has no zone files; the site document names a zone
)

// Set by the linker (make build); buildTime in Unix seconds.
var version, commit, buildTime = "dev", "", ""

// command is one word of the command line.
type command struct {
	name, args, about string
	run               func(ctx context.Context, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{"run", "-c FILE", "serve the branch", run},
		{"check", "FILE…", "say what is wrong with a file, and the fix", check},
		{"status", "[--json]", "show mode, zones, trunks, phones and calls", status},
		{"panel", "[--json]", "show the box's lights, press its buttons", panelCommand},
		{"drill", "start|stop", "rehearse an outage, with a time limit", drill},
		{"ack", "NAME", "take note of emergency calls", ack},
		{"pins", "[--json]", "show whom a PSAP that calls back reaches", pins},
		{"emergency", "log|drill|tested", "show emergency calls; make a test call", emergencyCommand},
		{"report", "[list|show ID]", "tell what an outage or a drill was", reportCommand},
		{"doctor", "[-c FILE]", "say what is wrong here and what to do", doctorCommand},
		{"trace", "[CALL]", "show a call's SIP messages as a ladder", traceCommand},
		{"admin", "passwd|list…", "say who may use the admin page; tokens", adminCommand},
		{"site", "fetch|example…", "fetch the site document; print an example", siteCommand},
		{"cert", "show|request…", "show certificates, get new ones", certCommand},
		{"ports", "[-c FILE]", "list ports and flows, for a firewall", portsCommand},
		{"netcfg", "-c FILE", "change this machine's addresses and clock", netcfgCommand},
		{"update", "FILE|URL", "put a new version on the box", updateCommand},
		{"updater", "", "write the card for the box (root only)", updater},
		{"example", "", "print a commented boot file to begin with", example},
		{"version", "", "print the version", printVersion},
	}
}

// Exit statuses: 0 done, 1 it did not work, 2 the command line is wrong.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:], os.Stdout)
	stop()
	var usage usageError
	switch {
	case err == nil:
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "holdfast:", err)
		os.Exit(2)
	case errors.Is(err, fs.ErrPermission):
		fmt.Fprintf(os.Stderr, "holdfast: %v: run this as the box's user or as root\n", err)
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "holdfast:", err)
		os.Exit(1)
	}
}

type usageError string

func (u usageError) Error() string { return string(u) }

func dispatch(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 2 && args[0] == "help" {
		args = []string{args[1], "-h"}
	}
	switch {
	case len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help":
		help(out)
		return nil
	case args[0] == "-version" || args[0] == "--version":
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name == args[0] {
			err := c.run(ctx, args[1:], out)
			if errors.Is(err, flag.ErrHelp) { // it has been printed
				return nil
			}
			return err
		}
	}
	return usageError(fmt.Sprintf("there is no command %q; `holdfast help` lists them", args[0]))
}

func help(out io.Writer) {
	fmt.Fprintln(out, "holdfast keeps a branch's phones alive when the cloud phone system is gone.")
	fmt.Fprintln(out)
	for _, c := range commands() {
		fmt.Fprintf(out, "  holdfast %-9s %-16s %s\n", c.name, c.args, c.about)
	}
	fmt.Fprintln(out, "\n`holdfast COMMAND -h` tells more.\nExit status: 0 done, 1 it did not work, 2 wrong command line.")
}

func printVersion(_ context.Context, args []string, out io.Writer) error {
	if err := parseAll(flags("version"), args, out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "holdfast", versionText())
	return err
}

func versionText() string {
	if commit == "" {
		return version
	}
	return version + " (" + commit + ")"
}
