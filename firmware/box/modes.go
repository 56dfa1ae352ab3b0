package box

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"holdfast/firmware/mode"
)

// modes owns the resilience state machine: it feeds it probes, orders and time, and hands every change to the box.
type modes struct {
	log      *slog.Logger
	onChange func(mode.Transition) // called outside the lock, in order
	vacant   func() bool           // no phone registered, no call running

	mu      sync.Mutex
	machine *mode.Machine
	events  []mode.Transition // the last, newest at the end
	news    []mode.Transition // not announced yet
	wake    chan struct{}
}

// eventsKept in memory for status; the records on the card keep more.
const eventsKept = 50

func newModes(m *mode.Machine, log *slog.Logger, vacant func() bool, onChange func(mode.Transition)) *modes {
	return &modes{machine: m, log: log, vacant: vacant, onChange: onChange, wake: make(chan struct{}, 1)}
}

// state is where the machine stands.
func (m *modes) state() mode.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.State()
}

// evidence is the last word of every probe.
func (m *modes) evidence() []mode.Evidence {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Evidence()
}

// history is the last changes of mode.
func (m *modes) history() []mode.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// probe takes a probe's outcome.
func (m *modes) probe(p mode.Probe) {
	m.feed(func(now time.Time) ([]mode.Transition, error) { return m.machine.Probe(now, p), nil })
}

func (m *modes) startDrill(o mode.Order) error {
	return m.feed(func(now time.Time) ([]mode.Transition, error) { return m.machine.StartDrill(now, o) })
}

func (m *modes) stopDrill(by string) error {
	return m.feed(func(now time.Time) ([]mode.Transition, error) { return m.machine.StopDrill(now, by) })
}

// feed runs one input and notes what it changed.
func (m *modes) feed(f func(time.Time) ([]mode.Transition, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	ts, err := f(time.Now())
	m.news = append(m.news, ts...)
	m.events = append(m.events, ts...)
	m.events = m.events[max(0, len(m.events)-eventsKept):]
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return err
}

// run tells the machine the time and announces changes until ctx ends.
func (m *modes) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var due <-chan time.Time
		if next := m.next(); !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			m.feed(func(now time.Time) ([]mode.Transition, error) { return m.machine.Tick(now), nil })
		case <-tick.C:
			if m.state().Mode == mode.Recovering && m.vacant() {
				m.feed(func(now time.Time) ([]mode.Transition, error) { return m.machine.Vacant(now), nil })
			}
		case <-m.wake:
		}
		for _, t := range m.fresh() {
			m.announce(t)
		}
	}
}

// fresh takes what has not been announced.
func (m *modes) fresh() []mode.Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	ts := m.news
	m.news = nil
	return ts
}

func (m *modes) next() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Next()
}

func (m *modes) announce(t mode.Transition) {
	m.log.Warn("mode", "mode", t.To.String(), "from", t.From.String(), "cause", t.Cause, "evidence", evidenceText(t.Evidence))
	m.onChange(t)
}

// evidenceText is the probes' last word in a line.
func evidenceText(list []mode.Evidence) string {
	s := ""
	for i, e := range list {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("%s %s: %s %s", e.Zone, e.Kind, e.Verdict, e.Detail)
	}
	return s
}
