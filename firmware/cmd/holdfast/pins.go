package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"holdfast/firmware/control"
)

// pins shows which numbers lead back to which callers.
func pins(ctx context.Context, args []string, out io.Writer) error {
	f := flags("pins")
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	list, err := control.NewClient(*socket).Pins(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, list)
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.pins(list)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func (p *page) pins(list []control.Pin) {
	if len(list) == 0 {
		p.line("No number leads back to a caller: nobody called for help in the last two hours.")
		return
	}
	p.line("%-16s %-12s %-24s %s", "Callback number", "Trunk", "Caller", "Until")
	for _, x := range list {
		until := "the call runs"
		if !x.Running {
			until = x.Expires.In(p.zone).Format("15:04 MST") + ", " + p.in(x.Expires)
		}
		caller := x.Caller
		if x.Place != "" {
			caller += ", " + x.Place
		}
		if x.Test {
			caller = "TEST " + caller
		}
		p.line("%-16s %-12s %-24s %s", clip(x.ELIN, 16), clip(x.Trunk, 12), clip(caller, 24), until)
		if x.Main {
			p.line("  the trunk's main number: the place has none of its own")
		}
	}
}

// in is how long it is until t.
func (p *page) in(t time.Time) string {
	if !t.After(p.now) {
		return "now"
	}
	return "in " + (&page{now: t}).age(p.now)
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
