package mode

import (
	"errors"
	"slices"
	"time"
)

// MaxDrill is the longest time that a drill may be asked for: a forgotten one must not keep phones from the cloud for days.
const MaxDrill = 24 * time.Hour

// Errors of StartDrill and StopDrill.
var (
	ErrOutage    = errors.New("the cloud is away: this is no time for a drill")
	ErrDrilling  = errors.New("a drill is already running")
	ErrNoDrill   = errors.New("no drill is running")
	ErrNoLimit   = errors.New("a drill needs a time limit above zero and of at most 24 hours")
	ErrReturning = errors.New("phones are still going home: start the drill when the mode is normal")
)

// Order is a drill as a person asks for it.
type Order struct {
	By    string        // who or what asked: "button", "command", a name
	Users []string      // site.User.ID of those who take part; empty: the whole site
	Limit time.Duration // above zero, at most MaxDrill
}

func (o *Order) covers(user string) bool {
	return o != nil && (len(o.Users) == 0 || slices.Contains(o.Users, user))
}

// StartDrill begins a drill; only normal operation can be interrupted by one.
func (m *Machine) StartDrill(now time.Time, o Order) ([]Transition, error) {
	switch {
	case o.Limit <= 0 || o.Limit > MaxDrill:
		return nil, ErrNoLimit
	case m.state.Mode == Drill:
		return nil, ErrDrilling
	case m.state.Mode == Resilience:
		return nil, ErrOutage
	case m.state.Mode == Recovering:
		return nil, ErrReturning
	}
	o.Users = slices.Clone(o.Users)
	return []Transition{m.enter(now, Drill, "drill started by "+o.By, &o)}, nil
}

// StopDrill ends the drill before its limit; its phones are sent home.
func (m *Machine) StopDrill(now time.Time, by string) ([]Transition, error) {
	if m.state.Mode != Drill {
		return nil, ErrNoDrill
	}
	return []Transition{m.enter(now, Recovering, "drill stopped by "+by, nil)}, nil
}
