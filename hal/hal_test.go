package hal

import (
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		p    Pattern
		want map[time.Duration]bool
	}{
		{Off, map[time.Duration]bool{0: false, time.Hour: false}},
		{Steady, map[time.Duration]bool{0: true, 999 * ms: true, time.Second: true, time.Hour + 1: true}},
		{Slow, map[time.Duration]bool{0: true, 999 * ms: true, 1000 * ms: false, 1999 * ms: false, 2000 * ms: true}},
		{Fast, map[time.Duration]bool{0: true, 125 * ms: false, 250 * ms: true, 10*time.Second + 126*ms: false}},
		{Double, map[time.Duration]bool{0: true, 150 * ms: false, 300 * ms: true, 450 * ms: false, 1499 * ms: false, 1500 * ms: true}},
	} {
		for at, want := range c.want {
			if got := c.p.On(at); got != want {
				t.Errorf("%q after %v: %v", c.p.Name, at, got)
			}
		}
	}
}
