package gpio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"holdfast/hal"
)

// led is an output. What it shows is kept here and never read from the line.
type led struct {
	pin     gpio.PinIO // nil: the board has none
	low     bool
	changed chan<- struct{}

	mu      sync.Mutex
	pattern hal.Pattern

	driven, on bool // the blinker's own: what the line was last told
}

// Set gives it another pattern.
func (l *led) Set(p hal.Pattern) {
	l.mu.Lock()
	same := p == l.pattern
	l.pattern = p
	l.mu.Unlock()
	if same {
		return
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *led) shown() hal.Pattern {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pattern
}

// drive switches the line if it is not as it should be.
func (l *led) drive(on bool) error {
	if l.pin == nil || l.driven && l.on == on {
		return nil
	}
	if err := l.pin.Out(gpio.Level(on != l.low)); err != nil {
		l.driven = false
		return fmt.Errorf("switch %s: %w", l.pin.Name(), err)
	}
	l.driven, l.on = true, on
	return nil
}

// blink drives all outputs until ctx ends. All patterns count from one beginning, so that equal ones blink together. A line
// that fails is tried again with the next change.
func (b *Board) blink(ctx context.Context) (fault error) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		since := time.Since(began)
		next := time.Hour
		for _, l := range b.leds {
			p := l.shown()
			if err := l.drive(p.On(since)); err != nil {
				fault = err
			}
			if left := p.Left(since); left > 0 {
				next = min(next, left)
			}
		}
		timer.Reset(next)
		select {
		case <-b.changed:
		case <-timer.C:
		case <-ctx.Done():
			for _, l := range b.leds {
				fault = errors.Join(fault, l.drive(false))
			}
			return fault
		}
	}
}
