package outbox

import "time"

// Ages must not come from a clock that jumps: a board without a battery starts in the past, and when the time comes
// from the network what it has just written would look years old and be given up. So a jump is noted in the log, and what
// was written before it moves along.

const (
	smallJump = time.Minute        // less is passed over
	longOff   = 7 * 24 * time.Hour // a box that was off for longer more likely had the wrong time
)

// jumped is how far the clock has moved, beyond the time that passed, since it was asked last; 0 for a little.
func (b *Box) jumped() time.Duration {
	now, passed := b.o.Now().Round(0), b.o.Elapsed()
	b.mu.Lock()
	defer b.mu.Unlock()
	jump := now.Sub(b.seen) - (passed - b.passed)
	if jump.Abs() < smallJump {
		return 0
	}
	b.seen, b.passed = now, passed
	return jump
}

// noteJump moves the ages of all that is there, and has that written before whatever waits.
func (b *Box) noteJump(jump time.Duration) {
	if jump == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.segments {
		g.shift(jump)
	}
	b.waiting = append([]*operation{{record: jumpRecord(b.queue, jump), jump: true}}, b.waiting...)
	b.o.Log.Warn("outbox: the clock has jumped; ages are kept", "by", jump.String())
	b.poke()
}

// resume is the jump since the last life: time that runs backwards, or a gap that is longer than a box is off.
func (b *Box) resume() time.Duration {
	var newest time.Time
	for _, g := range b.segments {
		newest = later(newest, g.last)
	}
	if newest.IsZero() {
		return 0
	}
	if gap := b.seen.Sub(newest); gap > longOff || gap < -smallJump {
		return gap
	}
	return 0
}

func (g *segment) shift(by time.Duration) {
	if !g.last.IsZero() {
		g.last = g.last.Add(by)
	}
}
