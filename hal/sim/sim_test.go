package sim

import (
	"slices"
	"testing"

	"holdfast/hal"
	"holdfast/hal/haltest"
)

func TestBoard(t *testing.T) {
	haltest.Check(t, func(*testing.T) haltest.Rig {
		b := New()
		return haltest.Rig{Board: b, Press: func(k hal.Key, down bool) { b.Press(k, down) }, Lit: b.Lit}
	})
}

// TestNobodyRuns: presses that nobody takes do not wait for ever.
func TestNobodyRuns(t *testing.T) {
	b := New()
	taken := 0
	for i := range 100 {
		if b.Press(hal.Mode, i%2 == 0) {
			taken++
		}
	}
	if taken != 16 || b.Button(hal.Mode).Down() {
		t.Errorf("%d taken", taken)
	}
}

func TestLED(t *testing.T) {
	var a LED
	if a.Now() != hal.Off {
		t.Error("on before anybody asked")
	}
	for _, p := range []hal.Pattern{hal.Off, hal.Fast, hal.Fast, hal.Slow, hal.Off} {
		a.Set(p)
	}
	if want := []hal.Pattern{hal.Fast, hal.Slow, hal.Off}; !slices.Equal(a.Shown(), want) || a.Now() != hal.Off {
		t.Errorf("%v", a.Shown())
	}
	for i := range 1000 {
		a.Set([]hal.Pattern{hal.Slow, hal.Fast}[i%2])
	}
	if n := len(a.Shown()); n != kept {
		t.Errorf("%d patterns are kept", n)
	}
}
