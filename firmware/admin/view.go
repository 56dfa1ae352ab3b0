package admin

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/certs"
	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/record"
)

// snapshot is the box at one moment. All parts of all pages of that moment are made from it; what is costly is asked for
// once, when the first of them needs it.
type snapshot struct {
	s       *Server
	Now     time.Time
	zone    *time.Location
	Status  control.Status
	people  func() []Person
	persons func() map[string]Person // by ID
	calls   func() []CallQuality
	entries func() emergencyLog
	checked func() Check
}

type emergencyLog struct {
	List  []emergency.Emergency // newest first
	Fault string
}

func (s *Server) snapshot() *snapshot {
	b := s.o.Box
	x := &snapshot{s: s, Now: s.now(), zone: b.Location(), Status: b.Status()}
	x.people = sync.OnceValue(b.People)
	x.persons = sync.OnceValue(func() map[string]Person {
		m := make(map[string]Person)
		for _, p := range x.people() {
			m[p.ID] = p
		}
		return m
	})
	x.checked = sync.OnceValue(b.Check)
	x.calls = sync.OnceValue(func() []CallQuality {
		list := make([]CallQuality, len(x.Status.Calls))
		for i, c := range x.Status.Calls {
			list[i] = CallQuality{c, s.history.of(c.ID)}
		}
		return list
	})
	x.entries = sync.OnceValue(func() emergencyLog {
		list, err := b.EmergencyLog(logEntries)
		slices.Reverse(list)
		if err != nil {
			return emergencyLog{list, err.Error()}
		}
		return emergencyLog{List: list}
	})
	return x
}

// Bounds of what a page shows at once; the API has everything.
const (
	rowsShown  = 200
	callsShown = 50
	logEntries = 50
)

// view is what templates see: a moment, and who looks.
type view struct {
	*snapshot
	scopes account.Scope
	me     string // the name; "" in parts, which are made for many
	Param  string // of a page about one thing: its ID
	Query  string // what is looked for
}

// Can reports whether who looks may do something.
func (v *view) Can(scope string) bool {
	want, err := account.ParseScopes(scope)
	return err == nil && v.scopes.Has(want)
}

// At is a time of day in the site's zone, with the date when it is not today's.
func (v *view) At(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	local, now := t.In(v.zone), v.Now.In(v.zone)
	layout := "15:04:05 MST"
	if local.YearDay() != now.YearDay() || local.Year() != now.Year() {
		layout = "2 Jan 2006 15:04 MST"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339), template.HTMLEscapeString(local.Format(layout))))
}

// Date is a day.
func (v *view) Date(t time.Time) string { return t.In(v.zone).Format("2 Jan 2006") }

// Ago is filled in and kept right by the page: "11 min ago". For is the same without the word.
func (v *view) Ago(t time.Time) template.HTML { return relative("ago", t) }

// For is how long something has lasted.
func (v *view) For(t time.Time) template.HTML { return relative("for", t) }

// Until is how long something will last.
func (v *view) Until(t time.Time) template.HTML { return relative("until", t) }

func relative(how string, t time.Time) template.HTML {
	if t.IsZero() {
		return ""
	}
	return template.HTML(fmt.Sprintf(`<span class="rel" data-%s="%s"></span>`, how, t.UTC().Format(time.RFC3339)))
}

