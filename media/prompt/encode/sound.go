package main

import (
	"math"
	"slices"
)

// sound is one channel of samples from -1 to 1.
type sound struct {
	rate    int // Hz
	samples []float64
}

// silence of so many seconds.
func silence(rate int, seconds float64) sound {
	return sound{rate, make([]float64, int(math.Round(seconds*float64(rate))))}
}

// then appends sounds of the same rate.
func (s sound) then(next ...sound) sound {
	s.samples = slices.Clone(s.samples)
	for _, n := range next {
		s.samples = append(s.samples, n.samples...)
	}
	return s
}

// level scales the sound so that its peak is at so many dB below full scale.
func (s sound) level(db float64) sound {
	peak := 0.0
	for _, x := range s.samples {
		peak = max(peak, math.Abs(x))
	}
	if peak == 0 {
		return s
	}
	gain := math.Pow(10, -db/20) / peak
	out := sound{s.rate, make([]float64, len(s.samples))}
	for i, x := range s.samples {
		out.samples[i] = x * gain
	}
	return out
}

// trim cuts silence off both ends.
func (s sound) trim() sound {
	const floor = 0.003
	loud := func(x float64) bool { return math.Abs(x) > floor }
	first := slices.IndexFunc(s.samples, loud)
	if first < 0 {
		return sound{rate: s.rate}
	}
	last := len(s.samples)
	for !loud(s.samples[last-1]) {
		last--
	}
	return sound{s.rate, s.samples[first:last]}
}

// resample converts to another rate by a windowed sinc, 32 zero crossings wide. A loop is continued over its ends.
func (s sound) resample(rate int, loop bool) sound {
	if rate == s.rate {
		return s
	}
	const crossings = 32
	n := len(s.samples)
	out := sound{rate, make([]float64, int(math.Round(float64(n)*float64(rate)/float64(s.rate))))}
	cut := 0.95 * min(1, float64(rate)/float64(s.rate)) // of the lower rate's half, with room for the slope
	reach := crossings / cut
	wide := int(math.Ceil(reach))

	// Output i lies at i·from/to; the place between two samples repeats after to outputs, and so do the weights.
	divisor := gcd(rate, s.rate)
	from, to := s.rate/divisor, rate/divisor
	weights := make([][]float64, to)
	for i := range out.samples {
		first, phase := i*from/to-wide, i*from%to
		if weights[phase] == nil {
			weights[phase] = make([]float64, 2*wide+2)
			for k := range weights[phase] {
				if d := float64(k-wide) - float64(phase)/float64(to); math.Abs(d) <= reach {
					weights[phase][k] = cut * sinc(cut*d) * (0.5 + 0.5*math.Cos(math.Pi*d/reach))
				}
			}
		}
		sum := 0.0
		for k, w := range weights[phase] {
			j := first + k
			if loop {
				j = (j%n + n) % n
			} else if j < 0 || j >= n {
				continue
			}
			sum += w * s.samples[j]
		}
		out.samples[i] = sum
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// pcm gives 16-bit samples.
func (s sound) pcm() []int16 {
	out := make([]int16, len(s.samples))
	for i, x := range s.samples {
		out[i] = int16(math.Round(max(-1, min(x, 1)) * 32767))
	}
	return out
}

// blocks cuts samples into frames of size. What is missing from the last one is silence.
func blocks(samples []int16, size int) [][]int16 {
	if rest := len(samples) % size; rest != 0 {
		samples = append(slices.Clone(samples), make([]int16, size-rest)...)
	}
	return slices.Collect(slices.Chunk(samples, size))
}
