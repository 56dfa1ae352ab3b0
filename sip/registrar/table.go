package registrar

import (
	"container/heap"
	"slices"
	"strings"
	"time"
	"unique"
)

// table holds each binding once and finds it by user, by flow and by expiry.
type table struct {
	users  map[string][]*entry
	flows  map[Flow][]*entry // without flow 0
	expiry byExpiry
}

type entry struct {
	Binding
	agent unique.Handle[string] // keeps the shared copy of UserAgent alive
	index int                   // in expiry
}

func (e *entry) live(now time.Time) bool { return e.Expires.After(now) }

func newTable() table {
	return table{users: make(map[string][]*entry), flows: make(map[Flow][]*entry)}
}

// insert copies the strings: those of a request are cut out of a whole message, which they would keep in memory.
func (t *table) insert(b Binding) {
	e := &entry{Binding: b, agent: unique.Make(b.UserAgent)}
	e.UserAgent = e.agent.Value()
	e.URI, e.Instance, e.CallID = strings.Clone(b.URI), strings.Clone(b.Instance), strings.Clone(b.CallID)
	if have := t.users[b.AOR]; len(have) > 0 {
		e.AOR = have[0].AOR
	} else {
		e.AOR = strings.Clone(b.AOR)
	}
	t.users[e.AOR] = append(t.users[e.AOR], e)
	if e.Flow != 0 {
		t.flows[e.Flow] = append(t.flows[e.Flow], e)
	}
	heap.Push(&t.expiry, e)
}

func (t *table) remove(e *entry) {
	drop(t.users, e.AOR, e)
	t.unflow(e)
	heap.Remove(&t.expiry, e.index)
}

// unflow makes a binding unreachable.
func (t *table) unflow(e *entry) {
	if e.Flow != 0 {
		drop(t.flows, e.Flow, e)
		e.Flow = 0
	}
}

func drop[K comparable](m map[K][]*entry, key K, e *entry) {
	list := m[key]
	if i := slices.Index(list, e); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(m, key)
	} else {
		m[key] = list
	}
}

// byExpiry is a heap with what runs out first on top.
type byExpiry []*entry

func (h byExpiry) Len() int           { return len(h) }
func (h byExpiry) Less(i, j int) bool { return h[i].Expires.Before(h[j].Expires) }

func (h byExpiry) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap's.
func (h *byExpiry) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop is heap's.
func (h *byExpiry) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
