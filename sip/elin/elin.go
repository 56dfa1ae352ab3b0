// Package elin is the table of pins: which emergency location identification number (ELIN) an emergency call showed,
// and whom a callback to that number has to reach. A pin lives while its call runs and for two hours from the call's
// end, and within that window it is never lost and never overwritten.
//
// The package is pure: no I/O, no goroutine, no logger; time is passed in. Which ELINs a place has is sip/site's to
// say, where a callback goes sip/route's, and keeping the copy in RAM across a crash firmware/snapshot's. Times passed
// in should carry Go's monotonic reading (time.Now does): then setting the clock shortens no window.
package elin

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Window is how long a pin lives from the end of its call.
const Window = 2 * time.Hour

// DefaultMax is the number of pins that a Table holds unless told otherwise; about 1 kB each.
const DefaultMax = 8192

// maxRunning bounds the calls at once that one pin keeps apart; a phone has one or two.
const maxRunning = 64

// What one owner, a user or the address of a phone that is no user's, may have of the table.
const (
	maxPhones = 32  // phones that are told apart; behind one address there may be a gateway, or a whole floor
	maxELINs  = 4   // before the owner's phones share
	maxOwned  = 128 // pins; a call has one on every trunk that it was tried on
)

// Place is where a call goes out, and what it may show there.
type Place struct {
	Trunk string
	ELINs []string // of the most specific place that has any on the trunk (site.Place.ELINs), in order of preference
	Main  string   // the trunk's main number, shown where there is no ELIN
}

// Assignment is what an emergency call shows.
type Assignment struct {
	ELIN     string // "" with None: the trunk's main number stands for it
	Kept     bool   // the caller had it already
	Shared   bool   // other callers' pins are on it too
	None     bool   // the place has no ELIN on this trunk
	Unpinned bool   // the table is full: a callback finds the security desk, and the other callers of the ELIN
	Alarm    bool   // None or Unpinned: somebody has to look after this site
}

// Callback is who is to be rung when an ELIN is called. The zero Callback means that no pin lives.
type Callback struct {
	Callers []Caller // each once, the most recent first
	Shared  bool     // several callers: ring them all at once
	Desk    bool     // ring the security desk at the same time
	Main    bool     // the number is no ELIN but a trunk's main number: it is a callback only if it is marked as one
}

// Pin is one entry of the table.
type Pin struct {
	Trunk   string
	ELIN    string
	Main    bool // a trunk's main number, for want of an ELIN
	Caller  Caller
	Began   time.Time // the caller's last call
	Running bool
	Expires time.Time // zero while a call runs
}

// Options of a Table.
type Options struct {
	Max int // pins; 0: DefaultMax
}

// Table holds the pins. It is safe for concurrent use.
//
// At its bound a Table still assigns ELINs by the same rules, but keeps no new pin: one that lives is worth as much as
// one that comes. For two hours from then (and from the end of every call without a pin) all callbacks ring the
// security desk as well. Phones that have not authenticated get at most a quarter of the table, and test calls too.
type Table struct {
	mu        sync.Mutex
	max       int
	pins      map[key]*pin
	numbers   map[string][]*pin // by ELIN, whatever the trunk
	owned     map[owner][]*pin  // by whose phones they are
	calls     map[string][]*pin // running calls
	weak      int               // pins of strangers and of tests
	deskUntil time.Time         // while calls without a pin may be called back
}

// New makes an empty Table.
func New(o Options) *Table {
	if o.Max <= 0 {
		o.Max = DefaultMax
	}
	return &Table{max: o.Max, pins: make(map[key]*pin), numbers: make(map[string][]*pin), owned: make(map[owner][]*pin), calls: make(map[string][]*pin)}
}

// key of a pin: one caller on one number of one trunk.
type key struct {
	trunk, number string
	who           who
}

type pin struct {
	key
	caller  Caller
	main    bool
	weak    bool // counted in Table.weak
	began   time.Time
	running []string // call ids
	ended   time.Time
}

func (p *pin) live(now time.Time) bool { return len(p.running) > 0 || now.Sub(p.ended) < Window }

// older orders pins by when they were last used; one in use is the youngest.
func (p *pin) older(q *pin) int {
	if a, b := len(p.running) > 0, len(q.running) > 0; a != b {
		if a {
			return 1
		}
		return -1
	} else if a {
		return p.began.Compare(q.began)
	}
	return p.ended.Compare(q.ended)
}

// newest first, and never by chance.
func newest(p, q *pin) int {
	return cmp.Or(q.began.Compare(p.began), p.compare(q.key))
}

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(k.trunk, l.trunk), cmp.Compare(k.number, l.number), k.who.compare(l.who))
}

// Pins lists what lives, the most recent first.
func (t *Table) Pins(now time.Time) []Pin {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*pin
	for _, p := range t.pins {
		if p.live(now) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, newest)
	out := make([]Pin, len(list))
	for i, p := range list {
		out[i] = p.public()
	}
	return out
}

func (p *pin) public() Pin {
	out := Pin{Trunk: p.trunk, ELIN: p.number, Main: p.main, Caller: p.caller, Began: p.began, Running: len(p.running) > 0}
	if !out.Running {
		out.Expires = p.ended.Add(Window)
	}
	return out
}
