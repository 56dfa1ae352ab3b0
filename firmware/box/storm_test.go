package box

import (
	"context"
	command "flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/lab/memnet"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

var (
	stormCalls = command.Int("storm.calls", 300, "calls of the storm")
	stormSeed  = command.Uint64("storm.seed", 0, "fixes the plan and the abort points; 0: a new one")
)

func netipFrom(b [4]byte) netip.Addr { return netip.AddrFrom4(b) }

// tally is what became of the calls.
type tally struct {
	mu        sync.Mutex
	tried     [fates]int
	completed [fates]int
	stories   []string // by worker and call
	failed    []string // calls that should have lived and did not
}

// storm runs the calls, some workers at a time, and waits until the box is at rest.
func storm(t *testing.T, r *rig, workers, calls int, seed uint64, last fate, patient, rest time.Duration) *tally {
	t.Helper()
	all := &tally{stories: make([]string, workers*(calls/workers))}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	var crew []*worker
	for n := range workers {
		w := newWorker(r, n, patient)
		crew = append(crew, w)
		wg.Go(func() {
			for i, p := range plans(seed, uint64(n), calls/workers, last) {
				began := time.Now()
				done := w.call(ctx, p)
				if took := time.Since(began); took > 2*time.Second {
					t.Logf("%v: %s, %s late=%v early=%v callee=%v: %s", took, p.kind, p.fate, p.late, p.early, p.callee, strings.Join(w.heard, "; "))
				}
				story := fmt.Sprintf("%s, %s: %s", p.kind, p.fate, strings.Join(w.heard, "; "))
				all.mu.Lock()
				all.tried[p.fate]++
				if done {
					all.completed[p.fate]++
				} else if p.fate == lives {
					all.failed = append(all.failed, story)
				}
				all.stories[n*(calls/workers)+i] = story
				all.mu.Unlock()
			}
		})
	}
	wg.Wait()
	// Late INVITEs of calls that are over still get their answers, so that the box need not wait for its timers.
	for end := time.Now().Add(rest); time.Now().Before(end) && r.calls.Count() > 0; {
		for _, w := range crew {
			for len(w.inbox) > 0 {
				if ev := <-w.inbox; ev.m != nil {
					w.stale(ev)
				}
			}
		}
		time.Sleep(rest / 1000)
	}
	for _, w := range crew {
		w.a.drop()
		w.b.drop()
		w.c.drop()
	}
	return all
}

func (a *tally) report(t *testing.T) {
	t.Helper()
	for f := range fates {
		t.Logf("%-26s %5d calls, %5d as planned", f, a.tried[f], a.completed[f])
	}
}

// atRest fails unless nothing of any call is left within the time.
func atRest(t *testing.T, r *rig, within time.Duration) {
	t.Helper()
	left := func() (what []string) {
		note := func(name string, n int) {
			if n != 0 {
				what = append(what, fmt.Sprintf("%d %s", n, name))
			}
		}
		u := r.stack.Usage()
		note("calls", r.calls.Count())
		note("legs", r.calls.Legs())
		note("server transactions", u.ServerTxs)
		note("bytes held", u.HeldBytes)
		note("client transactions", u.ClientTxs)
		conns := u.Conns
		if r.sbc.current() != nil && conns > 0 {
			conns-- // the trunk's own
		}
		note("connections", conns)
		if r.relay != nil {
			c := r.relay.Counts()
			note("sessions", c.Sessions)
			note("media legs", c.Legs)
			note("ports", c.PortsUsed)
		} else {
			m := r.media.(*still)
			m.mu.Lock()
			note("sessions", m.open)
			note("media legs", m.legs)
			m.mu.Unlock()
		}
		if len(what) == 0 {
			runtime.GC()
			note("INVITEs remembered (by a timer or a goroutine)", r.remembered())
		}
		return what
	}
	var what []string
	for end := time.Now().Add(within); ; {
		if what = left(); len(what) == 0 {
			return
		}
		if time.Now().After(end) {
			break
		}
		time.Sleep(within / 200)
	}
	t.Errorf("left behind: %s", strings.Join(what, ", "))
	for _, c := range r.calls.Calls() {
		t.Errorf("still there: %+v", c)
	}
}

func seeded(t *testing.T) uint64 {
	seed := *stormSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d (again with -storm.seed %d -storm.calls %d)", seed, seed, *stormCalls)
	return seed
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

// TestStorm: real connections, real media ports, every abort; nothing may be left.
func TestStorm(t *testing.T) {
	seed := seeded(t)
	const workers = 24
	fds, goroutines := openFiles(t), runtime.NumGoroutine()
	began := time.Now()
	// The second trunk is never there: what the first one refuses fails over to it in vain.
	// An ACK that comes after 64*T1 ends its call, rightly: a machine that stands still for a second must not be taken for a phone that does.
	r := newRig(t, rigOptions{net: loopback{}, users: 3 * workers, timers: stack.Timers{T1: 40 * time.Millisecond, T2: 160 * time.Millisecond}, limits: stack.Limits{AuthenticatedRate: 10000},
		change: func(d *site.Document) {
			d.Trunks = append(d.Trunks, site.Trunk{ID: "gone", Address: "127.0.70.4:9", TLSName: "gone.carrier.example", OptionsInterval: 30})
		}})
	stop := r.run()
	all := storm(t, r, workers, *stormCalls, seed, fates, 5*time.Second, 10*time.Second)
	atRest(t, r, 15*time.Second)
	stop()
	all.report(t)
	for _, s := range all.failed[:min(8, len(all.failed))] {
		t.Logf("broken off: %s", s)
	}
	// A plan may be several calls (a consultation, a phone that fetches a parked one) or none, where the trunk's connection has just fallen.
	t.Logf("%d plans made %d calls and %d records in %v", len(all.stories), r.calls.Totals().Calls.Load(), r.records, time.Since(began).Round(time.Millisecond))
	if n := r.calls.Totals().Faults.Load(); n > 0 {
		t.Errorf("%d calls ended by a fault", n)
	}
	if total := r.calls.Totals(); int(total.Calls.Load()) != r.records {
		t.Errorf("%d calls, %d records", total.Calls.Load(), r.records)
	}
	// A connection that another worker's call has cut takes calls over the trunk with it: those between phones all live.
	for _, story := range all.failed {
		if strings.HasPrefix(story, inside.String()) {
			t.Errorf("should have lived: %s", story)
		}
	}
	if most := all.tried[lives] / 2; len(all.failed) > most {
		t.Errorf("%d of %d calls that should have lived did not, such as %s", len(all.failed), all.tried[lives], all.failed[0])
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f, g := openFiles(t), runtime.NumGoroutine()
		if f <= fds && g <= goroutines {
			break
		}
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			t.Fatalf("%d files open, before it were %d; %d goroutines, before %d\n%s", f, fds, g, goroutines, buf[:runtime.Stack(buf, true)])
		}
	}
}

// TestStormRepeats: the same plans over a network in memory, in a bubble of its own time. Everything that anybody hears
// must be the same when it is done again.
func TestStormRepeats(t *testing.T) {
	seed := seeded(t)
	const workers = 6
	calls := min(*stormCalls, 240)
	again := func() []string { return inBubble(t, workers, calls, seed, moves) }
	first, second := again(), again()
	if slices.Equal(first, second) {
		return
	}
	for i := range first {
		if first[i] != second[i] {
			t.Errorf("call %d: %s\n then: %s", i, first[i], second[i])
			break
		}
	}
}

// TestStormMoves: transfers and their like in memory. Calls that speak to each other at the same instant do so in any order, so two
// runs are not compared; but nothing may be left.
func TestStormMoves(t *testing.T) {
	inBubble(t, 6, min(*stormCalls, 240), seeded(t), fates)
}

// inBubble runs a storm over a network in memory, in a bubble of its own time, and returns what everybody heard.
func inBubble(t *testing.T, workers, calls int, seed uint64, last fate) (stories []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := &memnet.Net{}
		r := newRig(t, rigOptions{net: inMemory{network}, users: 3 * workers})
		stop := r.run()
		all := storm(t, r, workers, calls, seed, last, 10*time.Second, 3*time.Minute)
		atRest(t, r, 3*time.Minute)
		stop()
		if n := r.calls.Totals().Faults.Load(); n > 0 {
			t.Errorf("%d calls ended by a fault", n)
		}
		if n := network.Open(); n != 0 {
			t.Errorf("%d ends of connections left open", n)
		}
		stories = all.stories
	})
	return stories
}
