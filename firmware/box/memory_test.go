package box

import "testing"

func TestAfterRush(t *testing.T) {
	var a afterRush
	for i, step := range []struct {
		accepted uint64
		due      bool
	}{{0, false}, {50, false}, {60, false}, {1000, false}, {5000, false}, {5010, true}, {5010, false}, {5100, false}, {5209, false}, {5209, false}, {5210, true}} {
		if got := a.due(step.accepted); got != step.due {
			t.Errorf("second %d, %d accepted: %v", i, step.accepted, got)
		}
	}
}
