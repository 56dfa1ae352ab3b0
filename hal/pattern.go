package hal

import "time"

// Pattern is how an output is on and off: on, off, on, off, and again. The zero Pattern is off; one that is never off is
// on all the time. Patterns can be compared. They are data, so that a light, a buzzer, a terminal and a page show the same.
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
	on, _ := p.at(since)
	return on
}

// Left is how long the output stays as it is so long after the pattern began; 0 when it never changes.
func (p Pattern) Left(since time.Duration) time.Duration {
	_, left := p.at(since)
	return left
}

func (p Pattern) at(since time.Duration) (on bool, left time.Duration) {
	var lit, dark time.Duration
	for i, d := range p.Times {
		if i%2 == 0 {
			lit += d
		} else {
			dark += d
		}
	}
	if lit <= 0 || dark <= 0 {
		return lit > 0, 0
	}
	since %= lit + dark
	for i, d := range p.Times {
		if since < d {
			return i%2 == 0, d - since
		}
		since -= d
	}
	return false, 0 // only for times below zero
}
