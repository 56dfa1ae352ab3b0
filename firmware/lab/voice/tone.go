package voice

import "math"

// tone makes PCMU frames of a sine.
type tone struct {
	hz    float64
	phase float64
}

func (t *tone) next() []byte {
	out := make([]byte, pcmuFrame)
	for i := range out {
		out[i] = encodePCMU(int16(8000 * math.Sin(t.phase)))
		t.phase = math.Mod(t.phase+2*math.Pi*t.hz/pcmuRate, 2*math.Pi)
	}
	return out
}

// Goertzel is the share (0…1) of the samples' energy that lies at hz. A pure tone gives nearly 1, silence 0.
func Goertzel(samples []int16, hz float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	k := 2 * math.Cos(2*math.Pi*hz/pcmuRate)
	var s1, s2, energy float64
	for _, v := range samples {
		x := float64(v)
		s1, s2 = x+k*s1-s2, s1
		energy += x * x
	}
	if energy == 0 {
		return 0
	}
	return 2 * (s1*s1 + s2*s2 - k*s1*s2) / (energy * float64(len(samples)))
}

// Dominant is the strongest frequency between 200 and 3400 Hz, to 5 Hz, and its share of the energy.
func Dominant(samples []int16) (hz, share float64) {
	for f := 200.0; f <= 3400; f += 5 {
		if s := Goertzel(samples, f); s > share {
			hz, share = f, s
		}
	}
	return hz, share
}
