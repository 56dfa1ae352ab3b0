// Package mode is the resilience state machine: from what the probes of the cloud report and what a person asks for,
// it decides whether the branch's phones are served. It is pure: it reads no clock, starts nothing and logs nothing;
// firmware/box feeds it, firmware/cloud probes.
//
//	            every zone down               a zone up, stable for the hold-off
//	normal ───────────────────────► resilience ───────────────► recovering ──► normal
//	   │ drill                          ▲  ▲     every zone down    │    all phones gone, or Linger
//	   └────────► drill ────────────────┘  └────────────────────────┘
//	                └─ stopped or over: recovering
//
// A zone is down after Missed misses in a row and up after as many answers in a row; between the two it stays what it
// was, so a flapping zone changes nothing. How fast probes follow each other is firmware/cloud's choice: faster at the start, when
// nothing is known and phones may be waiting. An outage that is taken for one wrongly costs little then: phones that reach the
// cloud stay with it, since the box is their last choice. HTTPS is evidence, it decides nothing. Until the cloud has answered for the
// hold-off without a gap phones are served as before: they are not sent to a cloud that flaps.
package mode

import (
	"fmt"
	"time"
)

// Mode is what the box does for the branch.
type Mode uint8

// The modes. A Machine begins in Normal although nothing is known yet: serving while the cloud is there would take
// phones away from it, and an outage is noticed within the usual misses.
const (
	Normal     Mode = iota // phones stay with the cloud
	Resilience             // the cloud is gone: full service
	Drill                  // as resilience, because a person says so
	Recovering             // the cloud is back: phones are sent home, those still here are served
)

// String is the mode's name in logs, records and status.
func (m Mode) String() string {
	switch m {
	case Normal:
		return "normal"
	case Resilience:
		return "resilience"
	case Drill:
		return "drill"
	case Recovering:
		return "recovering"
	}
	return "unknown"
}

// MarshalText makes the mode its name in JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	for _, mode := range []Mode{Normal, Resilience, Drill, Recovering} {
		if mode.String() == string(text) {
			*m = mode
			return nil
		}
	}
	return fmt.Errorf("mode: there is no mode %q", text)
}

// State is where the machine stands.
type State struct {
	Mode  Mode
	Since time.Time
	Cause string
	Drill *Order    // of the running drill; nil otherwise
	Until time.Time // when Mode ends by itself, as things stand; zero: not by time
}

// Serves says whether calls and registrations of a user (site.User.ID) are served.
func (s State) Serves(user string) bool {
	switch s.Mode {
	case Resilience, Recovering:
		return true
	case Drill:
		return s.Drill.covers(user)
	}
	return false
}

// SendsHome says whether a registration's refresh is answered so that the phone goes back to the cloud.
func (s State) SendsHome() bool { return s.Mode == Recovering }

// Transition is a change of mode, with what is needed to explain it later.
type Transition struct {
	At       time.Time
	From, To Mode
	Cause    string
	Evidence []Evidence // the last word of every probe
	Drill    *Order     // the drill that began or ended by it
}

// Evidence is the last that is known of one probe.
type Evidence struct {
	Zone    string
	Kind    Kind
	Verdict Verdict
	Alive   bool // the last probe's outcome; Verdict is what counts
	InARow  int  // so many equal outcomes in a row
	At      time.Time
	RTT     time.Duration
	Detail  string
	// For how an outage is told later: when the row of equal outcomes began, and when the zone last answered (zero: never).
	Since, LastAlive time.Time
}
