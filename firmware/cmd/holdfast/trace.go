package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"holdfast/firmware/control"
	"holdfast/sip/trace"
)

// traceCommand shows the signalling of a call, or which calls there is something of.
func traceCommand(ctx context.Context, args []string, out io.Writer) error {
	f := flags("trace", "trace", "trace CALL [--pcap FILE]")
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON, with the whole messages")
	file := f.String("pcap", "", "write a capture for Wireshark to this file instead")
	n := f.Int("n", 20, "how many calls are listed, the last ones")
	call := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' { // flags may stand behind the call
		call, args = args[0], args[1:]
	}
	if err := parse(f, args, out); err != nil {
		return err
	}
	if call == "" && f.NArg() == 1 {
		call = f.Arg(0)
	} else if f.NArg() > 0 {
		return usageError("name one call: holdfast trace [CALL] [--pcap FILE] [--json]")
	}
	c := control.NewClient(*socket)
	switch {
	case call == "" && *file != "":
		return usageError("--pcap takes a call too: `holdfast trace` lists them")
	case *n < 1 || *n > 10000:
		return usageError("-n takes 1 to 10000")
	case *file != "":
		return writeCapture(ctx, c, call, *file, out)
	case call == "":
		return listTraced(ctx, c, *n, *asJSON, out)
	}
	l, err := c.Ladder(ctx, call)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, l)
	}
	_, err = io.WriteString(out, l.Text(columns, time.Local))
	return err
}

func listTraced(ctx context.Context, c *control.Client, n int, asJSON bool, out io.Writer) error {
	list, err := c.TracedCalls(ctx, n)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, list)
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.traced(list)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func (p *page) traced(list []trace.Summary) {
	if len(list) == 0 {
		p.line("No call's messages are kept.")
		return
	}
	p.line("%-9s %-18s %-18s %-7s %4s  %s", "Began", "From", "To", "Status", "Msgs", "Call")
	for _, s := range list {
		status := "—"
		if s.Status > 0 {
			status = fmt.Sprint(s.Status)
		}
		p.line("%-9s %-18s %-18s %-7s %4d  %s", s.At.In(p.zone).Format("15:04:05"), clip(s.From, 18), clip(s.To, 18), status, s.Messages, clip(s.Call, 64))
	}
}

// writeCapture does not replace a file: it may be the capture of yesterday's trouble.
func writeCapture(ctx context.Context, c *control.Client, call, file string, out io.Writer) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	err = c.Capture(ctx, f, call)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(file)
		return err
	}
	_, err = fmt.Fprintf(out, "Written to %s. Secrets are overwritten; names and numbers are not: treat it as personal data.\n", file)
	return err
}
