// Package registrar keeps the bindings of the site's users to their phones (RFC 3261 §10, RFC 5626): in RAM, bounded, for a few
// ten thousand phones.
//
// It believes what it is told: that a request is authentic and may act for its AOR, and which connection it came by, is the
// caller's to check. It reads no clock; the caller passes the time and calls Expire about once a second. It writes no
// snapshot either; firmware/snapshot does, out of All and when Generation has moved.
package registrar

import (
	"sync"
	"time"
)

// Options of a Registrar.
type Options struct {
	Min, Max, Default time.Duration // granted lifetimes; 0: 1 min, 10 min, Max
	MaxContacts       int           // per AOR; 0: 10
	MaxBindings       int           // together; 0: 20,000
}

// Registrar is safe for concurrent use.
type Registrar struct {
	mu          sync.Mutex
	min, max    time.Duration
	standard    time.Duration
	maxContacts int
	maxBindings int
	table       table
	generation  uint64
}

// New makes an empty registrar.
func New(o Options) *Registrar {
	if o.MaxBindings <= 0 {
		o.MaxBindings = 20000
	}
	r := &Registrar{maxBindings: o.MaxBindings, table: newTable()}
	r.Limit(o.Min, o.Max, o.Default, o.MaxContacts)
	return r
}

// Limit puts new limits into effect, for the REGISTERs from now on. Zero values mean Options' defaults; Max is at least Min, and Default
// between the two.
func (r *Registrar) Limit(shortest, longest, standard time.Duration, maxContacts int) {
	if shortest <= 0 {
		shortest = time.Minute
	}
	if longest <= 0 {
		longest = 10 * time.Minute
	}
	longest = max(longest, shortest)
	if standard <= 0 {
		standard = longest
	}
	if maxContacts <= 0 {
		maxContacts = 10
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.min, r.max, r.standard, r.maxContacts = shortest, longest, min(max(standard, shortest), longest), maxContacts
}

// Counts is how full the registrar is.
type Counts struct {
	Users       int // with at least one binding
	Bindings    int
	Unreachable int // of the bindings
}

// Counts goes over all bindings: for a metrics page, not for each call.
func (r *Registrar) Counts(now time.Time) (c Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range r.table.users {
		n := c.Bindings
		for _, e := range list {
			if !e.live(now) {
				continue
			}
			c.Bindings++
			if !e.Reachable() {
				c.Unreachable++
			}
		}
		if c.Bindings > n {
			c.Users++
		}
	}
	return c
}

// Generation grows with each change, a refresh too.
func (r *Registrar) Generation() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.generation
}

// Bindings are an AOR's that have not run out: reachable ones first, then by q, then the freshest.
func (r *Registrar) Bindings(now time.Time, aor string) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bindings(now, aor)
}

func (r *Registrar) bindings(now time.Time, aor string) []Binding {
	var list []Binding
	for _, e := range r.table.users[aor] {
		if e.live(now) {
			list = append(list, e.Binding)
		}
	}
	return arrange(list)
}

// All are the bindings of everyone that have not run out, in no order: what a snapshot holds.
func (r *Registrar) All(now time.Time) []Binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Binding, 0, len(r.table.expiry))
	for _, e := range r.table.expiry {
		if e.live(now) {
			list = append(list, e.Binding)
		}
	}
	return list
}
