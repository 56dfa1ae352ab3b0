package mode

import (
	"fmt"
	"time"
)

// Kind is how a zone was probed.
type Kind uint8

// The kinds of probe.
const (
	SIP   Kind = iota // decides
	HTTPS             // evidence only
)

// String is the kind's name in logs and status.
func (k Kind) String() string {
	if k == HTTPS {
		return "https"
	}
	return "sip"
}

// MarshalText makes the kind its name in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *Kind) UnmarshalText(text []byte) error {
	for _, kind := range []Kind{SIP, HTTPS} {
		if kind.String() == string(text) {
			*k = kind
			return nil
		}
	}
	return fmt.Errorf("mode: there is no kind of probe %q", text)
}

// Verdict is what a zone is taken for.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // not enough was seen yet
	Up
	Down
)

// String is the verdict's name in logs and status.
func (v Verdict) String() string {
	switch v {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "unknown"
}

// MarshalText makes the verdict its name in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a verdict's name.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, verdict := range []Verdict{Unknown, Up, Down} {
		if verdict.String() == string(text) {
			*v = verdict
			return nil
		}
	}
	return fmt.Errorf("mode: there is no verdict %q", text)
}

// Probe is one probe's outcome.
type Probe struct {
	Zone   string
	Kind   Kind
	At     time.Time // when it was sent
	Alive  bool
	RTT    time.Duration
	Detail string // "200 OK", "connection refused"
}

// record files an outcome; false when it concerns nothing or comes late. HTTPS has one entry, whatever its name.
func (m *Machine) record(p Probe) bool {
	e := m.entry(p)
	if e == nil || p.At.Before(e.At) {
		return false
	}
	if e.Alive != p.Alive || e.At.IsZero() {
		e.InARow, e.Since = 0, p.At
	}
	e.InARow++
	if p.Alive {
		e.LastAlive = p.At
	}
	e.Alive, e.At, e.RTT, e.Detail = p.Alive, p.At, p.RTT, p.Detail
	if e.InARow >= m.set.Missed {
		e.Verdict = Down
		if p.Alive {
			e.Verdict = Up
		}
	}
	return true
}

func (m *Machine) entry(p Probe) *Evidence {
	for i := range m.probes {
		if e := &m.probes[i]; e.Kind == p.Kind && (e.Zone == p.Zone || p.Kind == HTTPS) {
			return e
		}
	}
	if p.Kind != HTTPS {
		return nil
	}
	m.probes = append(m.probes, Evidence{Zone: p.Zone, Kind: HTTPS})
	return &m.probes[len(m.probes)-1]
}
