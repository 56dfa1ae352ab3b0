// Package quality estimates from loss, jitter and delay how a call sounds: the E-model of ITU-T G.107 with its default
// values, reduced to what a relay can see. It is an estimate for a glance and an alarm, not a measurement: the echo and
// the noise at the phones, and how well a phone hides a loss, are not known. Pure.
package quality

import (
	"strings"
	"time"
)

// Path is one direction of a call between two sound cards, as far as the box knows it.
type Path struct {
	Codec  string        // as in a=rtpmap
	Loss   float64       // fraction of the packets that did not arrive, 0 to 1
	Jitter time.Duration // RFC 3550 §6.4.1
	Delay  time.Duration // one way through the network; 0: unknown, taken as none
}

// codec is what G.113 Appendix I says of one: the impairment of the codec itself, its robustness against loss, and
// the time that a frame and its look-ahead take.
type codec struct {
	ie, bpl float64
	frame   time.Duration
}

// codecOf: G.711 with the concealment that every phone has (its Appendix I) and G.729A stand in G.113 Appendix I. Opus
// is not in it; the values taken are those of G.711, which it surpasses.
func codecOf(name string) codec {
	switch strings.ToLower(name) {
	case "g729":
		return codec{11, 19, 35 * time.Millisecond}
	case "opus":
		return codec{0, 25.1, 27 * time.Millisecond}
	}
	return codec{0, 25.1, 20 * time.Millisecond}
}

// R0 less the simultaneous impairments, with all of G.107's default values.
const base = 93.2

// Rating is the E-model's R, 0 to 93.2.
func Rating(p Path) float64 {
	c := codecOf(p.Codec)
	ppl := 100 * min(max(p.Loss, 0), 1)
	// G.107 §7.5 with independent losses (BurstR = 1).
	ieEff := c.ie + (95-c.ie)*ppl/(ppl+c.bpl)
	// A phone's buffer adapts to about twice the jitter.
	d := float64(p.Delay+2*p.Jitter+c.frame) / float64(time.Millisecond)
	// Delay impairment without echo: the two straight lines that Cole and Rosenbluth (2001) put through G.107's curve.
	id := 0.024 * d
	if d > 177.3 {
		id += 0.11 * (d - 177.3)
	}
	return min(max(base-id-ieEff, 0), base)
}

// MOS is the mean opinion score that a rating means (G.107 Annex B), 1 to 4.41.
func MOS(p Path) float64 {
	r := Rating(p)
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// Word is a score as people say it; the bounds are those of G.109 (R 80, 70, 60, 50).
func Word(mos float64) string {
	switch {
	case mos >= 4.03:
		return "good"
	case mos >= 3.6:
		return "fair"
	case mos >= 3.1:
		return "poor"
	}
	return "bad"
}
