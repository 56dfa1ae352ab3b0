package main

import "math"

// The hold music: broken chords over a bass, eight bars of four beats at 100 beats a minute, the second half like the first but for its
// end. It was written for this program. Bars last 2.4 s, a whole number of frames, and no note sounds into the next bar, so that equal
// bars are equal frames in G.711 and are stored once.
const (
	beat     = 0.6
	barBeats = 4
)

// bars are chords by semitones over middle C: bass, then the notes of the broken chord in the order in which they are played in eighths.
var bars = [][]int{
	{-12, 0, 4, 7, 12, 7, 4, 7, 4},   // C
	{-15, -3, 0, 4, 9, 4, 0, 4, 0},   // a
	{-19, -3, 0, 5, 9, 5, 0, 5, 0},   // F
	{-17, -1, 2, 7, 11, 7, 2, 7, 2},  // G
	{-12, 0, 4, 7, 12, 7, 4, 7, 4},   // C
	{-15, -3, 0, 4, 9, 4, 0, 4, 0},   // a
	{-22, -3, 2, 5, 9, 5, 2, 5, 2},   // d
	{-17, -1, 2, 5, 11, 7, 5, 2, -1}, // G7
}

func music() sound {
	out := sound{rate: rate}
	for _, bar := range bars {
		s := silence(rate, barBeats*beat)
		pluck(s, 0, barBeats*beat, bar[0], 0.5)
		for i, note := range bar[1:] {
			pluck(s, float64(i)*beat/2, 2*beat, note, 0.3)
		}
		out = out.then(s)
	}
	return out.level(9)
}

// pluck adds a note that fades like a string's, its overtones sooner, and that is over by the end of s.
func pluck(s sound, at, length float64, note int, loud float64) {
	from := int(at * rate)
	n := min(int(length*rate), len(s.samples)-from)
	f := 261.6256 * math.Pow(2, float64(note)/12)
	for i := range n {
		t := float64(i) / rate
		attack := min(1, t/0.008)
		release := min(1, float64(n-1-i)/(0.05*rate))
		x := 0.0
		for k := 1.0; k <= 4; k++ {
			x += math.Exp(-t*(1.5+1.2*k)) / (k * k) * math.Sin(2*math.Pi*k*f*t)
		}
		s.samples[from+i] += loud * attack * release * x
	}
}
