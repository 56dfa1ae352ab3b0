// Package gpio is the panel of a real board: lines of the kernel's GPIO character devices, found by the names that package
// hal lists. It is the only importer of periph, and takes care of what periph leaves open: it waits for edges in finite
// steps only (a timeout of 0 waits for ever, -1 is over at once, and a line that is gone ends every wait at once), it keeps the
// state of outputs itself (reading an output would turn it into an input), and it debounces.
package gpio

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/host/v3/gpioioctl" // registers the driver; the other drivers of periph fail on boards that are no Pi

	"holdfast/hal"
)

// ErrNoPanel says that the device tree names none of the panel's lines.
var ErrNoPanel = errors.New("no GPIO line has the name of a light or a button")

// activeLow is the ending of names of lines that are on when they are low.
const activeLow = "_N"

// Board is the panel.
type Board struct {
	leds    [hal.Outputs]*led
	buttons [hal.Keys]*button
	changed chan struct{} // an LED has a new pattern
}

var _ hal.Board = (*Board)(nil)

// Open finds the lines and takes them: all lights are off then. ErrNoPanel when there are none; a line that is there and
// cannot be taken (another driver has it, no permission) is another error.
func Open() (*Board, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("GPIO: %w", err)
	}
	if len(gpioioctl.Chips) == 0 {
		return nil, ErrNoPanel
	}
	return newBoard(gpioreg.ByName)
}

// newBoard takes the lines that find knows.
func newBoard(find func(name string) gpio.PinIO) (*Board, error) {
	b := &Board{changed: make(chan struct{}, 1)}
	found := 0
	var errs []error
	for o := range b.leds {
		pin, low := lookup(find, hal.Output(o).Line())
		b.leds[o] = &led{pin: pin, low: low, changed: b.changed}
		if pin != nil {
			found++
			errs = append(errs, b.leds[o].drive(false))
		}
	}
	for k := range b.buttons {
		pin, low := lookup(find, hal.Key(k).Line())
		b.buttons[k] = &button{pin: pin, low: low}
		if pin != nil {
			found++
			errs = append(errs, b.buttons[k].open())
		}
	}
	if found == 0 {
		return nil, ErrNoPanel
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("the panel's GPIO lines: %w", err)
	}
	return b, nil
}

func lookup(find func(string) gpio.PinIO, name string) (pin gpio.PinIO, low bool) {
	if pin := find(name); pin != nil {
		return pin, false
	}
	return find(name + activeLow), true
}

// LED is one of the outputs.
func (b *Board) LED(o hal.Output) hal.LED { return b.leds[o] }

// Button is one of the buttons.
func (b *Board) Button(k hal.Key) hal.Button { return b.buttons[k] }

// Run blinks and watches until ctx ends. The error is that of a line which could no longer be driven; buttons are watched
// to the end even so.
func (b *Board) Run(ctx context.Context, changed func(hal.Change)) error {
	changes := make(chan hal.Change)
	var watchers sync.WaitGroup
	for k, button := range b.buttons {
		if button.pin != nil {
			watchers.Go(func() {
				button.watch(ctx, func(c hal.Change) {
					c.Key = hal.Key(k)
					select {
					case changes <- c:
					case <-ctx.Done():
					}
				})
			})
		}
	}
	var fault error
	watchers.Go(func() { fault = b.blink(ctx) })
	for {
		select {
		case c := <-changes:
			changed(c)
		case <-ctx.Done():
			watchers.Wait()
			return fault
		}
	}
}
