package site

import (
	"fmt"
	"strings"

	"holdfast/sip/number"
)

// FeatureOff as a feature's code turns the feature off.
const FeatureOff = "off"

// Feature is what a code asks for.
type Feature uint8

// The features that have codes.
const (
	NoFeature     Feature = iota
	PickupFeature         // the rest is the extension whose ringing call is taken
	ParkFeature           // the rest is the place; empty: the extension of who dials
)

// Feature reads what was dialled as a feature code and what follows it. Emergency numbers are none: no code may be like
// one.
func (s *Site) Feature(dialled string) (Feature, string) {
	f := s.doc.Options.Features
	if rest, ok := feature(dialled, f.Pickup); ok && rest != "" {
		return PickupFeature, rest
	}
	if rest, ok := feature(dialled, f.Park); ok {
		return ParkFeature, rest
	}
	return NoFeature, ""
}

func feature(dialled, code string) (rest string, ok bool) {
	if code == "" || code == FeatureOff {
		return "", false
	}
	rest, ok = strings.CutPrefix(dialled, code)
	return rest, ok && len(rest) <= 15 && (rest == "" || number.IsDigits(rest))
}

// features checks the codes. A code begins with a star or a hash, so that it can be no extension, no emergency number and
// nothing that the dial plan reads, with or without prefix; what is left is two codes of which one begins the other.
func (c *check) features() {
	f := c.doc.Options.Features
	code := func(path, code string) bool {
		if code == FeatureOff {
			return false
		}
		digits := strings.TrimLeft(code, "*#")
		if stars := len(code) - len(digits); stars < 1 || stars > 2 || !number.IsDigits(digits) || len(digits) > 4 {
			c.wrong(path, fmt.Sprintf("%q is no feature code", code),
				`write one or two of * and #, then 1 to 4 digits, such as "*8"; digits alone could be an extension or an emergency number; "off" turns it off`)
			return false
		}
		for _, n := range append(c.Site.emergency, c.test...) {
			if digits == n {
				c.wrong(path, fmt.Sprintf("%q is too much like emergency number %s", code, n), "choose other digits")
				return false
			}
		}
		return true
	}
	pickup, park := code("/options/features/pickup", f.Pickup), code("/options/features/park", f.Park)
	if pickup && park && (strings.HasPrefix(f.Pickup, f.Park) || strings.HasPrefix(f.Park, f.Pickup)) {
		c.wrong("/options/features/park", fmt.Sprintf("%q and pickup's %q begin alike", f.Park, f.Pickup), "choose codes of which neither begins the other")
	}
	c.between("/options/features/park_timeout_s", f.ParkTimeout, 5, 3600)
}
