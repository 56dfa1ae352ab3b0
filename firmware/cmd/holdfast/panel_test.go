package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"holdfast/firmware/control"
	"holdfast/hal"
)

func somePanel() control.Panel {
	return control.Panel{Board: "sim", Lights: []control.Light{
		control.NewLight("power", hal.Steady, "running"),
		control.NewLight("cloud", hal.Fast, "0 of 2 zones of the cloud answer"),
		control.NewLight("service", hal.Steady, "resilience: this box serves the phones"),
		control.NewLight("alarm", hal.Off, "nothing to do"),
		control.NewLight("buzzer", hal.Off, ""),
	}}
}

func (f *fake) Panel() control.Panel { return somePanel() }
func (f *fake) Press(_ context.Context, o control.PressOrder) (string, error) {
	if o.Button == "reset" {
		return "", errors.New("not that one")
	}
	return fmt.Sprintf("pressed %s for %d", o.Button, o.Hold), nil
}

func TestPanelDrawing(t *testing.T) {
	const want = `
  ┌───────────────────────────────────────────────────────────┐
  │   power      cloud      service    alarm      buzzer      │
  │     ●          ●          ●          ○          ○         │
  │                                                           │
  │   ( mode )   ( ack )    ( reset )                         │
  └───────────────────────────────────────────────────────────┘

  power    steady  running
  cloud    fast    0 of 2 zones of the cloud answer
  service  steady  resilience: this box serves the phones
  alarm    off     nothing to do
  buzzer   off     
`
	if got := drawPanel(somePanel(), "", nil, false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	dark := drawPanel(somePanel(), "that\x1b[31m failed", func(l control.Light) bool { return l.Name == "alarm" }, true)
	if strings.Count(dark, "○") != 4 || !strings.Contains(dark, "\x1b[1;31m●\x1b[0m") || !strings.Contains(dark, "that?[31m failed") {
		t.Errorf("%s", dark)
	}
	for line := range strings.Lines(drawPanel(somePanel(), strings.Repeat("x", 200), nil, false)) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestLightsOverTheSocket: a light that was described shows the same pattern.
func TestLightsOverTheSocket(t *testing.T) {
	for _, p := range []hal.Pattern{hal.Steady, hal.Slow, hal.Fast, hal.Double} {
		if got := control.NewLight("x", p, "").Shows(); got != p {
			t.Errorf("%v became %v", p, got)
		}
	}
}
