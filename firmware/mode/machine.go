package mode

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Settings of a Machine.
type Settings struct {
	Zones   []string      // names of the SIP zones; at least one
	Missed  int           // misses in a row that make a zone down, answers in a row that make it up; at least 1
	HoldOff time.Duration // the cloud must answer for so long, without a gap, before phones are sent home
	Linger  time.Duration // recovering ends after so long even if a phone has not left; 0: 10 minutes
	Resume  Mode          // Resilience when the program was restarted in an outage; otherwise Normal
}

// Machine is the state machine. It is not safe for concurrent use: one goroutine feeds it.
type Machine struct {
	set    Settings
	probes []Evidence // SIP zones in order, then what else was reported
	state  State
	stable time.Time // since when some zone has answered without a gap; zero: none does
}

// New makes a machine that begins at now.
func New(s Settings, now time.Time) (*Machine, error) {
	switch {
	case len(s.Zones) == 0:
		return nil, errors.New("mode: no zone to judge the cloud by")
	case s.Missed < 1:
		return nil, fmt.Errorf("mode: %d misses cannot make a zone down", s.Missed)
	case s.HoldOff < 0 || s.Linger < 0:
		return nil, fmt.Errorf("mode: hold-off of %s, linger of %s", s.HoldOff, s.Linger)
	case s.Resume != Normal && s.Resume != Resilience:
		return nil, fmt.Errorf("mode: cannot resume in %s", s.Resume)
	}
	if s.Linger == 0 {
		s.Linger = 10 * time.Minute
	}
	m := &Machine{set: s, state: State{Mode: s.Resume, Since: now, Cause: "started"}}
	if s.Resume == Resilience {
		m.state.Cause = "restarted in an outage"
	}
	for _, name := range s.Zones {
		if slices.ContainsFunc(m.probes, func(e Evidence) bool { return e.Zone == name }) {
			return nil, fmt.Errorf("mode: two zones are called %q", name)
		}
		m.probes = append(m.probes, Evidence{Zone: name, Kind: SIP})
	}
	return m, nil
}

// State is where the machine stands.
func (m *Machine) State() State {
	s := m.state
	s.Until = m.Next()
	return s
}

// Evidence is the last word of every probe.
func (m *Machine) Evidence() []Evidence { return slices.Clone(m.probes) }

// Next is when Tick is due; zero when time alone changes nothing.
func (m *Machine) Next() time.Time {
	switch {
	case m.state.Mode == Drill:
		return m.state.Since.Add(m.state.Drill.Limit)
	case m.state.Mode == Resilience && !m.stable.IsZero():
		if _, _, up := m.survey(); up == "" {
			return time.Time{} // it takes further answers, not time
		}
		return later(m.stable, m.state.Since).Add(m.set.HoldOff)
	case m.state.Mode == Recovering:
		return m.state.Since.Add(m.set.Linger)
	}
	return time.Time{}
}

// Tick tells the machine the time.
func (m *Machine) Tick(now time.Time) []Transition {
	next := m.Next()
	if next.IsZero() || now.Before(next) {
		return nil
	}
	switch m.state.Mode {
	case Drill:
		return []Transition{m.enter(now, Recovering, fmt.Sprintf("drill over after %s", m.state.Drill.Limit), nil)}
	case Resilience:
		return []Transition{m.enter(now, Recovering, fmt.Sprintf("cloud stable for %s", m.set.HoldOff), nil)}
	}
	return []Transition{m.enter(now, Normal, fmt.Sprintf("recovering for %s", m.set.Linger), nil)}
}

// Vacant tells the machine that no phone is registered and no call runs: recovering is over.
func (m *Machine) Vacant(now time.Time) []Transition {
	if m.state.Mode != Recovering {
		return nil
	}
	return []Transition{m.enter(now, Normal, "all phones have gone home", nil)}
}

// Probe takes one probe's outcome. The outcome of a zone that is not configured changes nothing, nor does one that is
// older than what is known.
func (m *Machine) Probe(now time.Time, p Probe) []Transition {
	if !m.record(p) {
		return nil
	}
	answering, down, _ := m.survey()
	switch {
	case !answering:
		m.stable = time.Time{}
	case m.stable.IsZero():
		m.stable = now
	}
	switch m.state.Mode {
	case Normal, Recovering:
		if down {
			return []Transition{m.enter(now, Resilience, "no zone of the cloud answers", nil)}
		}
	case Drill:
		if down {
			return []Transition{m.enter(now, Resilience, "no zone of the cloud answers, in a drill", nil)}
		}
	}
	return m.Tick(now)
}

// survey is what the SIP zones say together: whether any answered last time, whether all are down, which one is up.
func (m *Machine) survey() (answering, down bool, up string) {
	down = true
	for _, e := range m.probes {
		if e.Kind != SIP {
			continue
		}
		answering = answering || e.Alive
		down = down && e.Verdict == Down
		if up == "" && e.Verdict == Up {
			up = e.Zone
		}
	}
	return answering, down, up
}

// enter changes the mode. The drill of the transition is the one that begins, or the one that ends.
func (m *Machine) enter(now time.Time, to Mode, cause string, begins *Order) Transition {
	drill := begins
	if drill == nil {
		drill = m.state.Drill
	}
	t := Transition{At: now, From: m.state.Mode, To: to, Cause: cause, Evidence: m.Evidence(), Drill: drill}
	m.state = State{Mode: to, Since: now, Cause: cause, Drill: begins}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
