package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/report"
)

// reportCommand shows what an outage or a drill was.
func reportCommand(ctx context.Context, args []string, out io.Writer) error {
	w := ways{"report [--html FILE]", "report list", "report show ID [--html FILE]"}
	f := flags("report", w...)
	socket := socketFlag(f)
	asJSON := f.Bool("json", false, "print JSON")
	file := f.String("html", "", "write a page to this file instead, to look at and to print")
	what, rest, ok := subcommand(args, "list", "show")
	if !ok {
		rest = args
	}
	id := ""
	if what == "show" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		id, rest = rest[0], rest[1:]
	}
	if err := parse(f, rest, out); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return w.say()
	}
	c := control.NewClient(*socket)
	if what == "list" {
		return listReports(ctx, c, *asJSON, out)
	}
	r, err := c.Report(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case *file != "":
		return writePage(r, *file, out)
	case *asJSON:
		return printJSON(out, r)
	}
	p := page{now: time.Now(), zone: siteZone(r), colour: isTerminal(out)}
	p.report(r)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func siteZone(r *report.Report) *time.Location {
	if zone, err := time.LoadLocation(r.Site.TimeZone); err == nil {
		return zone
	}
	return time.Local
}

func writePage(r *report.Report, file string, out io.Writer) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	err = r.HTML(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Written to %s.\n", file)
	return err
}

func listReports(ctx context.Context, c *control.Client, asJSON bool, out io.Writer) error {
	list, err := c.Reports(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, list)
	}
	p := page{now: time.Now(), zone: time.Local, colour: isTerminal(out)}
	p.reports(list)
	_, err = io.WriteString(out, p.text.String())
	return err
}

func (p *page) reports(list []report.Summary) {
	if len(list) == 0 {
		p.line("There was no outage and no drill yet.")
		return
	}
	p.line("%-20s %-7s %-11s %-9s %-6s %-7s %s", "Report", "What", "Lasted", "Phones", "Calls", "Missed", "Emergency")
	for _, s := range list {
		lasted := (&page{now: s.Ended}).age(s.Began)
		p.line("%-20s %-7s %-11s %-9s %-6d %-7d %d", s.ID, s.Kind, lasted, fmt.Sprintf("%d of %d", s.Came, s.Expected), s.Calls, s.Missed, s.Emergencies)
	}
}

func (p *page) report(r *report.Report) {
	what, sign := "OUTAGE", signs["resilience"]
	if r.Kind == report.Drill {
		what, sign = "DRILL", signs["drill"]
	}
	p.line("%s %s  %s to %s, %s", sign, what, r.Began.In(p.zone).Format("2006-01-02 15:04:05"), r.Ended.In(p.zone).Format("15:04:05 MST"), (&page{now: r.Ended}).age(r.Began))
	p.line("  %s, report %s", clip(r.Site.Name, 40), r.ID)
	p.line("")
	if len(r.ToDo) == 0 {
		p.line("Nothing to do: everybody came, nobody was missed.")
	}
	for _, x := range r.ToDo {
		p.paragraph(p.paint("33", "→")+" ", "  ", clip(x, alarmLong))
	}
	p.line("")
	if r.Kind == report.Outage {
		p.line("Noticed    at most %.1f s after the cloud's last answer", r.Detection.Seconds)
	}
	p.line("Phones     %d of %d users, the first after %.1f s, the last after %.1f s", r.Phones.Came, r.Phones.Expected, r.Phones.FirstS, r.Phones.LastS)
	p.line("Calls      %d: %d answered, %d missed, %d not answered outside, %d refused", r.Calls.Total, r.Calls.Answered, r.Calls.Missed, r.Calls.Failed, r.Calls.Rejected)
	for _, x := range r.Calls.Reasons {
		p.line("             %4d × %d %s", x.Calls, x.Status, clip(x.Text, 50))
	}
	p.line("Document   %d, %s old", r.Document.Serial, (&page{now: r.Began}).age(r.Document.Fetched))
	for _, e := range r.Emergencies {
		p.line("")
		p.reportEmergency(e)
	}
	p.line("")
	for _, m := range r.TimeLine {
		text := m.Text
		if m.Detail != "" {
			text += ": " + m.Detail
		}
		p.paragraph("  "+m.At.In(p.zone).Format("15:04:05")+"  ", "            ", clip(text, alarmLong))
	}
	if missed := missedCalls(r); len(missed) > 0 {
		p.line("")
		p.line("Missed")
		for _, c := range missed {
			from, to := c.Parties()
			p.line("  %s  %-22s → %-22s %s", c.Start.In(p.zone).Format("15:04:05"), clip(from, 22), clip(to, 22), clip(c.Why, 20))
		}
	}
}

func (p *page) reportEmergency(e report.Emergency) {
	p.line("%s  %s", p.paint("31", "▲ "+clip(e.Title, 44)), e.At.In(p.zone).Format("15:04:05"))
	say := func(format string, args ...any) {
		p.paragraph("   ", "   ", clip(fmt.Sprintf(format, args...), alarmLong))
	}
	say("by %s, shown as %s on %s", e.Caller, e.ELIN, e.Trunk)
	if e.Answered.IsZero() {
		say("not answered")
	} else {
		say("answered after %.1f s", e.Answered.Sub(e.At).Seconds())
	}
	if e.Acknowledged.IsZero() {
		say("acknowledged by nobody")
	} else {
		say("acknowledged by %s at %s", e.By, e.Acknowledged.In(p.zone).Format("15:04:05"))
	}
	for _, c := range e.Callbacks {
		if c.Answered.IsZero() {
			say("callback at %s, not answered", c.At.In(p.zone).Format("15:04:05"))
		} else {
			say("callback at %s, answered by %s", c.At.In(p.zone).Format("15:04:05"), c.Who)
		}
	}
	for _, a := range e.Alarms {
		say("▲ %s", a)
	}
}

func missedCalls(r *report.Report) (out []report.Call) {
	for _, c := range r.Calls.List {
		if c.Outcome == report.Missed {
			out = append(out, c)
		}
	}
	return out
}
