package sim

import (
	"slices"
	"testing"

	"holdfast/hal"
)

func TestAlarm(t *testing.T) {
	var a Alarm
	if a.Now() != hal.Off {
		t.Error("on before anybody asked")
	}
	for _, p := range []hal.Pattern{hal.Off, hal.Fast, hal.Fast, hal.Slow, hal.Off} {
		a.Set(p)
	}
	if want := []hal.Pattern{hal.Fast, hal.Slow, hal.Off}; !slices.Equal(a.Shown(), want) || a.Now() != hal.Off {
		t.Errorf("%v", a.Shown())
	}
}
