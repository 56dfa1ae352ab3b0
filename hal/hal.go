// Package hal is the board as the rest of the program sees it: outputs that blink or sound in a pattern. Patterns are data,
// so that a light, a buzzer, a terminal and a page show the same. What a pattern stands for is not its job; pins are
// those of hal/gpio, and hal/sim is a board for tests.
package hal

import "time"

// Alarm is one output that draws attention: a light or a buzzer. Set returns at once, may be called from any goroutine,
// and setting the pattern that is shown already does not begin it anew.
type Alarm interface {
	Set(Pattern)
}

// Pattern is how an output is on and off: on, off, on, off, and again. The zero Pattern is off; one that is never off is
// on all the time. Patterns can be compared.
type Pattern struct {
	Name  string
	Times [4]time.Duration
}

// The patterns. They differ in rhythm, so that they are told apart without colour.
var (
	Off    = Pattern{}
	Steady = Pattern{"steady", [4]time.Duration{time.Second}}
	Slow   = Pattern{"slow", [4]time.Duration{time.Second, time.Second}}
	Fast   = Pattern{"fast", [4]time.Duration{125 * time.Millisecond, 125 * time.Millisecond}}
	Double = Pattern{"double", [4]time.Duration{150 * time.Millisecond, 150 * time.Millisecond, 150 * time.Millisecond, 1050 * time.Millisecond}}
)

// On reports whether the output is on so long after the pattern began.
func (p Pattern) On(since time.Duration) bool {
	var period time.Duration
	for _, d := range p.Times {
		period += d
	}
	if period <= 0 {
		return false
	}
	since %= period
	for i, d := range p.Times {
		if since < d {
			return i%2 == 0
		}
		since -= d
	}
	return false
}
