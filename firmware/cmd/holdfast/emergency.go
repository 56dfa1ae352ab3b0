package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/sip/site"
)

// The ways of `holdfast emergency`; each subcommand has flags of its own.
const (
	wayLog    = "emergency log [-n 20] [--json]"
	wayDrill  = "emergency drill [--number 933] [--callback] USER"
	wayTested = "emergency tested"
)

// emergencyCommand shows the records of emergency calls, or makes a test call.
func emergencyCommand(ctx context.Context, args []string, out io.Writer) error {
	w := ways{wayLog, wayDrill, wayTested}
	what, args, ok := subcommand(args, "log", "drill", "tested")
	switch {
	case !ok:
		return w.say()
	case what == "drill":
		return emergencyDrill(ctx, args, out)
	case what == "log":
		return emergencyLog(ctx, args, out)
	case what == "tested":
		return emergencyTested(ctx, args, out)
	}
	return parse(flags("emergency", w...), args, out)
}

func emergencyLog(ctx context.Context, args []string, out io.Writer) error {
	f := flags("emergency log", wayLog)
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	n := f.Int("n", 20, "how many calls, the last ones")
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	if *n < 1 || *n > 1000 {
		return usageError("-n takes 1 to 1000")
	}
	list, err := control.NewClient(*socket).EmergencyLog(ctx, *n)
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(out, list)
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.log(list)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func (p *page) log(list []emergency.Emergency) {
	if len(list) == 0 {
		p.line("No emergency call is on record.")
	}
	for i, e := range list {
		if i > 0 {
			p.line("")
		}
		p.line("%s  %s", clip(e.Display(), 48), e.At.In(p.zone).Format("2006-01-02 15:04:05 MST"))
		p.line("  call %s", clip(e.ID, 70))
		for _, s := range e.Steps {
			p.paragraph("  "+s.At.In(p.zone).Format("15:04:05.000")+"  ", "                ", clip(sentence(s), alarmLong))
		}
	}
}

// emergencyTested lists from which phones the emergency path was tested, and when last.
func emergencyTested(ctx context.Context, args []string, out io.Writer) error {
	f := flags("emergency tested", wayTested)
	socket := socketFlag(f)
	if err := parseAll(f, args, out); err != nil {
		return err
	}
	list, err := control.NewClient(*socket).EmergencyLog(ctx, 1000)
	if err != nil {
		return err
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.tested(list)
	_, err = io.WriteString(out, p.text.String())
	return err
}

// tested shows the last test of each phone; records come with the oldest first.
func (p *page) tested(list []emergency.Emergency) {
	type phone struct{ user, device string }
	last := make(map[phone]emergency.Emergency)
	var order []phone
	for _, e := range list {
		if !e.Test {
			continue
		}
		k := phone{e.Caller.User, e.Caller.Device}
		if _, known := last[k]; !known {
			order = append(order, k)
		}
		last[k] = e
	}
	if len(order) == 0 {
		p.line("No phone's path was tested: dial the test number on it, or `holdfast emergency drill USER`.")
	}
	for _, k := range order {
		e := last[k]
		who := strings.TrimSpace(e.Caller.Name + " " + e.Caller.Number)
		if who == "" {
			who = "unknown phone at " + e.Caller.Source
		}
		p.line("%s %-32s %s  %s", p.mark(!e.Answered.IsZero()), clip(who, 32), e.At.In(p.zone).Format("2006-01-02 15:04"), clip(proven(e), 110))
	}
}

// proven is what a test has shown of a phone's path, and from which of a user's phones.
func proven(e emergency.Emergency) string {
	var parts []string
	if parts = append(parts, "not answered"); !e.Answered.IsZero() {
		parts[0] = "answered, shown as " + e.ELIN
	}
	told, back := "no notice rang", ""
	for _, s := range e.Steps {
		switch {
		case s.Kind == emergency.NoticeSeen:
			told = "notice taken"
		case s.Kind == emergency.NoticeRung && told != "notice taken":
			told = "notice rang"
		case s.Kind == emergency.CallbackAnswered:
			back = "called back"
		}
	}
	if parts = append(parts, told); back != "" {
		parts = append(parts, back)
	}
	if e.Caller.Device != "" {
		parts = append(parts, "from "+e.Caller.Device)
	}
	return strings.Join(parts, ", ")
}

// sentence is a step in words.
func sentence(s emergency.Step) string {
	var parts []string
	add := func(before, text string) {
		if text != "" {
			parts = append(parts, before+text)
		}
	}
	add("on ", s.Trunk)
	add("as ", s.ELIN)
	add("at ", s.Address)
	add("", s.Who)
	add("by ", s.How)
	if s.Status != 0 {
		add("status ", fmt.Sprint(s.Status))
	}
	add("", s.Text)
	name := strings.ReplaceAll(string(s.Kind), "-", " ")
	if len(parts) == 0 {
		return name
	}
	return name + ": " + strings.Join(parts, ", ")
}

// emergencyDrill makes a test call from a user's phone through the real trunk.
func emergencyDrill(ctx context.Context, args []string, out io.Writer) error {
	f := flags("emergency drill", wayDrill)
	socket := socketFlag(f)
	number := f.String("number", "", "the test number; without it the site's first, such as 933")
	callback := f.Bool("callback", false, "wait until somebody calls the number that was shown")
	by := f.String("by", loginName(), "who orders it")
	if err := parse(f, args, out); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return ways{wayDrill}.say()
	}
	// The box refuses too, by its site's numbers. Here it is every country's: nobody shall get as far as to ask.
	if site.EmergencyAnywhere(*number) {
		return usageError(*number + " is a real emergency number; a drill calls a test number only")
	}
	if strings.ContainsFunc(*number, func(r rune) bool { return r < '0' || r > '9' }) {
		return usageError("a test number has digits only")
	}
	p := page{zone: time.Local, colour: isTerminal(out)}
	err := control.NewClient(*socket).EmergencyDrill(ctx, control.EmergencyDrillOrder{User: f.Arg(0), Number: *number, By: *by, Callback: *callback}, func(s control.DrillStep) {
		detail := s.Detail
		if !s.OK && s.Fix != "" {
			detail += ". To do: " + s.Fix
		}
		p.paragraph(fmt.Sprintf("%s %-24s ", p.mark(s.OK), clip(s.Name, 24)), strings.Repeat(" ", 28), clip(detail, alarmLong))
		io.WriteString(out, p.text.String()) // as it comes
		p.text.Reset()
	})
	if err != nil {
		return fmt.Errorf("the drill did not pass: %w", err)
	}
	_, err = fmt.Fprintln(out, "Passed.")
	return err
}
