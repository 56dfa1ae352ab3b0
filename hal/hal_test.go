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
			left := c.p.Left(at)
			if still := c.p == Off || c.p == Steady; still != (left == 0) {
				t.Errorf("%q after %v stays for %v", c.p.Name, at, left)
			}
			if left > 0 && (c.p.On(at+left-1) != want || c.p.On(at+left) == want) {
				t.Errorf("%q after %v does not change in %v", c.p.Name, at, left)
			}
		}
	}
}

func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	for o := range Output(Outputs) {
		seen[o.String()], seen[o.Line()] = true, true
	}
	for k := range Key(Keys) {
		seen[k.String()], seen[k.Line()] = true, true
	}
	if len(seen) != 2*(Outputs+Keys) {
		t.Errorf("names that occur twice: %v", seen)
	}
}
