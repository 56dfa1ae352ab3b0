// Package haltest is what every board must do, simulated or real: one table for both. Only tests import it.
package haltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/hal"
)

// Rig is a board in the hands of a test.
type Rig struct {
	Board hal.Board
	// Press moves a contact. Those of real boards bounce for some milliseconds.
	Press func(k hal.Key, down bool)
	// Lit reports whether an output has power now.
	Lit func(o hal.Output) bool
}

const ms = time.Millisecond

// Check runs the table. make is called in a bubble of testing/synctest; what it makes works on that bubble's clock.
func Check(t *testing.T, make func(t *testing.T) Rig) {
	t.Run("buttons", func(t *testing.T) { buttons(t, make) })
	t.Run("outputs", func(t *testing.T) { outputs(t, make) })
	t.Run("held at the start", func(t *testing.T) { heldAtStart(t, make) })
}

// buttons: a script is words: m a r go down, M A R come up, a number is a pause in milliseconds.
func buttons(t *testing.T, make func(t *testing.T) Rig) {
	for _, c := range []struct{ name, script, want string }{
		{"nothing", "5000", ""},
		{"a press", "1000 m 200 M 1000", "mode down at 1000, mode up at 1200"},
		{"a short press", "100 a 60 A 1000", "ack down at 100, ack up at 160"},
		{"a long press", "100 r 10000 R 500", "reset down at 100, reset up at 10100"},
		{"twice", "100 m 100 M 100 m 100 M 500", "mode down at 100, mode up at 200, mode down at 300, mode up at 400"},
		{"two at once", "100 m 100 a 100 M 100 A 500", "mode down at 100, ack down at 200, mode up at 300, ack up at 400"},
		{"held to the end", "100 m 5000", "mode down at 100"},
		{"pressed what is down", "100 m 100 m 100 M 100 M 500", "mode down at 100, mode up at 300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := make(t)
				began := time.Now()
				var got []string
				_, stop := run(t, rig.Board, func(c hal.Change) {
					verb := "up"
					if c.Down {
						verb = "down"
					}
					got = append(got, fmt.Sprintf("%s %s at %d", c.Key, verb, c.At.Sub(began).Milliseconds()))
				})
				for word := range strings.FieldsSeq(c.script) {
					if k := strings.Index("mar", strings.ToLower(word)); k >= 0 {
						rig.Press(hal.Key(k), word == strings.ToLower(word))
						continue
					}
					var pause int
					if _, err := fmt.Sscan(word, &pause); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Until(began.Add(elapsed(began) + time.Duration(pause)*ms)))
				}
				stop()
				if text := strings.Join(got, ", "); text != c.want {
					t.Errorf("got  %s\nwant %s", text, c.want)
				}
			})
		})
	}
}

// elapsed is the time of the script, which a bouncing contact is some milliseconds ahead of.
func elapsed(began time.Time) time.Duration { return time.Since(began).Truncate(20 * ms) }

// run runs a board until stop.
func run(t *testing.T, b hal.Board, changed func(hal.Change)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx, changed) }()
	synctest.Wait()
	return ctx, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// outputs: each shows its pattern, and only its own.
func outputs(t *testing.T, make func(t *testing.T) Rig) {
	patterns := []hal.Pattern{hal.Steady, hal.Slow, hal.Fast, hal.Double, hal.Off}
	for shift := range patterns {
		synctest.Test(t, func(t *testing.T) {
			rig := make(t)
			began := time.Now()
			_, stop := run(t, rig.Board, func(hal.Change) {})
			time.Sleep(2 * ms) // never look just when something changes
			set := func(o hal.Output) hal.Pattern { return patterns[(int(o)+shift)%len(patterns)] }
			for o := range hal.Output(hal.Outputs) {
				rig.Board.LED(o).Set(set(o))
			}
			check := func(want func(hal.Output) hal.Pattern) {
				time.Sleep(5 * ms)
				since := time.Since(began)
				for o := range hal.Output(hal.Outputs) {
					if on := want(o).On(since); on != rig.Lit(o) {
						t.Errorf("%s, %q, after %v: lit %v", o, want(o).Name, since, !on)
					}
				}
				time.Sleep(5 * ms)
			}
			for range 400 {
				check(set)
			}
			last := func(o hal.Output) hal.Pattern { return patterns[(int(o)+shift+1)%len(patterns)] }
			for o := range hal.Output(hal.Outputs) {
				rig.Board.LED(o).Set(last(o))
				rig.Board.LED(o).Set(last(o))
			}
			for range 400 {
				check(last)
			}
			stop()
			for o := range hal.Output(hal.Outputs) {
				if rig.Lit(o) {
					t.Errorf("%s is lit after the end", o)
				}
			}
		})
	}
}

// heldAtStart: what is down when the power comes is no change, and known at once.
func heldAtStart(t *testing.T, make func(t *testing.T) Rig) {
	synctest.Test(t, func(t *testing.T) {
		rig := make(t)
		if slices.ContainsFunc([]hal.Key{hal.Mode, hal.Ack, hal.Reset}, func(k hal.Key) bool { return rig.Board.Button(k).Down() }) {
			t.Error("down, and nobody presses")
		}
		_, stop := run(t, rig.Board, func(hal.Change) {})
		rig.Press(hal.Reset, true)
		time.Sleep(time.Second)
		if !rig.Board.Button(hal.Reset).Down() || rig.Board.Button(hal.Ack).Down() {
			t.Error("reset is held, and nothing else")
		}
		rig.Press(hal.Reset, false)
		time.Sleep(time.Second)
		if rig.Board.Button(hal.Reset).Down() {
			t.Error("nobody presses any more")
		}
		stop()
	})
}
