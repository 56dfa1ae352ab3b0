package elin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model is what the table promises, written naively: a list of all calls ever made.
type model []*episode

type episode struct {
	trunk  string
	number string
	caller who
	test   bool // unless the caller needs help on this number as well
	id     string
	began  time.Time
	ended  time.Time // zero while it runs
}

// holder is one caller on one number of one trunk, as far as it lives.
type holder struct {
	trunk   string
	who     who
	test    bool
	began   time.Time
	running bool
	ended   time.Time
}

// holders of a number. A pin that lapsed and came anew has forgotten the calls before, so a chain of calls counts only
// back to the last gap.
func (m model) holders(now time.Time, number string) []holder {
	var out []holder
	for _, e := range m {
		if e.number != number {
			continue
		}
		i := slices.IndexFunc(out, func(h holder) bool { return h.who == e.caller && h.trunk == e.trunk })
		if i >= 0 && !out[i].running && e.began.Sub(out[i].ended) >= Window {
			out = slices.Delete(out, i, i+1)
			i = -1
		}
		if i < 0 {
			out = append(out, holder{trunk: e.trunk, who: e.caller, test: true})
			i = len(out) - 1
		}
		h := &out[i]
		h.test = h.test && e.test
		h.began = e.began
		h.running = h.running || e.ended.IsZero()
		if end := e.ended; end.IsZero() || end.After(h.ended) {
			h.ended = end
		}
		if e.began.After(h.ended) && !h.running {
			h.ended = e.began
		}
	}
	return slices.DeleteFunc(out, func(h holder) bool { return !h.running && now.Sub(h.ended) >= Window })
}

// history plays random operations, a few bytes each, against the table and the model.
func history(t *testing.T, ops []byte, snapshots bool) {
	tab, now := New(Options{}), start
	var m model
	all := []string{e1, e2, e3}
	next := func() byte {
		if len(ops) == 0 {
			return 0
		}
		b := ops[0]
		ops = ops[1:]
		return b
	}
	for calls := 0; len(ops) > 0; {
		switch op := next(); op % 8 {
		case 0, 1, 2: // a call from one of six phones on one of four places
			b := next()
			caller := phone(fmt.Sprint("u", b%6), fmt.Sprint(calls))
			caller.Test = op >= 224
			calls++
			at := floor([][]string{all, all[:2], all[1:], all[:1]}[b/6%4]...)
			at.Trunk = []string{"a", "b"}[b/24%2]
			got := tab.Pin(now, at, caller)
			check(t, m, now, at, caller, got)
			m = append(m, &episode{trunk: at.Trunk, number: got.ELIN, caller: caller.who(), test: caller.Test, id: caller.CallID, began: now})
		case 3, 4: // some call ends
			if len(m) > 0 {
				e := m[int(next())%len(m)]
				tab.Ended(now, e.id)
				if e.ended.IsZero() {
					e.ended = now
				}
			}
		case 5:
			now = now.Add(time.Duration(next()) * 100 * time.Millisecond)
		case 6:
			now = now.Add(time.Duration(next()) * time.Minute)
		case 7:
			if op&8 != 0 {
				tab.Expire(now)
			} else if snapshots {
				data := tab.Export(now)
				tab = New(Options{})
				if err := tab.Restore(now, data); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, n := range all {
			compare(t, m, tab.Callback(now, n), now, n)
		}
	}
	if live := len(tab.Pins(now)); live > 3*2*6 {
		t.Fatalf("%d pins of six phones on three numbers of two trunks", live)
	}
}

// check compares an assignment with the rules.
func check(t *testing.T, m model, now time.Time, at Place, c Caller, got Assignment) {
	t.Helper()
	if !slices.Contains(at.ELINs, got.ELIN) || got.None || got.Unpinned || got.Alarm {
		t.Fatalf("%+v at %v", got, at.ELINs)
	}
	me := c.who()
	others := func(n string, help bool) bool {
		return slices.ContainsFunc(m.holders(now, n), func(h holder) bool { return h.who != me && (!help || !h.test) })
	}
	mine := func(n string) (held, help bool) {
		for _, h := range m.holders(now, n) {
			held = held || h.who == me
			help = help || h.who == me && !h.test
		}
		return held, help
	}
	held, help := mine(got.ELIN)
	if held != got.Kept {
		t.Fatalf("kept: %v; held: %v", got.Kept, held)
	}
	if want := !c.Test && others(got.ELIN, true); want != got.Shared {
		t.Fatalf("shared: %v; want %v", got.Shared, want)
	}
	if held && (help || c.Test) {
		return
	}
	for _, n := range at.ELINs {
		if _, help := mine(n); help {
			t.Fatalf("%s was the caller's already, got %s", n, got.ELIN)
		}
		if others(got.ELIN, true) && !others(n, true) || others(got.ELIN, false) && !others(n, false) && !held {
			t.Fatalf("%s was to be had, got %s", n, got.ELIN)
		}
	}
	if got.Shared && !held {
		for _, n := range at.ELINs {
			if older(m.youngest(now, n, me), m.youngest(now, got.ELIN, me)) {
				t.Fatalf("%s was used longer ago than %s", n, got.ELIN)
			}
		}
	}
}

// youngest is the holder in need who last used a number.
func (m model) youngest(now time.Time, number string, me who) (best holder) {
	for _, h := range m.holders(now, number) {
		if h.who != me && !h.test && (best.who == who{} || older(best, h)) {
			best = h
		}
	}
	return best
}

func older(a, b holder) bool {
	switch {
	case a.running != b.running:
		return b.running
	case a.running:
		return a.began.Before(b.began)
	}
	return a.ended.Before(b.ended)
}

// compare: a callback finds exactly who lives on the number, the most recent first.
func compare(t *testing.T, m model, cb Callback, now time.Time, number string) {
	t.Helper()
	var help, tests []holder
	for _, h := range m.holders(now, number) {
		if h.test {
			tests = append(tests, h)
		} else {
			help = append(help, h)
		}
	}
	want := merged(help)
	if len(help) == 0 {
		want = merged(tests)
	}
	if len(cb.Callers) != len(want) || cb.Shared != (len(want) > 1) || cb.Desk != (len(merged(help)) > 1) || cb.Main {
		t.Fatalf("%s: %+v; want %v", number, cb, want)
	}
	began := make([]time.Time, len(cb.Callers))
	for i, c := range cb.Callers {
		j := slices.IndexFunc(want, func(h holder) bool { return h.who == c.who() })
		if j < 0 {
			t.Fatalf("%s: %v is rung; want %v", number, c.User, want)
		}
		if began[i] = want[j].began; i > 0 && began[i].After(began[i-1]) {
			t.Fatalf("%s: out of order: %v", number, cb.Callers)
		}
	}
}

// merged has every caller once, with the last call.
func merged(list []holder) []holder {
	var out []holder
	for _, h := range list {
		i := slices.IndexFunc(out, func(o holder) bool { return o.who == h.who })
		if i < 0 {
			out = append(out, h)
		} else if h.began.After(out[i].began) {
			out[i].began = h.began
		}
	}
	return out
}

func TestRandomHistories(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		ops := make([]byte, 500)
		r.Read(ops)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, ops, seed%2 == 0) })
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 2, 3, 0, 6, 120, 0, 1, 7, 15})
	f.Add([]byte{224, 0, 0, 1, 5, 9, 0, 27, 4, 1, 6, 119, 5, 255, 15, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) { history(t, ops[:min(len(ops), 400)], true) })
}
