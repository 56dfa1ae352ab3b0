package box

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/mode"
)

// play runs modes over a machine with one zone, three misses and a minute of hold-off, in a bubble with its own clock.
type play struct {
	*modes
	t      *testing.T
	began  time.Time
	vacant atomic.Bool
	stop   func()

	mu  sync.Mutex
	log []string // "seconds:from>to", as announced
}

func newPlay(t *testing.T, set mode.Settings) *play {
	p := &play{t: t, began: time.Now()}
	if set.Zones == nil {
		set.Zones = []string{"a"}
	}
	set.Missed = 3
	m, err := mode.New(set, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.modes = newModes(m, slog.New(slog.DiscardHandler), p.vacant.Load, func(tr mode.Transition) {
		p.modes.state() // the box looks at the state while it follows a change: the lock must be free
		p.mu.Lock()
		defer p.mu.Unlock()
		p.log = append(p.log, fmt.Sprintf("%.0f:%s>%s", time.Since(p.began).Seconds(), tr.From, tr.To))
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return p
}

// ask lets a zone answer or not, every two seconds.
func (p *play) ask(times int, alive bool) {
	for range times {
		p.probe(mode.Probe{Zone: "a", Kind: mode.SIP, At: time.Now(), Alive: alive, Detail: "tried"})
		time.Sleep(2 * time.Second)
	}
}

func (p *play) announced() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

func (p *play) want(log string) {
	p.t.Helper()
	if got := strings.Join(p.announced(), " "); got != log {
		p.t.Errorf("\ngot  %s\nwant %s", got, log)
	}
}

func TestModesOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, mode.Settings{HoldOff: time.Minute})
		defer p.stop()
		p.ask(3, true)
		p.ask(3, false) // down at 10 s
		p.want("10:normal>resilience")
		p.ask(1, true) // answers from 12 s on: recovering at 72 s, by the clock alone
		p.ask(2, true)
		time.Sleep(50 * time.Second)
		p.want("10:normal>resilience")
		time.Sleep(10 * time.Second)
		p.want("10:normal>resilience 72:resilience>recovering")
		time.Sleep(10*time.Second + 500*time.Millisecond)
		p.vacant.Store(true) // at 88.5 s, between two ticks; noticed within a second
		time.Sleep(2 * time.Second)
		p.want("10:normal>resilience 72:resilience>recovering 89:recovering>normal")
		if e := p.evidence(); len(e) != 1 || !e[0].Alive || evidenceText(e) != "a sip: up tried" {
			t.Errorf("evidence %q", evidenceText(e))
		}
		if h := p.history(); len(h) != 3 || h[2].To != mode.Normal {
			t.Errorf("history %v", h)
		}
	})
}

// TestModesWaitForTheZone: the hold-off is over before the zone counts as up; nothing spins until it does.
func TestModesWaitForTheZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, mode.Settings{HoldOff: time.Second})
		defer p.stop()
		p.ask(3, false)
		p.ask(1, true)
		time.Sleep(time.Minute)
		p.want("4:normal>resilience")
		p.ask(2, true)
		p.want("4:normal>resilience 70:resilience>recovering")
	})
}

func TestModesDrill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, mode.Settings{HoldOff: time.Minute, Linger: 5 * time.Minute})
		defer p.stop()
		if err := p.startDrill(mode.Order{By: "test"}); err == nil {
			t.Error("a drill without a limit was started")
		}
		if err := p.startDrill(mode.Order{By: "test", Limit: 90 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if err := p.startDrill(mode.Order{By: "test", Limit: time.Minute}); err == nil {
			t.Error("a second drill was started")
		}
		p.want("0:normal>drill")
		time.Sleep(91 * time.Second)
		p.want("0:normal>drill 90:drill>recovering")
		time.Sleep(5 * time.Minute)
		p.want("0:normal>drill 90:drill>recovering 390:recovering>normal")
		if err := p.stopDrill("test"); err == nil {
			t.Error("stopped a drill that is over")
		}
		if err := p.startDrill(mode.Order{By: "test", Limit: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := p.stopDrill("test"); err != nil {
			t.Fatal(err)
		}
		p.want("0:normal>drill 90:drill>recovering 390:recovering>normal 391:normal>drill 391:drill>recovering")
	})
}

// TestModesOrder: two changes at once are announced in order, each once; memory of them is bounded.
func TestModesOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlay(t, mode.Settings{HoldOff: time.Minute})
		defer p.stop()
		p.vacant.Store(true)
		for range eventsKept {
			if err := p.startDrill(mode.Order{By: "test", Limit: time.Hour}); err != nil {
				t.Fatal(err)
			}
			if err := p.stopDrill("test"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second + time.Millisecond)
		}
		log := p.announced()
		if len(log) != 3*eventsKept {
			t.Fatalf("%d changes announced", len(log))
		}
		for i, want := range slices.Repeat([]string{"normal>drill", "drill>recovering", "recovering>normal"}, eventsKept) {
			if !strings.HasSuffix(log[i], want) {
				t.Fatalf("change %d is %s, want %s", i, log[i], want)
			}
		}
		if h := p.history(); len(h) != eventsKept || h[eventsKept-1].To != mode.Normal {
			t.Errorf("%d changes kept", len(h))
		}
	})
}
