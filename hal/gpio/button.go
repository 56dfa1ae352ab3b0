package gpio

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"

	"holdfast/hal"
)

const (
	settle  = 20 * time.Millisecond  // a contact that has been quiet for so long has stopped bouncing
	idle    = 250 * time.Millisecond // the longest wait for an edge: the end is noticed by then, and an edge that was lost
	bounces = 50                     // a line that never gets quiet counts as it is
)

// button is an input. Before the board runs it is down or up as of its opening, then as of the last change.
type button struct {
	hal.Press
	pin gpio.PinIO // nil: the board has none
	low bool
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
	b.Set(b.read())
	return nil
}

func (b *button) read() bool { return (b.pin.Read() == gpio.High) != b.low }

// watch reports changes until ctx ends. The time of a change is that of its first edge.
func (b *button) watch(ctx context.Context, changed func(hal.Change)) {
	for ctx.Err() == nil {
		edge := b.wait(ctx, idle)
		at := time.Now()
		for i := 0; edge && i < bounces && ctx.Err() == nil && b.pin.WaitForEdge(settle); i++ {
		}
		if down := b.read(); b.Set(down) {
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
