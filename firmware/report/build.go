package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/record"
	"holdfast/sip/site"
)

// background is what a report needs besides the journal.
type background struct {
	id, box, version string
	site             *site.Site
	emergencies      []emergency.Emergency // of any time
	made             time.Time
	lost             int
}

// build reads a report off a journal that has ended. The same journal gives the same figures.
func build(events []event, b background) *Report {
	doc := b.site.Doc()
	r := &Report{ID: b.id, Kind: Drill, Box: b.box, Version: b.version, Made: b.made.UTC(), Lost: b.lost,
		Site: Site{doc.Site.ID, doc.Site.Name, doc.Site.Timezone}, Trunks: []Trunk{}, ToDo: []string{}, TimeLine: []Moment{}}
	r.Detection.Evidence = []record.Evidence{}
	var first, last *Scene
	var drill *record.Drill
	for i, e := range events {
		if i == 0 {
			r.Began = e.At
		}
		r.Ended = e.At
		switch {
		case e.Restart:
			r.Restarts++
		case e.Change != nil:
			r.changed(*e.Change)
			if e.Change.Drill != nil && drill == nil {
				drill = e.Change.Drill
			}
			if e.Scene != nil {
				if first == nil {
					first = e.Scene
				}
				last = e.Scene
			}
		}
	}
	if drill != nil {
		r.Drill = &Order{By: drill.By, Users: []string{}}
		for _, id := range drill.Users {
			r.Drill.Users = append(r.Drill.Users, userName(b.site, id))
		}
	}
	if r.Recovery.Normal.IsZero() { // the incident ended with a restart
		r.Recovery.Normal = r.Ended
	}
	from := r.Recovery.FirstAnswer
	if from.IsZero() {
		from = r.Recovery.Recovering
	}
	r.Recovery.Seconds = seconds(from, r.Recovery.Normal)
	r.scenes(first, last, b.site)
	r.phones(events, first, b.site, drill)
	r.calls(events, last, b.site)
	r.emergencies(b.emergencies, b.site)
	r.timeLine(events)
	r.toDo(b.site)
	return r
}

// changed takes what a change of mode says about detection and recovery.
func (r *Report) changed(c record.Change) {
	switch c.To {
	case mode.Resilience:
		if r.Kind != Outage {
			r.Kind = Outage
			r.Detection.Noticed, r.Detection.Evidence = c.At, c.Evidence
			for _, e := range c.Evidence {
				if e.Kind == mode.SIP && e.LastAlive.After(r.Detection.LastAnswer) {
					r.Detection.LastAnswer = e.LastAlive
				}
			}
			r.Detection.Seconds = seconds(r.Detection.LastAnswer, c.At)
		}
		r.Recovery = Recovery{} // what was a recovery was none
	case mode.Recovering:
		r.Recovery = Recovery{Recovering: c.At}
		if r.Kind != Outage {
			return
		}
		for _, e := range c.Evidence {
			if e.Kind == mode.SIP && e.Alive && !e.Since.IsZero() && (r.Recovery.FirstAnswer.IsZero() || e.Since.Before(r.Recovery.FirstAnswer)) {
				r.Recovery.FirstAnswer = e.Since
			}
		}
	case mode.Normal:
		r.Recovery.Normal = c.At
	}
}

// seconds between two times; 0 where one is not known.
func seconds(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return float64(to.Sub(from).Milliseconds()) / 1000
}

func (r *Report) scenes(first, last *Scene, s *site.Site) {
	r.Document.Warnings = []string{}
	for _, w := range s.WarningsAt(r.Began) {
		r.Document.Warnings = append(r.Document.Warnings, w.Error())
	}
	if first == nil {
		return
	}
	r.Document.Serial, r.Document.Source, r.Document.Fetched = first.Serial, first.Source, first.Fetched
	r.Document.AgeS = max(0, seconds(first.Fetched, r.Began))
	for _, t := range first.Trunks {
		r.Trunks = append(r.Trunks, Trunk{ID: t.ID, Began: t.Began, Error: t.Error})
	}
	for _, t := range last.Trunks {
		i := slices.IndexFunc(r.Trunks, func(x Trunk) bool { return x.ID == t.ID })
		if i < 0 {
			i = len(r.Trunks)
			r.Trunks = append(r.Trunks, Trunk{ID: t.ID})
		}
		r.Trunks[i].Ended = t.Began
		r.Trunks[i].Error = cmp.Or(t.Error, r.Trunks[i].Error)
	}
}

