package voice

import (
	"math"
	"testing"
)

func TestPCMURoundTrip(t *testing.T) {
	for v := -32768; v <= 32767; v += 7 {
		got := int(decodePCMU(encodePCMU(int16(v))))
		// G.711's step doubles with each segment: the error stays under 1/32 of the value, or half the smallest step.
		if diff, most := math.Abs(float64(got-max(min(v, 32124), -32124))), math.Abs(float64(v))/32+4; diff > most {
			t.Fatalf("%d became %d", v, got)
		}
	}
	for code, want := range map[byte]int16{0xff: 0, 0x7f: 0, 0x80: 32124, 0x00: -32124} {
		if got := decodePCMU(code); got != want {
			t.Errorf("decode %#x = %d, want %d (ITU-T G.711 table 2a)", code, got, want)
		}
	}
}

func TestGoertzel(t *testing.T) {
	samples := func(amp, hz float64) (out []int16) {
		src := &tone{hz: hz}
		for range 50 {
			for _, b := range src.next() {
				out = append(out, int16(float64(decodePCMU(b))*amp))
			}
		}
		return out
	}
	pure := samples(1, 440)
	for _, c := range []struct {
		name     string
		in       []int16
		hz       float64
		min, max float64
	}{
		{"its own tone", pure, 440, 0.98, 1.01},
		{"its own tone, quiet", samples(0.05, 440), 440, 0.95, 1.01},
		{"another tone", pure, 600, 0, 0.01},
		{"silence", make([]int16, 8000), 440, 0, 0},
		{"nothing", nil, 440, 0, 0},
	} {
		if got := Goertzel(c.in, c.hz); got < c.min || got > c.max {
			t.Errorf("%s: share %.3f, want %.2f to %.2f", c.name, got, c.min, c.max)
		}
	}
	for _, hz := range []float64{350, 440, 1000, 2100} {
		if got, share := Dominant(samples(1, hz)); math.Abs(got-hz) > 5 || share < 0.95 {
			t.Errorf("Dominant of %v Hz = %v Hz, share %.2f", hz, got, share)
		}
	}
}

func TestOpusFramesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range []int{RecordingA, RecordingB} {
		frames := opusFrames(r)
		if len(frames) != 100 {
			t.Fatalf("recording %d has %d frames", r, len(frames))
		}
		for _, f := range frames {
			if seen[string(f)] {
				t.Fatal("two frames are equal: a listener could not tell them apart")
			}
			seen[string(f)] = true
		}
	}
}

func TestOpusEar(t *testing.T) {
	a := opusFrames(RecordingA)
	spoiled := append([]byte(nil), a[3]...)
	spoiled[len(spoiled)-1] ^= 1
	type packet struct {
		seq   uint16
		frame []byte
	}
	for _, c := range []struct {
		name           string
		in             []packet
		good, bad, odd int
	}{
		{"in order", []packet{{65534, a[98]}, {65535, a[99]}, {0, a[0]}}, 3, 0, 0},
		{"a loss", []packet{{1, a[1]}, {4, a[4]}}, 2, 0, 0},
		{"one bit wrong", []packet{{1, a[1]}, {2, a[2]}, {3, spoiled}, {4, a[4]}}, 3, 1, 0},
		{"swapped", []packet{{1, a[1]}, {2, a[3]}}, 2, 0, 1},
		{"other recording", []packet{{1, a[1]}, {2, opusFrames(RecordingB)[2]}}, 2, 0, 1},
	} {
		var e opusEar
		for _, p := range c.in {
			e.hear(p.seq, p.frame)
		}
		if e.good != c.good || e.bad != c.bad || e.outOfOrder != c.odd {
			t.Errorf("%s: good %d bad %d out of order %d, want %d %d %d", c.name, e.good, e.bad, e.outOfOrder, c.good, c.bad, c.odd)
		}
	}
}
