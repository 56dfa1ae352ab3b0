package main

import "math"

// tone is a sum of sines, each at so many dB below full scale, with slopes of 4 ms against clicks.
func tone(seconds, db float64, frequencies ...float64) sound {
	s := silence(rate, seconds)
	amplitude, slope := math.Pow(10, -db/20), 0.004*rate
	for i := range s.samples {
		edge := min(1, float64(i)/slope, float64(len(s.samples)-1-i)/slope)
		for _, f := range frequencies {
			s.samples[i] += amplitude * edge * math.Sin(2*math.Pi*f*float64(i)/rate)
		}
	}
	return s
}

// ringBack is North America's: 440 and 480 Hz, 2 s on, 4 s off.
func ringBack() sound { return tone(2, 22, 440, 480).then(silence(rate, 4)) }

// information is the special information tone of ITU-T E.180: what follows is spoken by a machine.
func information() sound {
	return tone(0.33, 16, 950).then(tone(0.33, 16, 1400), tone(0.33, 16, 1800))
}
