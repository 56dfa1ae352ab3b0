package report

import (
	"fmt"
	"strings"

	"holdfast/firmware/emergency"
)

// emergencies takes the calls for help that began during the incident.
func (r *Report) emergencies(all []emergency.Emergency) {
	r.Emergencies = []Emergency{}
	for _, e := range all {
		if e.At.Before(r.Began) || e.At.After(r.Ended) {
			continue
		}
		r.Emergencies = append(r.Emergencies, help(e))
	}
}

func help(e emergency.Emergency) Emergency {
	x := Emergency{ID: e.ID, Title: e.Display(), Test: e.Test, At: e.At, Place: e.Place, Address: e.Address, ELIN: e.ELIN, Trunk: e.Trunk,
		Caller:   strings.Join(strings.Fields(strings.Join([]string{e.Caller.Name, e.Caller.Number}, " ")), " "),
		Answered: e.Answered, Ended: e.Ended, EndCause: e.EndCause, Refusals: []string{}, Callbacks: []Callback{}, Alarms: []string{}}
	if x.Caller == "" {
		x.Caller = "unknown phone at " + e.Caller.Source
	}
	if a := e.Acknowledged; a != nil {
		x.Acknowledged, x.By, x.How = a.At, a.By, a.How
	}
	for _, s := range e.Steps {
		switch s.Kind {
		case emergency.TrunkFailed:
			why := s.Text
			if s.Status != 0 {
				why = strings.TrimSpace(fmt.Sprintf("status %d %s", s.Status, s.Text))
			}
			x.Refusals = append(x.Refusals, s.Trunk+": "+why)
		case emergency.NoTrunk:
			x.Alarms = append(x.Alarms, "no trunk took the call")
		case emergency.Alarm, emergency.Restart:
			x.Alarms = append(x.Alarms, s.Text)
		case emergency.NoticeRung:
			if x.Rung.IsZero() {
				x.Rung = s.At
			}
		case emergency.NoticeSeen:
			if x.Seen.IsZero() {
				x.Seen, x.SeenBy = s.At, s.Who
			}
		case emergency.Callback:
			x.Callbacks = append(x.Callbacks, Callback{At: s.At, From: s.Text})
		case emergency.CallbackAnswered:
			if n := len(x.Callbacks); n > 0 {
				x.Callbacks[n-1].Answered, x.Callbacks[n-1].Who = s.At, s.Who
			}
		}
	}
	return x
}
