package gpio

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"holdfast/hal"
)

const (
	settle  = 20 * time.Millisecond  // a contact that has been quiet for so long has stopped bouncing
	idle    = 250 * time.Millisecond // the longest wait for an edge: the end is noticed by then, and an edge that was lost
	bounces = 50                     // a line that never gets quiet counts as it is
)

// button is an input.
type button struct {
	pin gpio.PinIO // nil: the board has none
	low bool

	mu   sync.Mutex
	down bool
}

// open makes the line an input that reports edges. Not every controller has resistors of its own.
func (b *button) open() error {
	pull := gpio.PullDown
	if b.low {
		pull = gpio.PullUp
	}
	err := b.pin.In(pull, gpio.BothEdges)
	if err != nil {
		err = b.pin.In(gpio.PullNoChange, gpio.BothEdges)
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", b.pin.Name(), err)
	}
	b.set(b.read())
	return nil
}

// Down reports whether it is held down, as of the last change; before the board runs, as of its opening.
func (b *button) Down() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *button) set(down bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed = b.down != down
	b.down = down
	return changed
}

func (b *button) read() bool { return (b.pin.Read() == gpio.High) != b.low }

// watch reports changes until ctx ends. The time of a change is that of its first edge.
func (b *button) watch(ctx context.Context, changed func(hal.Change)) {
	for ctx.Err() == nil {
		edge := b.wait(ctx, idle)
		at := time.Now()
		for i := 0; edge && i < bounces && ctx.Err() == nil && b.pin.WaitForEdge(settle); i++ {
		}
		if down := b.read(); b.set(down) {
			changed(hal.Change{Down: down, At: at})
		}
	}
}

// wait is WaitForEdge that takes its time even when the line is broken: no loop over it can eat the processor.
func (b *button) wait(ctx context.Context, d time.Duration) bool {
	began := time.Now()
	if b.pin.WaitForEdge(d) {
		return true
	}
	if rest := d - time.Since(began); rest > settle {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
	return false
}
