package number

import (
	"errors"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// grade says how good a reading of dialled digits is; a better one wins.
type grade int

const (
	none       grade = iota // no digit added would help
	incomplete              // too short
	possible                // the length is right
	valid                   // the metadata knows the number's range too
)

type reading struct {
	number Number
	grade  grade
}

// Normalize makes E.164 of what a person dialled: "+" and a whole number; external prefix or not, then international
// prefix and a whole number, national prefix and a national number, a national number, or a local one. Where digits
// can be read in more than one way the reading that the metadata knows best wins; among equals the one with the
// external prefix, then the local one. A tel URI's parameters are the caller's to strip. Errors: ErrIncomplete,
// ErrNotDialable.
func (p *Plan) Normalize(dialled string) (Number, error) {
	d, ok := Strip(dialled)
	if !ok {
		return "", ErrNotDialable
	}
	best := reading{grade: none}
	if whole, ok := strings.CutPrefix(d, "+"); ok {
		if n, ok := asIs(whole); ok && phonenumbers.IsPossibleNumberWithReason(n) == phonenumbers.IS_POSSIBLE {
			return Number(d), nil // one reading only: its length is enough
		}
		best = read(whole)
	} else {
		if rest, ok := strings.CutPrefix(d, p.external); ok && p.external != "" {
			best = p.outside(rest)
		}
		if best.grade < valid {
			best = better(best, p.outside(d))
		}
	}
	switch best.grade {
	case none:
		return "", ErrNotDialable
	case incomplete:
		return "", ErrIncomplete
	}
	return best.number, nil
}

// outside reads digits as dialled on an outside line.
func (p *Plan) outside(d string) reading {
	if rest, ok := strings.CutPrefix(d, p.international); ok {
		return read(rest)
	}
	best := reading{grade: none}
	if rest, ok := strings.CutPrefix(d, p.national); ok && p.national != "" {
		best = read(p.callingCode + rest)
		// No subscriber number begins with a trunk prefix 0 or 1, so there is no second reading: a mistyped national
		// number must not become somebody's local one. With an 8 (as in Russia) there is.
		if p.national[0] <= '1' {
			return best
		}
	}
	if p.area != "" {
		best = better(best, read(p.callingCode+p.area+d))
	}
	if best.grade == valid {
		return best
	}
	bare := read(p.callingCode + d)
	if bare.grade == possible && strings.HasPrefix(p.national, "0") {
		bare = reading{grade: incomplete} // where a 0 must be dialled, take digits without it only if they fit for certain
	}
	return better(best, bare)
}

// better returns the better of two readings, the first among equals.
func better(first, second reading) reading {
	if second.grade > first.grade {
		return second
	}
	return first
}

// read judges digits that begin with a country calling code.
func read(digits string) reading {
	if len(digits) > 20 { // 15 (ITU-T E.164 §6) and some slack for a national prefix that Parse removes
		return reading{}
	}
	if n, ok := asIs(digits); ok && phonenumbers.IsValidNumber(n) {
		return reading{Number("+" + digits), valid}
	}
	n, err := phonenumbers.Parse("+"+digits, "ZZ")
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		if len(digits) < 3 {
			return reading{grade: incomplete}
		}
		return reading{}
	case errors.Is(err, phonenumbers.ErrNumTooLong):
		return reading{}
	case err != nil:
		return reading{grade: incomplete}
	}
	switch phonenumbers.IsPossibleNumberWithReason(n) {
	case phonenumbers.IS_POSSIBLE:
	case phonenumbers.TOO_LONG, phonenumbers.INVALID_COUNTRY_CODE:
		return reading{}
	default: // too short, local only, or between two lengths
		return reading{grade: incomplete}
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	if !IsE164(e164) {
		if len(e164) > 16 {
			return reading{}
		}
		return reading{grade: incomplete}
	}
	if phonenumbers.IsValidNumber(n) {
		return reading{Number(e164), valid}
	}
	// A run of zeros loses one national prefix each time that it is read: no number that anybody has.
	if again, err := phonenumbers.Parse(e164, "ZZ"); err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		return reading{}
	}
	return reading{Number(e164), possible}
}

// asIs is the number that digits are as they stand. It spares most numbers the cost of Parse, which first looks for
// letters and extensions with regular expressions.
func asIs(digits string) (*phonenumbers.PhoneNumber, bool) {
	if !IsE164("+" + digits) {
		return nil, false
	}
	for n := 1; n <= 3; n++ {
		code, _ := strconv.Atoi(digits[:n])
		if phonenumbers.GetRegionCodeForCountryCode(code) == phonenumbers.UNKNOWN_REGION {
			continue
		}
		if digits[n] == '0' { // a national prefix in most countries, part of the number in others: Parse knows
			return nil, false
		}
		national, _ := strconv.ParseUint(digits[n:], 10, 64)
		return &phonenumbers.PhoneNumber{CountryCode: new(int32(code)), NationalNumber: new(national)}, true
	}
	return nil, false
}
