// Package sim is a board without a board: its outputs remember what was asked of them, and its buttons are pressed by a
// program. It stands in where a machine has no panel, and in tests.
package sim

import (
	"context"
	"sync"
	"time"

	"holdfast/hal"
)

// Board has all outputs and all buttons.
type Board struct {
	leds    [hal.Outputs]LED
	buttons [hal.Keys]hal.Press
	changes chan hal.Change

	mu    sync.Mutex
	began time.Time // zero: it does not run
}

var _ hal.Board = (*Board)(nil)

// New makes a board: everything off, nothing pressed.
func New() *Board { return &Board{changes: make(chan hal.Change, 16)} }

// LED is one of the outputs.
func (b *Board) LED(o hal.Output) hal.LED { return &b.leds[o] }

// Output is the same one, with its memory.
func (b *Board) Output(o hal.Output) *LED { return &b.leds[o] }

// Button is one of the buttons.
func (b *Board) Button(k hal.Key) hal.Button { return &b.buttons[k] }

// Press presses a button or lets it go, and reports whether that changed it. Nothing changes when Run has fallen behind.
func (b *Board) Press(k hal.Key, down bool) bool {
	if !b.buttons[k].Set(down) {
		return false
	}
	select {
	case b.changes <- hal.Change{Key: k, Down: down, At: time.Now()}:
		return true
	default:
		b.buttons[k].Set(!down)
		return false
	}
}

// Lit reports whether an output is on at this moment of its pattern.
func (b *Board) Lit(o hal.Output) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.began.IsZero() && b.leds[o].Now().On(time.Since(b.began))
}

func (b *Board) begin(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.began = at
}

// Run hands out what is pressed until ctx ends, then everything goes off.
func (b *Board) Run(ctx context.Context, changed func(hal.Change)) error {
	b.begin(time.Now())
	defer func() {
		b.begin(time.Time{})
		for o := range hal.Output(hal.Outputs) {
			b.leds[o].Set(hal.Off)
		}
	}()
	for {
		select {
		case c := <-b.changes:
			changed(c)
		case <-ctx.Done():
			return nil
		}
	}
}
