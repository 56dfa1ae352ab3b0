package elin

import (
	"cmp"
	"slices"
	"time"
)

// Callback says who is to be rung when a number is called from a trunk. Test calls are called back only where no
// emergency call is, and without the security desk.
func (t *Table) Callback(now time.Time, number string) Callback {
	t.mu.Lock()
	defer t.mu.Unlock()
	var cb Callback
	var list []*pin
	emergency := false
	for _, p := range t.numbers[number] {
		if p.live(now) {
			list = append(list, p)
			emergency = emergency || !p.caller.Test
		}
	}
	slices.SortFunc(list, newest)
	cb.Main = len(list) > 0
	seen := make(map[who]bool)
	for _, p := range list {
		if seen[p.who] || emergency && p.caller.Test {
			continue
		}
		seen[p.who] = true
		cb.Callers = append(cb.Callers, p.caller)
		cb.Main = cb.Main && p.main
	}
	cb.Shared = len(cb.Callers) > 1
	cb.Desk = emergency && cb.Shared || now.Before(t.deskUntil)
	return cb
}

// Moved says that a call's phone is on another connection now.
func (t *Table) Moved(callID string, flow uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.calls[callID] {
		p.caller.Flows = Flows{flow}.before(p.caller.Flows)
	}
}

// Ended says that a call is over: the two hours of its pins begin. It may be called again.
func (t *Table) Ended(now time.Time, callID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(now, callID)
}

func (t *Table) end(now time.Time, callID string) {
	pins, ok := t.calls[callID]
	if !ok && !t.deskUntil.IsZero() {
		t.withoutPin(now) // one of those, perhaps
	}
	delete(t.calls, callID)
	for _, p := range pins {
		p.running = slices.DeleteFunc(p.running, func(id string) bool { return id == callID })
		if p.ended.Before(now) {
			p.ended = now
		}
	}
}

// Reconcile ends all calls that do not run, such as those of a process that died: after Restore, or now and then for
// what was forgotten. It returns how many there were.
func (t *Table) Reconcile(now time.Time, running func(callID string) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for id := range t.calls {
		if !running(id) {
			t.end(now, id)
			n++
		}
	}
	return n
}

// Expire forgets what lives no more, for the sake of memory and privacy, and returns it, the most recent first.
// Without it dead pins do no harm.
func (t *Table) Expire(now time.Time) []Pin {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := t.expire(now)
	slices.SortFunc(gone, func(a, b Pin) int {
		return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(a.Trunk, b.Trunk), cmp.Compare(a.ELIN, b.ELIN), a.Caller.who().compare(b.Caller.who()))
	})
	return gone
}

func (t *Table) expire(now time.Time) (gone []Pin) {
	for _, p := range t.pins {
		if !p.live(now) {
			gone = append(gone, p.public())
			t.remove(p)
		}
	}
	return gone
}