// Span is a length of time in words.
func (v *view) Span(d time.Duration) string {
	d = max(d, 0)
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

// Missing are who should have a phone here and has not, by name; none while phones belong to the cloud.
func (v *view) Missing() []Person {
	if !v.Serving() {
		return nil
	}
	return v.filter(func(p Person) bool { return !p.Here() && v.expected(p) })
}

// Expected are who should have a phone here.
func (v *view) Expected() []Person { return v.filter(v.expected) }

// Here are who has one.
func (v *view) Here() []Person { return v.filter(Person.Here) }

func (v *view) expected(p Person) bool { return v.Status.Mode.Name != "drill" || p.Drilled }

func (v *view) filter(keep func(Person) bool) []Person {
	out := []Person{}
	for _, p := range v.people() {
		if keep(p) {
			out = append(out, p)
		}
	}
	return out
}

// Found are the people that the query names, all without one.
func (v *view) Found() []Person {
	q := strings.ToLower(strings.TrimSpace(v.Query))
	return v.filter(func(p Person) bool {
		if q == "" || strings.Contains(strings.ToLower(p.Name), q) || strings.Contains(p.Extension, q) {
			return true
		}
		return slices.ContainsFunc(p.Phones, func(x Phone) bool {
			return strings.Contains(strings.ToLower(x.Agent), q) || strings.Contains(x.Address, q)
		})
	})
}

// First cuts a list of people to what is shown.
func (v *view) First(list []Person) []Person { return list[:min(len(list), rowsShown)] }

// Less is how many First left out.
func (v *view) Less(list []Person) int { return max(0, len(list)-rowsShown) }

// Serving reports whether the branch's phones belong here now.
func (v *view) Serving() bool {
	return v.Status.Mode.Name == "resilience" || v.Status.Mode.Name == "drill"
}

// Calls are the running calls, those for help first, then the worst.
func (v *view) Calls() []CallQuality {
	list := slices.Clone(v.calls())
	slices.SortStableFunc(list, func(a, b CallQuality) int {
		if a.Emergency != b.Emergency {
			if a.Emergency {
				return -1
			}
			return 1
		}
		rank := func(c CallQuality) int { // whole tenths, so that rows do not change places all the time
			if w := c.Worst(); w > 0 && w < 4 {
				return int(w * 2)
			}
			return 10
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.Began.Compare(a.Began), strings.Compare(a.ID, b.ID))
	})
	return list
}

// Shown cuts the calls to what is shown.
func (v *view) Shown(list []CallQuality) []CallQuality { return list[:min(len(list), callsShown)] }

// Call is the one that the page is about; nil if it does not run.
func (v *view) Call() *CallQuality {
	for _, c := range v.calls() {
		if c.ID == v.Param {
			return &c
		}
	}
	return nil
}

// Over is the record of the call that the page is about; nil while it runs, and when it is forgotten.
func (v *view) Over() *record.Call {
	if c, ok := v.s.history.find(v.Param); ok {
		return &c
	}
	return nil
}

// Recent are calls that have ended.
func (v *view) Recent() []record.Call { return v.s.history.recent(callsShown) }

// Log is the emergency calls, newest first.
func (v *view) Log() emergencyLog { return v.entries() }

// Pins lead PSAPs back to callers.
func (v *view) Pins() []control.Pin { return v.s.o.Box.Pins() }

// Panel is what the front panel shows.
func (v *view) Panel() control.Panel { return v.s.o.Box.Panel() }

// Certificates that the box shows.
func (v *view) Certificates() []certs.Info { return v.s.o.Box.Certificates() }

// Days until t; negative when it is past.
func (v *view) Days(t time.Time) int {
	if !t.After(v.Now) {
		return -1
	}
	return int(t.Sub(v.Now).Hours() / 24)
}

// Party is who takes part in a call, in words: a person of the site, or what was dialled and over which trunk.
func (v *view) Party(id, dialled string) string {
	if p, ok := v.persons()[id]; ok {
		return p.Name + " " + p.Extension
	}
	if trunk, ok := strings.CutPrefix(id, "trunk "); ok && dialled != "" {
		return dialled + " over " + trunk
	}
	if id == "" {
		return dialled
	}
	return id
}

// Check of the files.
func (v *view) Check() Check { return v.checked() }

// Reports of outages and drills.
func (v *view) Reports() reportList { return v.s.reportList() }

// Open are the emergency calls that run or wait for somebody to take note.
func (v *view) Open() []control.Emergency { return v.Status.Emergencies }

// Tail is the end of the log, newest first.
func (v *view) Tail() []string {
	if v.s.o.Tail == nil {
		return nil
	}
	lines := v.s.o.Tail.Lines(rowsShown)
	slices.Reverse(lines)
	return lines
}

// Update is what is known of the running or last update.
func (v *view) Update() UpdateState { return v.s.update.state() }

// Checkup is what the doctor found last.
func (v *view) Checkup() Checkup { return v.s.checkup.state() }

// CanExamine reports whether there is a doctor.
func (v *view) CanExamine() bool { return v.s.o.Examine != nil }

// CanUpdate reports whether this box takes updates.
func (v *view) CanUpdate() bool { return v.s.o.Updater != nil }

// Traced reports whether signalling is kept.
func (v *view) Traced() bool { return v.s.o.Tracer != nil }
