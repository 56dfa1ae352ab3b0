package quality

import (
	"math"
	"testing"
	"time"
)

// TestMOS compares with values worked out by hand from G.107, and with the ends of the scale.
func TestMOS(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		p    Path
		want float64
		word string
	}{
		{"nothing wrong", Path{Codec: "PCMU"}, 4.40, "good"},
		{"G.729", Path{Codec: "G729"}, 4.10, "good"},
		{"one percent", Path{Codec: "PCMU", Loss: 0.01}, 4.32, "good"},
		{"five percent", Path{Codec: "PCMA", Loss: 0.05}, 3.92, "fair"},
		{"ten percent", Path{Codec: "PCMA", Loss: 0.10}, 3.39, "poor"},
		{"G.729 at five percent", Path{Codec: "G729", Loss: 0.05}, 3.31, "poor"},
		{"far away", Path{Codec: "PCMU", Delay: 400 * ms}, 2.91, "bad"},
		{"nothing arrives", Path{Codec: "PCMU", Loss: 1}, 1.165, "bad"},
		{"more than everything is lost", Path{Codec: "PCMU", Loss: 7}, 1.165, "bad"},
		{"negative loss", Path{Codec: "PCMU", Loss: -1}, 4.40, "good"},
		{"a minute late", Path{Codec: "PCMU", Delay: time.Minute}, 1, "bad"},
	} {
		if got := MOS(c.p); math.Abs(got-c.want) > 0.05 || Word(got) != c.word {
			t.Errorf("%s: %.3f %s, want %.2f %s", c.name, got, Word(got), c.want, c.word)
		}
	}
}

// TestMonotone: nothing gets better by more loss, jitter or delay.
func TestMonotone(t *testing.T) {
	for _, codec := range []string{"PCMU", "G729", "opus", ""} {
		last := 5.0
		for i := range 200 {
			x := Path{codec, float64(i) / 400, time.Duration(i) * time.Millisecond, time.Duration(i) * time.Millisecond}
			if got := MOS(x); got > last || got < 1 || got > 4.5 {
				t.Fatalf("%+v: %v after %v", x, got, last)
			} else {
				last = got
			}
		}
	}
}
