package notice

import (
	"strings"
	"time"

	"holdfast/firmware/emergency"
)

// warnings is what went so wrong with a call that people must know: they may be the only ones who can help.
func warnings(e emergency.Emergency) (out []string) {
	noTrunk, lost := false, false
	for _, s := range e.Steps {
		switch {
		case s.Kind == emergency.NoTrunk && !noTrunk:
			noTrunk = true
			out = append(out, "The call did not get out: call for help from another phone.")
		case s.Kind == emergency.Restart && s.How == "" && !e.Open() && !lost:
			lost = true
			out = append(out, "The call was cut off.")
		}
	}
	return out
}

// Text is the notice in words, short enough to read aloud: that somebody called for help, from where, the address that
// the PSAP was given, and the number under which the PSAP calls back.
func Text(e emergency.Emergency, at *time.Location) string {
	var b strings.Builder
	b.WriteString(e.Display())
	b.WriteString(" called at " + e.At.In(at).Format("15:04 MST"))
	var who []string
	for _, s := range []string{e.Caller.Name, e.Caller.Number} {
		if s != "" {
			who = append(who, s)
		}
	}
	if len(who) > 0 {
		b.WriteString(" by " + strings.Join(who, ", "))
	}
	b.WriteString(".")
	for _, w := range warnings(e) {
		b.WriteString(" " + w)
	}
	if e.Place != "" {
		b.WriteString(" Place: " + e.Place + ".")
	}
	if e.Address != "" {
		b.WriteString(" Address given: " + e.Address + ".")
	}
	if e.ELIN != "" {
		b.WriteString(" Callback number: " + e.ELIN + ".")
	}
	if e.Test {
		b.WriteString(" This is a test: nobody outside was told.")
	}
	b.WriteString(" To acknowledge, take the ringing call and press 1.")
	return b.String()
}
