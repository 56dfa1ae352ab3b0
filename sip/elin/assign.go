package elin

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Pin gives an emergency call its ELIN and pins the caller to it; Ended says when the call is over. A caller keeps the
// ELIN of an earlier call at this place; otherwise it is the first that nobody holds. When all are held it is the one
// whose pins were used longest ago, which is shared from then on: the right address matters more than a number of one's
// own. Where it can, a call takes an ELIN that only test calls hold.
//
// An ELIN that stands on two trunks is one number: whoever holds it on one trunk holds it on both, because a callback may
// come by either.
func (t *Table) Pin(now time.Time, at Place, c Caller) Assignment {
	t.mu.Lock()
	defer t.mu.Unlock()
	c = t.oneOf(now, c.bounded())
	var a Assignment
	number := at.Main
	if len(at.ELINs) == 0 {
		a.None, a.Alarm = true, true
	} else {
		number = t.choose(now, t.fair(now, at.ELINs, c.who().owner), c)
		a.ELIN = number
	}
	if number == "" { // neither ELIN nor main number
		t.withoutPin(now)
		a.Unpinned = true
		return a
	}
	k := key{strings.Clone(at.Trunk), strings.Clone(number), c.who()}
	p := t.pins[k]
	if p != nil && !p.live(now) {
		t.remove(p)
		p = nil
	}
	a.Kept = t.holds(now, number, k.who)
	if p == nil {
		if p = t.insert(now, k, c); p == nil {
			t.withoutPin(now)
			a.Unpinned, a.Alarm = true, true
		}
	}
	if p != nil {
		p.main = a.None
		t.touch(now, p, c)
	}
	a.Shared = !c.Test && t.others(now, number, k.who)
	return a
}

// oneOf is the caller, or, where its owner has called from too many phones, one of all the owner's phones: a callback then
// rings them all. So nobody fills the table by giving itself ever new names.
func (t *Table) oneOf(now time.Time, c Caller) Caller {
	me, phones := c.who(), make(map[string]bool)
	for _, p := range t.owned[me.owner] {
		if p.live(now) {
			phones[p.who.phone] = true
		}
	}
	if len(phones) < maxPhones || phones[me.phone] {
		return c
	}
	return c.any()
}

// fair are the ELINs of a place that one owner's phones may take: once they hold a few they share those that they have
// there, so that nobody makes everybody else share.
func (t *Table) fair(now time.Time, numbers []string, o owner) []string {
	held := make(map[string]bool)
	for _, p := range t.owned[o] {
		if p.live(now) && !p.main {
			held[p.number] = true
		}
	}
	here := slices.DeleteFunc(slices.Clone(numbers), func(n string) bool { return !held[n] })
	if len(held) < maxELINs || len(here) == 0 {
		return numbers
	}
	return here
}

// choose picks among the ELINs of a place.
func (t *Table) choose(now time.Time, numbers []string, c Caller) string {
	me := c.who()
	mine, best, bestHold := "", "", hold{}
	for _, n := range numbers {
		h := t.heldBy(now, n, me)
		if h.mineForReal {
			return n
		}
		if mine == "" && h.mine && (c.Test || h.level < forReal) {
			mine = n // from a test: good enough where nobody in need is on it
		}
		if best == "" || h.better(bestHold) {
			best, bestHold = n, h
		}
	}
	return cmp.Or(mine, best)
}

type level int

const (
	free    level = iota
	byTests       // only test calls are pinned to it
	forReal       // an emergency call is
)

// hold is how a number is held: by others, and by the caller in question.
type hold struct {
	level       level
	newest      *pin // of those of that level
	mine        bool
	mineForReal bool
}

func (t *Table) heldBy(now time.Time, number string, me who) (h hold) {
	for _, p := range t.numbers[number] {
		if !p.live(now) {
			continue
		}
		if p.who == me {
			h.mine = true
			h.mineForReal = h.mineForReal || !p.caller.Test
			continue
		}
		l := byTests
		if !p.caller.Test {
			l = forReal
		}
		if l > h.level || l == h.level && p.older(h.newest) > 0 {
			h.level, h.newest = l, p
		}
	}
	return h
}

// better reports whether a number held so is to be taken before one held as g; among equals the first stays.
func (h hold) better(g hold) bool {
	if h.level != g.level || h.level == free {
		return h.level < g.level
	}
	return h.newest.older(g.newest) < 0
}

func (t *Table) holds(now time.Time, number string, me who) bool {
	return t.heldBy(now, number, me).mine
}

func (t *Table) others(now time.Time, number string, me who) bool {
	return t.heldBy(now, number, me).level == forReal
}

// insert enters a new pin; nil when there is no room.
func (t *Table) insert(now time.Time, k key, c Caller) *pin {
	weak := weak(k.who, c)
	full := func() bool {
		return len(t.pins) >= t.max || weak && t.weak >= max(1, t.max/4) || len(t.owned[k.who.owner]) >= maxOwned
	}
	if full() {
		if t.expire(now); full() {
			return nil
		}
	}
	p := &pin{key: k, weak: weak}
	t.pins[k] = p
	t.numbers[k.number] = append(t.numbers[k.number], p)
	t.owned[k.who.owner] = append(t.owned[k.who.owner], p)
	if weak {
		t.weak++
	}
	return p
}

// weak are the pins that must not fill the table.
func weak(w who, c Caller) bool { return w.kind == stranger || c.Test }

// touch enters one more call of the pin's caller.
func (t *Table) touch(now time.Time, p *pin, c Caller) {
	c.Test = c.Test && (p.began.IsZero() || p.caller.Test)    // once for real, always for real
	c.Plain = c.Plain && (p.began.IsZero() || p.caller.Plain) // it has shown that it can do better
	c.Flows = c.Flows.before(p.caller.Flows)
	if p.weak && !weak(p.who, c) {
		p.weak = false
		t.weak--
	}
	p.caller, p.began, p.ended = c, now, now
	if slices.Contains(p.running, c.CallID) || c.CallID == "" {
		return // a call without a name has ended as it begins
	}
	if len(p.running) == maxRunning {
		return
	}
	p.running = append(p.running, c.CallID)
	t.calls[c.CallID] = append(t.calls[c.CallID], p)
}

// withoutPin remembers that somebody called who cannot be called back by a pin.
func (t *Table) withoutPin(now time.Time) { t.deskUntil = now.Add(Window) }

func (t *Table) remove(p *pin) {
	delete(t.pins, p.key)
	without(t.numbers, p.number, p)
	without(t.owned, p.who.owner, p)
	if p.weak {
		t.weak--
	}
}

// without takes a pin off a list.
func without[K comparable](lists map[K][]*pin, k K, p *pin) {
	if list := slices.DeleteFunc(lists[k], func(q *pin) bool { return q == p }); len(list) == 0 {
		delete(lists, k)
	} else {
		lists[k] = list
	}
}
