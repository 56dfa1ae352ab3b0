package site

import (
	"fmt"
	"slices"
	"time"
)

// WarningsAt returns all warnings, those included that come with time: addresses that were not confirmed for long.
func (s *Site) WarningsAt(now time.Time) []Error {
	return append(slices.Clip(s.warnings), s.CheckConfirmed(now, 0)...)
}

// CheckConfirmed warns of each ELIN whose address the carrier has not confirmed for longer than limit, or never. A limit
// of zero is the site's own (Emergency.ConfirmDays). It is for the customer to keep addresses true; this is the reminder.
func (s *Site) CheckConfirmed(now time.Time, limit time.Duration) []Error {
	if limit <= 0 {
		limit = time.Duration(s.doc.Emergency.ConfirmDays) * 24 * time.Hour
	}
	var warnings []Error
	seen := make(map[string]bool)
	check := func(path string, list []ELIN) {
		for i, e := range list {
			if key := e.Number + " " + e.Confirmed; seen[key] { // one number in several places
				continue
			} else {
				seen[key] = true
			}
			path := fmt.Sprintf("%s/elins/%d", path, i)
			if problem := unconfirmed(e, now.In(s.location), limit); problem != "" {
				warnings = note(warnings, Error{Path: path, Problem: problem, Fix: "check with the carrier which address it has on record, and write the day to confirmed"})
			}
		}
	}
	d := s.doc
	check("/emergency", d.Emergency.ELINs)
	for i := range d.Zones {
		check(at("zones", i), d.Zones[i].ELINs)
	}
	for i := range d.Users {
		check(at("users", i), d.Users[i].ELINs)
	}
	for i := range d.Devices {
		check(at("devices", i), d.Devices[i].ELINs)
	}
	return warnings
}

// unconfirmed says what is doubtful about an ELIN's address, or "".
func unconfirmed(e ELIN, now time.Time, limit time.Duration) string {
	if e.Confirmed == "" {
		return fmt.Sprintf("the address of ELIN %s was never confirmed by its carrier", e.Number)
	}
	day, err := time.ParseInLocation(time.DateOnly, e.Confirmed, now.Location())
	switch age := now.Sub(day); {
	case err != nil: // Load has refused it
		return fmt.Sprintf("the address of ELIN %s has no date", e.Number)
	case age < 0:
		return fmt.Sprintf("the address of ELIN %s was confirmed on a day to come, %s", e.Number, e.Confirmed)
	case age > limit:
		return fmt.Sprintf("the address of ELIN %s was last confirmed %d days ago", e.Number, int(age.Hours()/24))
	}
	return ""
}
