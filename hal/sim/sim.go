// Package sim is a board without a board: its outputs remember what was asked of them.
package sim

import (
	"slices"
	"sync"

	"holdfast/hal"
)

// Alarm is an output that keeps the patterns it was set to. The zero Alarm is off; it is safe for concurrent use.
type Alarm struct {
	mu    sync.Mutex
	shown []hal.Pattern
}

var _ hal.Alarm = (*Alarm)(nil)

// Set shows a pattern; one that is shown already is not noted again.
func (a *Alarm) Set(p hal.Pattern) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p != a.now() {
		a.shown = append(a.shown, p)
	}
}

// Now is the pattern that is shown.
func (a *Alarm) Now() hal.Pattern {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now()
}

func (a *Alarm) now() hal.Pattern {
	if len(a.shown) == 0 {
		return hal.Off
	}
	return a.shown[len(a.shown)-1]
}

// Shown is every change of the pattern, oldest first.
func (a *Alarm) Shown() []hal.Pattern {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.shown)
}
