package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Stage is where a certificate stands in its life.
type Stage uint8

// The stages.
const (
	Good   Stage = iota
	Soon         // it ends within a month: time enough to get another
	Urgent       // it ends within a week
	Ended        // nobody who checks it connects any more
	NotYet       // it begins later, or the clock is wrong; nobody connects either
)

const (
	soon   = 30 * 24 * time.Hour
	urgent = 7 * 24 * time.Hour
)

// Life says how a certificate stands at a time, and puts it into words: "it ends on 2026-12-01, in 20 days".
func Life(c *x509.Certificate, now time.Time) (Stage, string) {
	end := c.NotAfter.Format(time.DateOnly)
	left := c.NotAfter.Sub(now)
	ends := fmt.Sprintf("it ends on %s, in %d days", end, int(left.Hours()/24))
	switch {
	case now.Before(c.NotBefore):
		return NotYet, fmt.Sprintf("it begins on %s only: is the clock right (%s)?", c.NotBefore.Format(time.DateOnly), now.Format(time.DateOnly))
	case left < 0:
		return Ended, "it ended on " + end
	case left < urgent:
		return Urgent, ends
	case left < soon:
		return Soon, ends
	}
	return Good, "valid until " + end
}
