package qemu

import (
	"testing"
	"time"

	"holdfast/hal"
)

// The rhythms are told apart as the box makes them, and when one look in ten is late.
func TestRhythm(t *testing.T) {
	for want, p := range map[string]hal.Pattern{"off": hal.Off, "steady": hal.Steady, "slow": hal.Slow, "double": hal.Double, "fast": hal.Fast} {
		for _, late := range []time.Duration{0, 30 * time.Millisecond} {
			for began := time.Duration(0); began < 2*time.Second; began += 70 * time.Millisecond {
				changes, on, looks, last := 0, 0, 0, false
				for at := began; at < began+3500*time.Millisecond; at += 15 * time.Millisecond {
					if looks%10 == 0 {
						at += late
					}
					lit := p.On(at)
					if looks > 0 && lit != last {
						changes++
					}
					if last = lit; lit {
						on++
					}
					looks++
				}
				if got := rhythm(changes, on, looks); got != want {
					t.Fatalf("%s from %v: %q (%d changes, on %d of %d)", want, began, got, changes, on, looks)
				}
			}
		}
	}
}
