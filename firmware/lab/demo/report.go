package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/script"
)

// told is what the lab reads of the report.
type told struct {
	ID, Kind     string
	Began, Ended time.Time
	Detection    struct {
		LastAnswer time.Time `json:"last_answer"`
		Noticed    time.Time
	}
	Recovery struct {
		FirstAnswer time.Time `json:"first_answer"`
		Recovering  time.Time
		Normal      time.Time
	}
	Phones struct {
		Expected, Came int
		Here           []struct {
			Extension string
			At        time.Time
		}
		Missing []struct{ Extension string }
	}
	Calls struct {
		Total, Answered, Missed, Failed, Rejected, Running int
		List                                               []struct {
			Status  int
			Outcome string
		}
		Reasons []struct{ Status, Calls int }
	}
	Emergencies []struct {
		ELIN, By     string
		Test         bool
		At, Answered time.Time
		Acknowledged time.Time
		Callbacks    []struct {
			From     string
			Answered time.Time
		}
	}
}

// report compares the box's report of the outage with what the lab knows to have happened.
func (s *story) report(ctx context.Context, n *script.Notes) error {
	var r told
	if err := poll(ctx, func() error {
		out, err := exec.CommandContext(ctx, s.Box.Binary, "report", "--json", "--socket", filepath.Join(s.Box.RunDir, "holdfast.sock")).Output()
		if err != nil {
			return fmt.Errorf("holdfast report: %w", err)
		}
		return json.Unmarshal(out, &r)
	}); err != nil {
		return err
	}
	n.Saw("%s: %d of %d users, %d calls, %d for help", r.ID, r.Phones.Came, r.Phones.Expected, r.Calls.Total, len(r.Emergencies))
	return errors.Join(s.reportedTimes(r), s.reportedPhones(ctx, r), s.reportedCalls(r), s.reportedHelp(r))
}

// reportedTimes: the cut and the mending lie where the report has them.
func (s *story) reportedTimes(r told) error {
	// A probe that was under way at the cut may have been sent before it; the box's times are those of sending.
	const probe = 2 * time.Second
	order := []struct {
		what string
		at   time.Time
	}{
		{"the cloud's last answer", r.Detection.LastAnswer}, {"the cut", s.cut}, {"noticed", r.Detection.Noticed}, {"mended", s.mended},
		{"the first answer", r.Recovery.FirstAnswer.Add(probe)}, {"normal", r.Recovery.Normal.Add(probe)}, {"now", time.Now().Add(probe)},
	}
	for i := 1; i < len(order); i++ {
		if order[i].at.Before(order[i-1].at) {
			return fmt.Errorf("report: %s (%v) is before %s (%v)", order[i].what, order[i].at, order[i-1].what, order[i-1].at)
		}
	}
	if r.Kind != "outage" || !r.Began.Equal(r.Detection.Noticed) || !r.Ended.Equal(r.Recovery.Normal) || r.Recovery.Recovering.Before(r.Recovery.FirstAnswer) {
		return fmt.Errorf("report: %s from %v to %v", r.Kind, r.Began, r.Ended)
	}
	return nil
}

// reportedPhones: everybody came, after the cut and before the lab's phones knew it.
func (s *story) reportedPhones(ctx context.Context, r told) error {
	if r.Phones.Expected != len(s.People) || r.Phones.Came != len(s.arrived) || len(r.Phones.Missing) != 0 {
		return fmt.Errorf("report: %d of %d users, missing %v; %d of %d came", r.Phones.Came, r.Phones.Expected, r.Phones.Missing, len(s.arrived), len(s.People))
	}
	for _, p := range r.Phones.Here {
		at, ok := s.arrived[p.Extension]
		if !ok || p.At.Before(s.cut) || p.At.After(at) {
			return fmt.Errorf("report: %s registered at %v, the phone says %v", p.Extension, p.At, at)
		}
	}
	return ctx.Err()
}

// reportedCalls: as many as the phones and the SBC made since the cut, with the same outcomes.
func (s *story) reportedCalls(r told) error {
	made, answered := 0, 0
	reasons := map[int]int{}
	count := func(status int) {
		made++
		switch {
		case status == 200:
			answered++
		case status == 404 || status == 484:
			reasons[status]++
		}
	}
	for _, p := range s.People {
		for _, c := range p.Phone.Calls() {
			if c.Outgoing() {
				count(c.Status())
			}
		}
	}
	for _, c := range s.SBC.Calls() {
		if c.Outgoing() {
			count(c.Status())
		}
	}
	c := r.Calls
	if c.Total != made || c.Answered != answered || c.Total != c.Answered+c.Missed+c.Failed+c.Rejected || len(c.List) != made || c.Running != 0 {
		return fmt.Errorf("report: %d calls, %d answered, %d missed, %d failed, %d rejected; the lab made %d, of which %d were answered",
			c.Total, c.Answered, c.Missed, c.Failed, c.Rejected, made, answered)
	}
	told := map[int]int{}
	for _, x := range c.Reasons {
		told[x.Status] = x.Calls
	}
	for status, calls := range reasons {
		if told[status] != calls {
			return fmt.Errorf("report: %d calls rejected with %d, the lab saw %d", told[status], status, calls)
		}
	}
	return nil
}

// helpCalls are the calls to 911 in the story.
const helpCalls = 5

// reportedHelp: the calls to 911; of the first one its number, its notice and its callbacks.
func (s *story) reportedHelp(r told) error {
	real := 0
	for _, e := range r.Emergencies {
		if !e.Test {
			real++
		}
	}
	if real != helpCalls {
		return fmt.Errorf("report: %d calls for help", real)
	}
	e := r.Emergencies[0]
	if e.ELIN != branch.ELIN || e.Test || e.Answered.Before(e.At) || e.Acknowledged.Before(e.At) || e.By == "" {
		return fmt.Errorf("report: the call for help: %+v", e)
	}
	if len(e.Callbacks) != 3 || e.Callbacks[0].From != branch.PSTNCaller || e.Callbacks[0].Answered.IsZero() {
		return fmt.Errorf("report: callbacks: %+v", e.Callbacks)
	}
	return nil
}