// phones are the users' who were expected, and when each came.
func (r *Report) phones(events []event, first *Scene, s *site.Site, drill *record.Drill) {
	start := r.Detection.LastAnswer
	if start.IsZero() || r.Kind == Drill || start.After(r.Began) {
		start = r.Began
	}
	came := make(map[string]*Phone)
	arrive := func(at time.Time, user string, phones int) {
		p := came[user]
		if p == nil {
			p = &Phone{User: user, At: at, AfterS: max(0, seconds(start, at))}
			came[user] = p
		}
		p.Phones = max(p.Phones, phones)
	}
	if first != nil {
		for _, user := range first.Here {
			arrive(r.Began, user, 1)
		}
	}
	for _, e := range events {
		if e.Phone != nil {
			arrive(e.At, e.Phone.User, e.Phone.Phones)
		}
	}
	r.Phones = Phones{Here: []Phone{}, Missing: []Phone{}}
	for _, u := range s.Doc().Users {
		if drill != nil && r.Kind == Drill && len(drill.Users) > 0 && !slices.Contains(drill.Users, u.ID) {
			continue
		}
		r.Phones.Expected++
		p := came[u.ID]
		if p == nil {
			r.Phones.Missing = append(r.Phones.Missing, Phone{User: u.ID, Name: u.Name, Extension: u.Extension})
			continue
		}
		r.Phones.Came++
		p.Name, p.Extension = u.Name, u.Extension
		r.Phones.Here = append(r.Phones.Here, *p)
	}
	slices.SortStableFunc(r.Phones.Here, func(a, b Phone) int { return a.At.Compare(b.At) })
	if n := len(r.Phones.Here); n > 0 {
		r.Phones.FirstS, r.Phones.LastS = r.Phones.Here[0].AfterS, r.Phones.Here[n-1].AfterS
	}
}

// userName is a user in words.
func userName(s *site.Site, id string) string {
	return cmp.Or(name(s, id), id)
}

// timeLine puts what happened in order. A busy branch's calls are in their own list.
func (r *Report) timeLine(events []event) {
	add := func(at time.Time, sign, text, detail string) {
		if !at.IsZero() {
			r.TimeLine = append(r.TimeLine, Moment{at, sign, text, detail})
		}
	}
	if r.Kind == Outage {
		add(r.Detection.LastAnswer, "cloud", "the cloud's last answer", "")
	}
	for _, e := range events {
		switch {
		case e.Restart:
			add(e.At, "restart", "the box began anew", "")
		case e.Close:
			add(e.At, "normal", "mode: normal", "the cloud answered after the box began anew")
		case e.Change != nil:
			add(e.At, e.Change.To.String(), "mode: "+e.Change.To.String(), e.Change.Cause)
		}
	}
	if r.Kind == Outage {
		add(r.Recovery.FirstAnswer, "cloud", "the cloud answers again", "")
	}
	if n := len(r.Phones.Here); n > 0 {
		add(r.Phones.Here[0].At, "phone", "first phone here", r.Phones.Here[0].Name)
		if n > 1 {
			add(r.Phones.Here[n-1].At, "phone", fmt.Sprintf("%d of %d users here", n, r.Phones.Expected), "the last one: "+r.Phones.Here[n-1].Name)
		}
	}
	for _, e := range r.Emergencies {
		add(e.At, "emergency", e.Title, e.Caller)
		add(e.Acknowledged, "emergency", e.Title+" acknowledged", e.By)
		for _, c := range e.Callbacks {
			add(c.At, "emergency", e.Title+": callback", c.Who)
		}
	}
	slices.SortStableFunc(r.TimeLine, func(a, b Moment) int { return a.At.Compare(b.At) })
}
