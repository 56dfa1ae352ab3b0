package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"holdfast/firmware/record"
	"holdfast/sip/site"
)

func (r *Report) calls(events []event, last *Scene, s *site.Site) {
	r.Calls = Calls{Reasons: []Reason{}, List: []Call{}}
	c := &r.Calls
	reasons := make(map[int]*Reason)
	ended := make(map[string]bool)
	for _, e := range events {
		if e.Call == nil || ended[e.Call.ID] {
			continue
		}
		ended[e.Call.ID] = true
		x := judge(*e.Call)
		x.FromName, x.ToName = name(s, x.From), name(s, cmp.Or(x.To, x.Dialled))
		c.Total++
		switch x.Outcome {
		case Answered:
			c.Answered++
			c.TalkedS += seconds(x.Answer, x.End)
		case Missed:
			c.Missed++
		case Failed:
			c.Failed++
		case Rejected:
			c.Rejected++
			if reasons[x.Status] == nil {
				reasons[x.Status] = &Reason{Status: x.Status, Text: x.Why}
			}
			reasons[x.Status].Calls++
		}
		c.WorstLoss = max(c.WorstLoss, x.Loss)
		c.List = append(c.List, x)
	}
	for _, x := range reasons {
		c.Reasons = append(c.Reasons, *x)
	}
	slices.SortFunc(c.Reasons, func(a, b Reason) int { return cmp.Or(b.Calls-a.Calls, a.Status-b.Status) })
	slices.SortStableFunc(c.List, func(a, b Call) int { return a.Start.Compare(b.Start) })
	if last != nil {
		for _, id := range last.Running {
			if !ended[id] {
				c.Running++
			}
		}
	}
}

// judge says what became of a call.
func judge(c record.Call) Call {
	x := Call{Call: c}
	for _, l := range c.Legs {
		if n := l.RxPackets + l.RxLost; n > 0 {
			x.Loss = max(x.Loss, float64(l.RxLost)/float64(n))
		}
	}
	switch {
	case !c.Answer.IsZero():
		x.Outcome = Answered
	case c.Kind == "reject" || len(c.Legs) < 2:
		x.Outcome, x.Why = Rejected, rejected(c)
	case c.Direction == record.Inside || c.Direction == record.Inbound:
		x.Outcome, x.Why = Missed, unanswered(c)
	default:
		x.Outcome, x.Why = Failed, unanswered(c)
	}
	return x
}

// rejected is why nobody was rung.
func rejected(c record.Call) string {
	if c.EndCause == "cancelled" || c.EndCause == "caller lost" {
		return "the caller gave up before anybody was rung"
	}
	switch c.Status {
	case 404:
		return "nobody has this number"
	case 484:
		return "the number is not complete"
	case 403:
		return "the caller may not dial this"
	case 408, 480:
		return "nobody could be reached"
	case 482, 483:
		return "the call went in a circle"
	case 486, 600:
		return "busy"
	case 488, 606:
		return "no codec in common"
	case 503:
		return "no room, or no trunk"
	case 500, 502, 504:
		return "a fault in the box or the SBC"
	}
	return fmt.Sprintf("refused with status %d", c.Status)
}

// unanswered is why somebody who was rung did not talk.
func unanswered(c record.Call) string {
	switch {
	case c.EndCause == "cancelled" || c.EndCause == "caller lost":
		return "the caller gave up"
	case c.Status == 486 || c.Status == 600:
		return "busy"
	case c.Status == 603:
		return "declined"
	case c.Status == 408 || c.Status == 480 || c.Status == 487:
		return "no answer"
	case c.Status == 488 || c.Status == 606:
		return "no codec in common"
	case c.Status == 404 || c.Status == 604:
		return "nobody has this number"
	case c.Status == 503:
		return "no room, or no trunk"
	}
	return fmt.Sprintf("status %d", c.Status)
}

// name is whose number or ID this is, where the site knows it: "Ann Adams 1001".
func name(s *site.Site, number string) string {
	u, ok := s.UserByID(number)
	if !ok {
		u, ok = s.Lookup(number)
	}
	if !ok {
		return ""
	}
	return strings.TrimSpace(u.Name + " " + u.Extension)
}

// Parties are the caller and the called in words: who it was where the site knows, the number otherwise.
func (c *Call) Parties() (from, to string) {
	return cmp.Or(c.FromName, c.From, "unknown"), cmp.Or(c.ToName, c.Dialled, "unknown")
}
