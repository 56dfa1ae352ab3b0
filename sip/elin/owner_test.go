package elin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFlood: whatever one address and one user do with ever new names of phones, everybody else gets a pin, keeps it for
// the whole window, and has an ELIN of their own while one is free.
func TestFlood(t *testing.T) {
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprint("+121755590", 10+i))
	}
	places := [][]string{all, all[:6], all[4:9]}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		tab, now := New(Options{}), start
		type victim struct {
			caller Caller
			number string
			ended  time.Time // zero: it runs
		}
		var victims []victim
		for i := range 3000 {
			id := fmt.Sprint("flood", i)
			c := Caller{Source: "10.0.0.66", Instance: id, CallID: id, Flows: Flows{uint64(i)}}
			switch r.IntN(4) {
			case 0:
				c.Instance, c.Binding = "", "sip:"+id+"@10.0.0.66"
			case 1:
				c.User, c.Test = "mallory", r.IntN(2) == 0
			}
			place := floor(places[r.IntN(len(places))]...)
			place.Trunk = []string{"a", "b"}[r.IntN(2)]
			tab.Pin(now, place, c)
			if r.IntN(2) == 0 {
				tab.Ended(now, id)
			}
			now = now.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
			if r.IntN(300) == 0 {
				id := fmt.Sprint("v", len(victims))
				v := victim{caller: []Caller{{User: id, Instance: "i", CallID: id}, {Source: "10.0.1." + id, CallID: id}, {Device: id, CallID: id}}[r.IntN(3)]}
				a := tab.Pin(now, floor(all...), v.caller)
				if v.number = a.ELIN; a.Unpinned || a.Shared {
					t.Fatalf("seed %d: %s gets %+v", seed, id, a)
				}
				victims = append(victims, v)
			}
			for j := range victims {
				v := &victims[j]
				if v.ended.IsZero() && r.IntN(500) == 0 {
					v.ended = now
					tab.Ended(now, v.caller.CallID)
				}
				if i%8 != 0 {
					continue
				}
				found := slices.ContainsFunc(tab.Callback(now, v.number).Callers, func(c Caller) bool { return c.SamePhone(v.caller) })
				if lives := v.ended.IsZero() || now.Sub(v.ended) < Window; found != lives {
					t.Fatalf("seed %d, call %d: the pin of %s is there: %v, want %v", seed, i, v.caller.CallID, found, lives)
				}
			}
			if r.IntN(500) == 0 {
				data := tab.Export(now)
				tab = New(Options{})
				if err := tab.Restore(now, data); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := len(tab.pins); n > 2*maxOwned+len(victims) {
			t.Errorf("seed %d: %d pins of two who flood and %d others", seed, n, len(victims))
		}
		for _, p := range tab.Expire(now.Add(100 * Window)) {
			tab.Ended(now, p.Caller.CallID)
		}
		tab.Reconcile(now, func(string) bool { return false })
		tab.Expire(now.Add(Window))
		if len(tab.pins)+len(tab.numbers)+len(tab.owned)+len(tab.calls)+tab.weak != 0 {
			t.Errorf("seed %d: left behind %d pins, %d numbers, %d owners, %d calls", seed, len(tab.pins), len(tab.numbers), len(tab.owned), len(tab.calls))
		}
	}
}

// TestManyPhonesBehindOneAddress: each is told apart up to a bound, those after it are called back together.
func TestManyPhonesBehindOneAddress(t *testing.T) {
	for name, owner := range map[string]Caller{"strangers": {Source: "10.0.0.5"}, "a user": {User: "ann", Source: "10.0.0.5"}} {
		t.Run(name, func(t *testing.T) {
			tab := New(Options{})
			for i := range 2 * maxPhones {
				c := owner
				c.Instance, c.Binding, c.CallID, c.Flows = fmt.Sprint("i", i), fmt.Sprint("sip:", i, "@h"), fmt.Sprint(i), Flows{uint64(i + 1)}
				a := tab.Pin(start.Add(time.Duration(i)*time.Second), floor("1", "2", "3", "4", "5", "6"), c)
				if i < maxELINs && a.Shared || a.Unpinned || a.ELIN > "4" {
					t.Errorf("call %d gets %+v", i, a)
				}
			}
			pins := tab.Pins(start.Add(time.Hour))
			exact := slices.DeleteFunc(slices.Clone(pins), func(p Pin) bool { return p.Caller.Instance == "" })
			if len(exact) != maxPhones || len(pins) > maxPhones+maxELINs {
				t.Errorf("%d pins, %d of one phone each", len(pins), len(exact))
			}
			last := pins[0].Caller // the one that called last is one of all
			if last.Instance+last.Binding != "" || last.Flows[0] != 2*maxPhones || !last.Is("any", "phone", 0) {
				t.Errorf("%+v", last)
			}
		})
	}
}

// TestFlows: a pin knows the last connections of its phone, and a copy of another life knows none.
func TestFlows(t *testing.T) {
	tab := New(Options{})
	for _, f := range []uint64{1, 2, 2, 3, 4, 1, 5} {
		tab.Pin(start, floor(e1), Caller{Source: "10.0.0.5", Instance: "x", Flows: Flows{f}})
	}
	if got := tab.Callback(start, e1).Callers[0].Flows; got != (Flows{5, 1, 4, 3}) {
		t.Errorf("%v", got)
	}
	again := New(Options{})
	if err := again.Restore(start, tab.Export(start)); err != nil {
		t.Fatal(err)
	}
	if got := again.Callback(start, e1).Callers[0].Flows; got != (Flows{}) {
		t.Errorf("after a restart: %v", got)
	}
}

func TestIs(t *testing.T) {
	for _, tt := range []struct {
		name              string
		c                 Caller
		instance, binding string
		flow              uint64
		is, may           bool
	}{
		{"by instance", Caller{Instance: "x", Binding: "sip:a@h"}, "x", "sip:b@g", 7, true, true},
		{"another instance at the same place", Caller{Instance: "x", Binding: "sip:a@h"}, "y", "sip:a@h", 7, false, false},
		{"without instance, from another port", Caller{Binding: "sip:a@h:1;transport=tls"}, "", "sip:a@h:2", 7, false, true},
		{"without instance, another phone", Caller{Binding: "sip:a@h:1"}, "", "sip:a@g:1", 7, false, false},
		{"one that has not told its instance", Caller{Binding: "sip:a@h:1"}, "y", "sip:a@h:1", 7, true, true},
		{"one with an instance is not the one without", Caller{Binding: "sip:a@h:1"}, "y", "sip:a@h:2", 7, false, false},
		{"by connection", Caller{Instance: "x", Flows: Flows{7}}, "y", "", 7, true, true},
		{"no connection is no connection", Caller{Instance: "x", Flows: Flows{7}}, "y", "", 0, false, false},
		{"whichever it was", Caller{User: "ann"}, "y", "sip:a@h", 7, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if is, may := tt.c.Is(tt.instance, tt.binding, tt.flow), tt.c.MayBe(tt.instance, tt.binding, tt.flow); is != tt.is || may != tt.may {
				t.Errorf("is %v, may be %v", is, may)
			}
		})
	}
}
