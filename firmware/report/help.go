package report

import (
	"fmt"
	"strings"

	"holdfast/firmware/emergency"
	"holdfast/sip/site"
)

// emergencies takes the calls for help that began during the incident.
func (r *Report) emergencies(all []emergency.Emergency, s *site.Site) {
	r.Emergencies = []Emergency{}
	for _, e := range all {
		if e.At.Before(r.Began) || e.At.After(r.Ended) {
			continue
		}
		r.Emergencies = append(r.Emergencies, help(e, s))
	}
}

func help(e emergency.Emergency, s *site.Site) Emergency {
	x := Emergency{ID: e.ID, Title: e.Display(), Test: e.Test, At: e.At, Place: e.Place, Address: e.Address, ELIN: e.ELIN, Trunk: e.Trunk,
		Caller:   strings.Join(strings.Fields(strings.Join([]string{e.Caller.Name, e.Caller.Number}, " ")), " "),
		Answered: e.Answered, Ended: e.Ended, EndCause: e.EndCause, Refusals: []string{}, Callbacks: []Callback{}, Alarms: []string{}}
	if x.Caller == "" {
		x.Caller = "unknown phone at " + e.Caller.Source
	}
	if a := e.Acknowledged; a != nil {
		x.Acknowledged, x.By, x.How = a.At, a.By, a.How
	}
	for _, step := range e.Steps {
		switch step.Kind {
		case emergency.TrunkFailed:
			why := step.Text
			if step.Status != 0 {
				why = strings.TrimSpace(fmt.Sprintf("status %d %s", step.Status, step.Text))
			}
			x.Refusals = append(x.Refusals, step.Trunk+": "+why)
		case emergency.NoTrunk:
			x.Alarms = append(x.Alarms, "no trunk took the call")
		case emergency.Alarm, emergency.Restart:
			x.Alarms = append(x.Alarms, step.Text)
		case emergency.NoticeRung:
			if x.Rung.IsZero() {
				x.Rung = step.At
			}
		case emergency.NoticeSeen:
			if x.Seen.IsZero() {
				x.Seen, x.SeenBy = step.At, userName(s, step.Who)
			}
		case emergency.Callback:
			x.Callbacks = append(x.Callbacks, Callback{At: step.At, From: step.Text})
		case emergency.CallbackAnswered:
			if n := len(x.Callbacks); n > 0 {
				x.Callbacks[n-1].Answered, x.Callbacks[n-1].Who = step.At, userName(s, step.Who)
			}
		}
	}
	return x
}
