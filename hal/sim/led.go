package sim

import (
	"slices"
	"sync"

	"holdfast/hal"
)

// LED is an output that keeps the patterns it was set to. The zero LED is off; it is safe for concurrent use.
type LED struct {
	mu    sync.Mutex
	shown []hal.Pattern
}

var _ hal.LED = (*LED)(nil)

// kept patterns of an LED; a board that runs for years forgets the older ones.
const kept = 100

// Set shows a pattern; one that is shown already is not noted again.
func (l *LED) Set(p hal.Pattern) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p != l.now() {
		l.shown = append(l.shown, p)
		l.shown = slices.Delete(l.shown, 0, max(0, len(l.shown)-kept))
	}
}

// Now is the pattern that is shown.
func (l *LED) Now() hal.Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now()
}

func (l *LED) now() hal.Pattern {
	if len(l.shown) == 0 {
		return hal.Off
	}
	return l.shown[len(l.shown)-1]
}

// Shown is the last changes of the pattern, oldest first.
func (l *LED) Shown() []hal.Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.shown)
}
