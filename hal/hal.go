// Package hal is the board as the rest of the program sees it: lights and a buzzer that follow patterns, buttons, a
// watchdog. What a pattern stands for and what a press asks for is firmware/panel's job; pins are those of hal/gpio, hal/sim is
// a board for tests and for machines without a panel, hal/watchdog the kernel's timer.
//
// # Names of the lines
//
// One program serves all boards, because it finds its lines by name. A board's device tree names them in the property
// gpio-line-names of its GPIO controller:
//
//	LED_POWER LED_CLOUD LED_SERVICE LED_ALARM   lights
//	BUZZER                                      a buzzer that sounds by itself when it has power
//	BUTTON_MODE BUTTON_ACK BUTTON_RESET         keys
//
// As they stand they are active high: a light is on when its line is high, a button is down when its line is (the driver
// asks for a pull-down). A line that is the other way round has a name that ends in _N: BUTTON_MODE_N is a key between the pin
// and ground (the driver asks for a pull-up), LED_POWER_N a light that a low pin switches on. A board may leave any of them out.
package hal

import (
	"context"
	"time"
)

// LED is one output that draws attention: a light, or the buzzer. Set returns at once, may be called from any goroutine,
// and setting the pattern that is shown already does not begin it anew.
type LED interface {
	Set(Pattern)
}

// Button is one key.
type Button interface {
	// Down reports whether it is held down.
	Down() bool
}

// Watchdog is a timer that resets the board unless it is fed in time.
type Watchdog interface {
	// Feed begins the time anew.
	Feed() error
	// Timeout is how long the board lives without being fed.
	Timeout() time.Duration
	// Close stops the timer.
	Close() error
}

// Board is the panel of one box. What the board does not have is there all the same: an LED that nobody sees, a button
// that nobody presses.
type Board interface {
	LED(Output) LED
	Button(Key) Button
	// Run drives the outputs and tells of every change of a button, free of bounces, one at a time. It blocks until ctx ends;
	// then all outputs are off.
	Run(ctx context.Context, changed func(Change)) error
}

// Change is a button that went down or up.
type Change struct {
	Key  Key
	Down bool
	At   time.Time
}

// Output is a place on the panel.
type Output uint8

// The outputs, in their order on the panel.
const (
	Power Output = iota
	Cloud
	Service
	Alarm
	Buzzer
	Outputs = iota // how many there are
)

// String is the output's name.
func (o Output) String() string {
	return [...]string{"power", "cloud", "service", "alarm", "buzzer"}[o]
}

// Line is the name of the GPIO line, without the ending of one that is active low.
func (o Output) Line() string {
	return [...]string{"LED_POWER", "LED_CLOUD", "LED_SERVICE", "LED_ALARM", "BUZZER"}[o]
}

// Key is a button's place on the panel.
type Key uint8

// The buttons, in their order on the panel.
const (
	Mode Key = iota
	Ack
	Reset
	Keys = iota // how many there are
)

// String is the button's name.
func (k Key) String() string { return [...]string{"mode", "ack", "reset"}[k] }

// Line is the name of the GPIO line, without the ending of one that is active low.
func (k Key) Line() string { return [...]string{"BUTTON_MODE", "BUTTON_ACK", "BUTTON_RESET"}[k] }
