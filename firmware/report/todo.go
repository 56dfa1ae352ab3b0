package report

import (
	"fmt"
	"strings"
	"time"

	"holdfast/sip/site"
)

// Bounds of what is normal.
const (
	staleDocument = 48 * time.Hour
	poorLoss      = 0.02 // from about here on a call is hard to follow
	named         = 8    // names in one sentence
)

// toDo says what a person should do, the most urgent first. Nothing to do is an empty list.
func (r *Report) toDo(s *site.Site) {
	say := func(format string, args ...any) { r.ToDo = append(r.ToDo, fmt.Sprintf(format, args...)) }
	for _, e := range r.Emergencies {
		if e.Test {
			continue
		}
		if e.Answered.IsZero() {
			say("%s was not answered by anybody: find out what became of the caller (%s).", e.Title, e.Caller)
		}
		if e.Acknowledged.IsZero() {
			say("%s was not acknowledged: find out who was told.", e.Title)
		}
		for _, c := range e.Callbacks {
			if c.Answered.IsZero() {
				say("A callback for %s at %s was not answered.", e.Title, c.At.In(s.Location()).Format("15:04 MST"))
			}
		}
	}
	if n := len(r.Phones.Missing); n > 0 {
		say("%d of %d users had no phone here: %s. Check that the box is the last server in these phones' settings and that they trust its certificate.",
			n, r.Phones.Expected, names(r.Phones.Missing))
	}
	if n := r.Calls.Missed; n > 0 {
		say("%d calls were missed: the list of calls says who wanted whom.", n)
	}
	for _, t := range r.Trunks {
		if !t.Ended {
			say("Trunk %s was down at the end (%s): ask whoever runs the SBC.", t.ID, t.Error)
		} else if !t.Began {
			say("Trunk %s was down at the beginning: calls outside may have failed.", t.ID)
		}
	}
	if r.Calls.WorstLoss > poorLoss {
		say("A call lost %.1f %% of its packets: look at the branch's network.", 100*r.Calls.WorstLoss)
	}
	if age := time.Duration(r.Document.AgeS * float64(time.Second)); age > staleDocument {
		say("The site document was %d days old when it was needed: see why the portal brings none.", int(age.Hours()/24))
	}
	if r.Restarts > 0 {
		say("The box began anew %d times meanwhile: is its power supply sound?", r.Restarts)
	}
	if r.Lost > 0 {
		say("%d events found no room in this report.", r.Lost)
	}
}

func names(list []Phone) string {
	var out []string
	for i, p := range list {
		if i == named {
			out = append(out, fmt.Sprintf("and %d more", len(list)-named))
			break
		}
		out = append(out, strings.TrimSpace(p.Name+" "+p.Extension))
	}
	return strings.Join(out, ", ")
}
