package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"holdfast/firmware/control"
)

// page writes for people: 80 columns, a state said by word and shape, colour only on a terminal. Names and reasons come
// from the network; they are cut to their place, and nothing in them reaches the terminal's own language.
type page struct {
	text   strings.Builder
	colour bool
	now    time.Time
	zone   *time.Location
}

const (
	columns   = 80
	callsSeen = 20  // of the running ones
	alarmLong = 400 // characters of one alarm
)

// signs of the modes: the same on the page, the panel and here.
var signs = map[string]string{"normal": "○", "resilience": "●", "drill": "◕", "recovering": "◐"}

func (p *page) status(s control.Status) {
	for _, e := range s.Emergencies {
		p.emergency(e)
	}
	p.mode(s.Mode)
	p.line("")
	p.line("Cloud")
	for _, z := range s.Zones {
		p.line("  %s %-14s %-5s %-8s %s", p.mark(z.Verdict == "up"), clip(z.Name, 14), clip(z.Kind, 5), clip(z.Verdict, 8), clip(z.Detail, 46))
	}
	p.line("Trunks")
	if len(s.Trunks) == 0 {
		p.line("  %s none: no call goes outside, 911 included", p.mark(false))
	}
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
		if i == callsSeen {
			p.line("  … and %d more (--json shows all)", len(s.Calls)-i)
			break
		}
		p.line("  %s %-20s → %-20s %-9s %s", p.mark(true), clip(c.From, 20), clip(c.To, 20), clip(c.State, 9), p.age(c.Began))
	}
	p.line("Site     %s", clip(s.Site.Name, 70))
	p.line("         document %d %s", s.Site.Serial, p.since(s.Site.Fetched))
	slot := ""
	if s.Update.Slot != "" {
		slot = ", slot " + clip(s.Update.Slot, 1)
	}
	p.line("Box      %s, version %s%s, up %s", clip(s.Name, 20), clip(s.Version, 24), slot, p.age(s.Started))
	p.update(s.Update)
	p.line("")
	if len(s.Alarms) == 0 {
		p.line("Nothing to do.")
	}
	for _, a := range s.Alarms {
		p.paragraph(p.paint("31", "▲")+" ", "  ", clip(a, alarmLong))
	}
}

// update is a line while the software changes, and nothing otherwise.
func (p *page) update(u control.Update) {
	switch u.State {
	case "writing":
		p.line("Update   is being written")
	case "trial":
		p.line("Update   slot %s is on trial: it is confirmed after a minute without a fault", clip(u.Slot, 1))
	case "waiting":
		what := "the restart is due"
		if len(u.Waits) > 0 {
			what = "the restart waits for " + strings.Join(u.Waits, ", ")
		}
		p.paragraph("Update   ", "         ", clip("slot "+u.Next+" is written; "+what, alarmLong))
	}
}

// emergency stands before all else: what somebody has to do now.
func (p *page) emergency(e control.Emergency) {
	state := "calling"
	switch {
	case e.State == "answered":
		state = "answered"
	case e.State == "ended":
		state = "the call has ended"
	}
	if e.Trunk != "" && e.State != "ended" {
		state += " on " + e.Trunk
	}
	p.line("%s  %s", p.paint("31", "▲ "+clip(e.Title, 44)), p.since(e.Began))
	p.paragraph("   ", "   ", clip(state, 60))
	for _, part := range []struct{ what, text string }{{"by ", e.Caller}, {"place: ", e.Place}, {"address given: ", e.Address}, {"callback number: ", e.Callback}} {
		if part.text != "" {
			p.paragraph("   ", "   ", clip(part.what+part.text, alarmLong))
		}
	}
	for _, a := range e.Alarms {
		p.paragraph("   "+p.paint("31", "▲")+" ", "     ", clip(a, alarmLong))
	}
	if e.Acknowledged != "" {
		p.paragraph("   ", "   ", clip("acknowledged by "+e.Acknowledged, alarmLong))
	} else {
		p.line("   not acknowledged yet: holdfast ack NAME")
	}
	p.line("")
}

func (p *page) mode(m control.Mode) {
	colour := "32"
	if m.Name != "normal" {
		colour = "33"
	}
	p.line("%s  %s", p.paint(colour, signs[m.Name]+" "+strings.ToUpper(clip(m.Name, 20))), p.since(m.Since))
	p.paragraph("   ", "   ", clip(m.Cause, alarmLong))
	if len(m.Users) > 0 {
		p.paragraph("   ", "   ", clip("for "+strings.Join(m.Users, ", "), alarmLong))
	}
	if !m.Until.IsZero() {
		p.line("   until %s at the latest", m.Until.In(p.zone).Format("15:04:05"))
	}
}

func (p *page) line(format string, args ...any) {
	p.text.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// paragraph breaks a text into lines; both indents are as wide.
func (p *page) paragraph(first, rest, s string) {
	width := columns - len(rest)
	indent, line := first, ""
	for _, word := range strings.Fields(s) {
		for r := []rune(word); ; r = r[width:] {
			word = string(r)
			if len(r) <= width {
				break
			}
			if line != "" {
				p.line("%s%s", indent, line)
				indent, line = rest, ""
			}
			p.line("%s%s", indent, string(r[:width]))
			indent = rest
		}
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			p.line("%s%s", indent, line)
			indent, line = rest, word
		}
	}
	if line != "" {
		p.line("%s%s", indent, line)
	}
}

func (p *page) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[1;" + code + "m" + s + "\x1b[0m"
}

func (p *page) mark(good bool) string {
	if good {
		return p.paint("32", "✓")
	}
	return p.paint("31", "✗")
}

// since is a time, absolute with the relative beside it.
func (p *page) since(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return fmt.Sprintf("since %s, %s", t.In(p.zone).Format("15:04 MST"), p.age(t))
}

func (p *page) age(t time.Time) string {
	d := max(0, p.now.Sub(t)) // the clock may have been set back
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

// clip cuts a text to n characters that can be printed.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return '?'
	}, s)
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
