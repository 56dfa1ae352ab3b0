package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"holdfast/firmware/control"
)

// status shows the running box.
func status(ctx context.Context, args []string, out io.Writer) error {
	f := flags("status")
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	if err := parse(f, args); err != nil {
		return err
	}
	s, err := client(*socket).Status(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	p := page{out: out, colour: isTerminal(out), now: time.Now()}
	p.status(s)
	return nil
}

// page writes for people: 80 columns, a state said by word and shape, colour only on a terminal.
type page struct {
	out    io.Writer
	colour bool
	now    time.Time
}

// signs of the modes: the same on the page, the panel and here.
var signs = map[string]string{"normal": "○", "resilience": "●", "drill": "◕", "recovering": "◐"}

func (p page) status(s control.Status) {
	colour := "32"
	if s.Mode.Name != "normal" {
		colour = "33"
	}
	p.line("%s  %s", p.paint(colour, signs[s.Mode.Name]+" "+strings.ToUpper(s.Mode.Name)), p.since(s.Mode.Since))
	p.line("   %s", s.Mode.Cause)
	if !s.Mode.Until.IsZero() {
		p.line("   until %s at the latest", s.Mode.Until.Format("15:04:05"))
	}
	p.line("")
	p.line("Cloud")
	for _, z := range s.Zones {
		p.line("  %s %-14s %-5s %-8s %s", p.mark(z.Verdict == "up"), clip(z.Name, 14), z.Kind, z.Verdict, clip(z.Detail, 42))
	}
	p.line("Trunks")
	for _, t := range s.Trunks {
		state, detail := "up", fmt.Sprintf("%.1f ms, %s", t.RTT, p.since(t.Since))
		if !t.Up {
			state, detail = "down", t.Error
		}
		p.line("  %s %-14s %-14s %s", p.mark(t.Up), clip(t.ID, 14), state, clip(detail, 46))
	}
	p.line("Phones   %d of %d users here, %d phones (%d out of reach)", s.Phones.Users, s.Phones.Expected, s.Phones.Bindings, s.Phones.Unreachable)
	p.line("Calls    %d", len(s.Calls))
	for i, c := range s.Calls {
		if i == 20 {
			p.line("  … and %d more (--json shows all)", len(s.Calls)-i)
			break
		}
		p.line("  %s %-20s → %-20s %-9s %s", p.mark(true), clip(c.From, 20), clip(c.To, 20), c.State, p.age(c.Began))
	}
	p.line("Site     %s, document %d, in force %s", clip(s.Site.Name, 30), s.Site.Serial, p.since(s.Site.Fetched))
	p.line("Box      %s, version %s, up %s", clip(s.Name, 20), s.Version, p.age(s.Started))
	p.line("")
	if len(s.Alarms) == 0 {
		p.line("Nothing to do.")
		return
	}
	for _, a := range s.Alarms {
		p.line("%s %s", p.paint("31", "▲"), a)
	}
}

func (p page) line(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

func (p page) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[1;" + code + "m" + s + "\x1b[0m"
}

func (p page) mark(good bool) string {
	if good {
		return p.paint("32", "✓")
	}
	return p.paint("31", "✗")
}

// since is a time, absolute with the relative beside it.
func (p page) since(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return fmt.Sprintf("since %s, %s", t.Local().Format("15:04 MST"), p.age(t))
}

func (p page) age(t time.Time) string {
	d := p.now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
