package gpio

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"holdfast/hal"
	"holdfast/hal/haltest"
)

// lines are fake ones; ending is that of their names.
func lines(ending string) map[string]*gpiotest.Pin {
	pins := make(map[string]*gpiotest.Pin)
	for o := range hal.Output(hal.Outputs) {
		pins[o.Line()+ending] = &gpiotest.Pin{N: o.Line() + ending, L: ending == ""} // lit, until somebody cares
	}
	for k := range hal.Key(hal.Keys) {
		pins[k.Line()+ending] = &gpiotest.Pin{N: k.Line() + ending, EdgesChan: make(chan gpio.Level, 16)}
	}
	return pins
}

func finder(pins map[string]*gpiotest.Pin) func(string) gpio.PinIO {
	return func(name string) gpio.PinIO {
		if p, ok := pins[name]; ok {
			return p
		}
		return nil
	}
}

// bouncing is how a contact moves: the last level counts.
func bouncing(p *gpiotest.Pin, to gpio.Level) {
	for _, l := range []gpio.Level{to, !to, to, !to, !to, to} {
		p.EdgesChan <- l
		time.Sleep(time.Millisecond)
	}
}

func TestBoard(t *testing.T) {
	for _, ending := range []string{"", activeLow} {
		t.Run("lines"+ending, func(t *testing.T) {
			haltest.Check(t, func(t *testing.T) haltest.Rig {
				pins := lines(ending)
				b, err := newBoard(finder(pins))
				if err != nil {
					t.Fatal(err)
				}
				return haltest.Rig{Board: b,
					Press: func(k hal.Key, down bool) { bouncing(pins[k.Line()+ending], gpio.Level(down == (ending == ""))) },
					Lit:   func(o hal.Output) bool { return pins[o.Line()+ending].Read() == gpio.Level(ending == "") },
				}
			})
		})
	}
}

// TestPulls: an open contact must not float.
func TestPulls(t *testing.T) {
	for ending, want := range map[string]gpio.Pull{"": gpio.PullDown, activeLow: gpio.PullUp} {
		pins := lines(ending)
		if _, err := newBoard(finder(pins)); err != nil {
			t.Fatal(err)
		}
		for k := range hal.Key(hal.Keys) {
			if p := pins[k.Line()+ending]; p.P != want {
				t.Errorf("%s: %s", p.N, p.P)
			}
		}
	}
}

// TestPartsMissing: a board with less than the whole panel works.
func TestPartsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := lines("")
		pins := map[string]*gpiotest.Pin{"LED_SERVICE": all["LED_SERVICE"], "BUTTON_MODE": all["BUTTON_MODE"]}
		b, err := newBoard(finder(pins))
		if err != nil {
			t.Fatal(err)
		}
		var got []hal.Change
		ended := make(chan error)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- b.Run(ctx, func(c hal.Change) { got = append(got, c) }) }()
		for o := range hal.Output(hal.Outputs) {
			b.LED(o).Set(hal.Steady)
		}
		bouncing(pins["BUTTON_MODE"], gpio.High)
		time.Sleep(time.Second)
		if !pins["LED_SERVICE"].Read() {
			t.Error("the one light is dark")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(got) != 1 || got[0].Key != hal.Mode || !got[0].Down {
			t.Errorf("%v", got)
		}
	})
}

func TestNoPanel(t *testing.T) {
	if _, err := newBoard(func(string) gpio.PinIO { return nil }); !errors.Is(err, ErrNoPanel) {
		t.Error(err)
	}
}

// broken is a line that another driver has.
type broken struct {
	gpiotest.Pin
	edges int
}

func (b *broken) Out(gpio.Level) error           { return errors.New("device or resource busy") }
func (b *broken) In(gpio.Pull, gpio.Edge) error  { return errors.New("device or resource busy") }
func (b *broken) WaitForEdge(time.Duration) bool { b.edges++; return false }
func (b *broken) Read() gpio.Level               { return gpio.Low }

func TestTakenLines(t *testing.T) {
	for _, name := range []string{"LED_CLOUD", "BUTTON_ACK_N"} {
		_, err := newBoard(func(n string) gpio.PinIO {
			if n == name {
				return &broken{Pin: gpiotest.Pin{N: name}}
			}
			return nil
		})
		if err == nil || errors.Is(err, ErrNoPanel) || !strings.Contains(err.Error(), name+": device or resource busy") {
			t.Error(err)
		}
	}
}

// noPulls is a controller without resistors.
type noPulls struct{ gpiotest.Pin }

func (p *noPulls) In(pull gpio.Pull, e gpio.Edge) error {
	if pull != gpio.PullNoChange {
		return errors.New("not supported")
	}
	return p.Pin.In(pull, e)
}

func TestControllerWithoutPulls(t *testing.T) {
	p := &noPulls{gpiotest.Pin{N: "BUTTON_MODE", L: gpio.High, EdgesChan: make(chan gpio.Level)}}
	b, err := newBoard(func(n string) gpio.PinIO {
		if n == p.N {
			return p
		}
		return nil
	})
	if err != nil || !b.Button(hal.Mode).Down() {
		t.Errorf("%v, and it is held down at the start", err)
	}
}

// TestLineGone: a line whose waits end at once does not eat the processor.
func TestLineGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &broken{}
		b := &Board{changed: make(chan struct{}, 1), buttons: [hal.Keys]*button{{pin: p}, {}, {}}}
		for o := range b.leds {
			b.leds[o] = &led{changed: b.changed}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx, func(hal.Change) {}) }()
		time.Sleep(time.Minute)
		cancel()
		<-ended
		if p.edges > 60*5 {
			t.Errorf("%d waits in a minute", p.edges)
		}
	})
}

// TestNoisyLine: a line that never gets quiet does not hold the others up, and ends with the board.
func TestNoisyLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pins := lines("")
		b, err := newBoard(finder(pins))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var got []hal.Key
		ended := make(chan error)
		go func() { ended <- b.Run(ctx, func(c hal.Change) { got = append(got, c.Key) }) }()
		go func() {
			for l := gpio.High; ctx.Err() == nil; l = !l {
				select {
				case pins["BUTTON_MODE"].EdgesChan <- l:
				default:
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		time.Sleep(time.Second)
		bouncing(pins["BUTTON_ACK"], gpio.High)
		time.Sleep(time.Second)
		cancel()
		<-ended
		if !slices.Contains(got, hal.Ack) {
			t.Errorf("%v", got)
		}
	})
}
