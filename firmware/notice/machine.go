package notice

import (
	"cmp"
	"slices"
	"time"

	"holdfast/hal"
)

// Settings are the notice's times; the zero value of a field means its default.
type Settings struct {
	Every        time.Duration // from the end of a notice call until it rings again (20 s)
	Again        time.Duration // the same where no phone of the desk could be reached: it may be back any moment (3 s)
	RingFor      time.Duration // a notice call that nobody takes (25 s)
	MessageAfter time.Duration // the call's number for the PSAP is known by then (500 ms)
	MessageEvery time.Duration // until the phones have the text (30 s)
	TestFor      time.Duration // the notice of a test is over after it, acknowledged or not (90 s)
}

func (s Settings) filled() Settings {
	s.Every = cmp.Or(s.Every, 20*time.Second)
	s.Again = cmp.Or(s.Again, 3*time.Second)
	s.RingFor = cmp.Or(s.RingFor, 25*time.Second)
	s.MessageAfter = cmp.Or(s.MessageAfter, 500*time.Millisecond)
	s.MessageEvery = cmp.Or(s.MessageEvery, 30*time.Second)
	s.TestFor = cmp.Or(s.TestFor, 90*time.Second)
	return s
}

// verb is what the machine wants done.
type verb string

const (
	ring    verb = "ring"    // begin a notice call
	stop    verb = "stop"    // end it: somebody else has acknowledged
	message verb = "message" // send the text
	over    verb = "over"    // a test has been shown for long enough
)

type action struct {
	verb verb
	id   string // of the emergency call
	user string // "" for over
}

// machine decides who rings when. It is pure: the time is passed in, and what it wants done it returns. Every desk (a
// user with phones) has one notice call at a time, or several calls for help would drown each other; real calls come
// before tests, those rung least before the others.
type machine struct {
	s        Settings
	notices  []*told           // the oldest first
	ringing  map[string]string // user → emergency call
	silenced bool
}

// told is one emergency call of which people are told.
type told struct {
	id    string
	test  bool
	until time.Time // of a test
	news  int       // how much there is to say beyond that somebody calls
	desks []*desk
}

type desk struct {
	user     string
	rings    int
	ringAt   time.Time
	textAt   time.Time
	sending  bool
	stale    bool // what is being sent is not all there is to say
	textDone bool
}

func newMachine(s Settings) *machine {
	return &machine{s: s.filled(), ringing: make(map[string]string)}
}

// raise begins to tell of a call, which is told of already or not.
func (m *machine) raise(now time.Time, id string, test bool, users []string) {
	if m.find(id) != nil {
		return
	}
	t := &told{id: id, test: test, until: now.Add(m.s.TestFor)}
	for _, u := range users {
		t.desks = append(t.desks, &desk{user: u, ringAt: now, textAt: now.Add(m.s.MessageAfter)})
	}
	m.notices = append(m.notices, t)
	m.silenced = false // the next call for help is news
}

// retell sends the text once more when there is more to say than before.
func (m *machine) retell(now time.Time, id string, news int) {
	t := m.find(id)
	if t == nil || news <= t.news {
		return
	}
	t.news = news
	for _, d := range t.desks {
		d.textDone, d.textAt, d.stale = false, now, d.sending
	}
}

// clear ends the telling of a call.
func (m *machine) clear(id string) (out []action) {
	for user, running := range m.ringing {
		if running == id {
			out = append(out, action{stop, id, user})
		}
	}
	slices.SortFunc(out, func(a, b action) int { return cmp.Compare(a.user, b.user) })
	m.notices = slices.DeleteFunc(m.notices, func(t *told) bool { return t.id == id })
	return out
}

// rung says that a desk's notice call is over; whether it rang at all.
func (m *machine) rung(now time.Time, user string, reached bool) {
	id := m.ringing[user]
	delete(m.ringing, user)
	if d := m.find(id).desk(user); d != nil {
		d.ringAt = now.Add(m.s.Again)
		if reached {
			d.ringAt = now.Add(m.s.Every)
		}
	}
}

// sent says what became of a text; one that is done is not sent again.
func (m *machine) sent(now time.Time, id, user string, done bool) {
	if d := m.find(id).desk(user); d != nil {
		if d.sending, d.textDone, d.textAt = false, done, now.Add(m.s.MessageEvery); d.stale {
			d.stale, d.textDone, d.textAt = false, false, now
		}
	}
}

// tick is what has to be done now. The caller does it all and reports back with rung and sent.
func (m *machine) tick(now time.Time) (out []action) {
	for _, t := range m.notices {
		if t.test && !now.Before(t.until) {
			out = append(out, action{over, t.id, ""})
			t.until = now.Add(m.s.TestFor) // should that fail
			continue
		}
		for _, d := range t.desks {
			if !d.textDone && !d.sending && !now.Before(d.textAt) {
				d.sending = true
				out = append(out, action{message, t.id, d.user})
			}
		}
	}
	for _, t := range m.inTurn() {
		for _, d := range t.desks {
			if m.ringing[d.user] == "" && !now.Before(d.ringAt) && m.first(now, t, d) {
				d.rings++
				m.ringing[d.user] = t.id
				out = append(out, action{ring, t.id, d.user})
			}
		}
	}
	return out
}

// inTurn is real calls before tests, the oldest first.
func (m *machine) inTurn() []*told {
	list := slices.Clone(m.notices)
	slices.SortStableFunc(list, func(a, b *told) int { return cmp.Compare(btoi(a.test), btoi(b.test)) })
	return list
}

// first reports whether no other call of the same rank has rung this desk less often and waits for it too.
func (m *machine) first(now time.Time, t *told, d *desk) bool {
	for _, other := range m.notices {
		if o := other.desk(d.user); o != nil && other.test == t.test && o.rings < d.rings && !now.Before(o.ringAt) {
			return false
		}
	}
	return true
}

// next is when tick has something to do again; zero: not before something happens.
func (m *machine) next() (at time.Time) {
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, t := range m.notices {
		if t.test {
			sooner(t.until)
		}
		for _, d := range t.desks {
			if !d.textDone && !d.sending {
				sooner(d.textAt)
			}
			if m.ringing[d.user] == "" {
				sooner(d.ringAt)
			}
		}
	}
	return at
}

// silence stops the buzzer until the next call for help.
func (m *machine) silence() { m.silenced = true }

// alarm is what the box itself shows; a real call shows before a test.
func (m *machine) alarm() (light, buzzer hal.Pattern) {
	if len(m.notices) > 0 {
		light = hal.Double
	}
	if slices.ContainsFunc(m.notices, func(t *told) bool { return !t.test }) {
		light = hal.Fast
	}
	if m.silenced {
		return light, hal.Off
	}
	return light, light
}

func (m *machine) find(id string) *told {
	for _, t := range m.notices {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (t *told) desk(user string) *desk {
	if t == nil {
		return nil
	}
	for _, d := range t.desks {
		if d.user == user {
			return d
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
