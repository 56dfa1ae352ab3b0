//go:build cgo && libopus

package main

import (
	"math"
	"testing"

	"github.com/hraban/opus"

	"holdfast/media/prompt"
	"holdfast/media/prompt/g711"
)

// decode plays a prompt through libopus at 8000 Hz; a loop is played twice, and the second round returned.
func decode(t *testing.T, f *prompt.Frames, loop bool) []float64 {
	t.Helper()
	dec, err := opus.NewDecoder(8000, 1)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 1
	if loop {
		rounds = 2
	}
	var out []float64
	pcm := make([]int16, 160)
	for range rounds {
		out = nil
		for i := range f.Len() {
			n, err := dec.Decode(f.Frame(i), pcm)
			if err != nil || n != 160 {
				t.Fatalf("frame %d: %d samples, %v", i, n, err)
			}
			for _, x := range pcm {
				out = append(out, float64(x)/32768)
			}
		}
	}
	return out
}

// Every prompt in Opus decodes, and sounds like the same prompt in PCMU: the loudness of each 40 ms goes alike.
func TestCommittedOpus(t *testing.T) {
	set, err := prompt.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		loop := name == prompt.HoldMusic || name == prompt.RingBack || name == prompt.Silence
		heard := decode(t, set.Prompt(name).For("opus", 48000), loop)
		mu := set.Prompt(name).For("PCMU", 8000)
		var want []float64
		for i := range mu.Len() {
			for _, c := range mu.Frame(i) {
				want = append(want, float64(g711.DecodeULaw(c))/32768)
			}
		}
		if len(heard) != len(want) {
			t.Fatalf("%s: %d samples in Opus, %d in PCMU", name, len(heard), len(want))
		}
		var xy, xx, yy float64
		for i := 0; i+320 <= len(want); i += 320 {
			x, y := loudness(heard[i:i+320]), loudness(want[i:i+320])
			xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
		}
		if name == prompt.Silence {
			if xx > 1e-6 {
				t.Errorf("%s: loudness %v", name, xx)
			}
			continue
		}
		if alike := xy / math.Sqrt(xx*yy); alike < 0.97 || xx/yy < 0.8 || xx/yy > 1.25 {
			t.Errorf("%s: likeness %.3f, loudness %.2f", name, alike, xx/yy)
		}
		// The seam of a loop is no louder a jump than any other place.
		if loop {
			jump := 0.0
			for i := 1; i < len(heard); i++ {
				jump = max(jump, math.Abs(heard[i]-heard[i-1]))
			}
			if seam := math.Abs(heard[0] - heard[len(heard)-1]); seam > jump/4+0.001 {
				t.Errorf("%s: the seam jumps by %v, the rest by up to %v", name, seam, jump)
			}
		}
	}
}

func loudness(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(x)))
}
