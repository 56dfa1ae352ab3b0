package box

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/health"
	"holdfast/firmware/mode"
	"holdfast/firmware/panel"
	"holdfast/hal"
	"holdfast/hal/gpio"
	"holdfast/hal/sim"
)

// hardware is the box as a thing: its panel, and what resets it when it hangs.
type hardware struct {
	front         *front
	vital         *health.Gate // what calls need
	card          *health.Gate
	watchdogFault atomic.Pointer[string]
	restarting    atomic.Bool // the board, not only the program
	restart       chan error  // the program
	updates       *updates
}

func (b *Box) runHardware(under func(string, func(context.Context) error)) {
	under("health of calls", b.vital.Run)
	under("health of the card", b.card.Run)
	under("watchdog", b.guard)
	under("panel", b.front.run)
	under("updates", b.updates.run)
	under("reset", b.awaitRestart)
}

// openBoard finds the panel that the settings ask for. A box without its panel serves all the same: fault says what is wrong.
func openBoard(setting string) (board hal.Board, kind, fault string) {
	if setting == "auto" || setting == "gpio" {
		b, err := gpio.Open()
		switch {
		case err == nil:
			return b, "gpio", ""
		case setting == "gpio" || !errors.Is(err, gpio.ErrNoPanel):
			fault = "panel: " + err.Error()
		}
	}
	kind = "sim"
	if setting == "none" {
		kind = "none"
	}
	return sim.New(), kind, fault
}

// powerUp is how long after the machine's start a held reset button counts.
const powerUp = 2 * time.Minute

func (b *Box) buildPanel() error {
	board, kind, fault := openBoard(b.cfg.Board.Panel)
	b.restart = make(chan error, 1)
	b.front = newFront(b.log, board, kind, fault)
	b.front.facts, b.front.act = b.panelFacts, b.obeyButton
	b.front.restore = board.Button(hal.Reset).Down() && uptime() < powerUp
	if fault != "" {
		b.log.Error(fault)
	}
	b.buildUpdates()
	return nil
}

// uptime is how long the machine runs; a day when it does not say.
func uptime() time.Duration {
	data, err := os.ReadFile("/proc/uptime")
	if err == nil {
		if d, err := time.ParseDuration(strings.Fields(string(data) + " x")[0] + "s"); err == nil {
			return d
		}
	}
	return 24 * time.Hour
}

// panelFacts is what the panel shows.
func (b *Box) panelFacts() panel.Facts {
	f := panel.Facts{Phase: panel.Running, Update: b.panelUpdate(), Mode: b.modes.state().Mode,
		EmergencyLight: b.front.light.now(), EmergencyBuzzer: b.front.buzzer.now()}
	switch {
	case len(b.vital.Faults()) > 0:
		f.Phase = panel.Unfit
	case !b.provisioned():
		f.Phase = panel.Starting
	}
	for _, z := range b.modes.evidence() {
		if z.Kind != mode.SIP {
			continue
		}
		f.Zones++
		switch z.Verdict {
		case mode.Up:
			f.ZonesUp++
		case mode.Down:
			f.ZonesDown++
		}
	}
	s := b.Status()
	for _, t := range s.Trunks {
		f.Trunks++
		if t.Up {
			f.TrunksUp++
		}
	}
	f.Users, f.UsersHere, f.Faults = s.Phones.Expected, s.Phones.Users, len(s.Alarms)
	return f
}

// buttonDrill is how long a drill lasts that a button began and no button ends.
const buttonDrill = 15 * time.Minute

// obeyButton does what a press asks for.
func (b *Box) obeyButton(a panel.Action) error {
	switch a {
	case panel.Silence:
		b.notices.Silence("button")
		return nil
	case panel.Drill:
		if b.modes.state().Mode == mode.Drill {
			return b.modes.stopDrill("button")
		}
		return b.modes.startDrill(mode.Order{By: "button", Limit: buttonDrill})
	case panel.Restore:
		return b.restoreLastGood()
	}
	return fmt.Errorf("unknown order %d", a)
}

// Panel is what the panel shows.
func (b *Box) Panel() control.Panel {
	p := control.Panel{Board: b.front.kind, Fault: b.front.fault}
	for o, l := range b.front.shown() {
		p.Lights = append(p.Lights, control.NewLight(hal.Output(o).String(), l.Pattern, l.Says))
	}
	return p
}

// Press holds a button of the panel.
func (b *Box) Press(ctx context.Context, o control.PressOrder) (string, error) {
	key := hal.Key(hal.Keys)
	for k := range hal.Key(hal.Keys) {
		if k.String() == o.Button {
			key = k
		}
	}
	hold := time.Duration(o.Hold) * time.Millisecond
	switch {
	case b.front.kind == "none":
		return "", errors.New(`this box has no panel (panel = "none"): use the other commands`)
	case key == hal.Reset:
		return "", errors.New("reset works while the power comes only: hold the box's own button")
	case key == hal.Keys:
		return "", fmt.Errorf("there is no button %q: mode or ack", o.Button)
	case hold < 0 || hold > control.MaxHold:
		return "", fmt.Errorf("a button can be held for 0 to %s", control.MaxHold)
	}
	b.front.press(hal.Change{Key: key, Down: true, At: time.Now()})
	select {
	case <-time.After(hold):
	case <-ctx.Done():
	}
	b.front.press(hal.Change{Key: key, At: time.Now()})
	return fmt.Sprintf("Pressed %s for %s.", key, hold), nil
}
