package site

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Load reads, checks and indexes a site document. What is wrong comes as Errors, all of it at once: unknown or
// repeated fields and wrong types as well as what contradicts itself. How large data may be is the caller's to bound.
func Load(data []byte) (*Site, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // RFC 8259 §8.1: a byte order mark, as some editors write, may be passed over
	doc := new(Document)
	shape, fatal := decode(data, doc)
	if fatal {
		return nil, Errors(shape)
	}
	fillDefaults(doc)
	s, found, warnings := validate(doc)

	// A field of the wrong type reads as empty: one complaint about it is enough.
	for _, e := range found {
		if !slices.ContainsFunc(shape, func(s Error) bool { return within(e.Path, s.Path) }) {
			shape = append(shape, e)
		}
	}
	locate(data, shape, warnings)
	if len(shape) > 0 {
		slices.SortStableFunc(shape, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
		return nil, Errors(shape)
	}
	s.warnings = warnings
	return s, nil
}

// within reports whether a JSON pointer is outer or something inside it.
func within(path, outer string) bool {
	return strings.HasPrefix(path, outer) && (len(path) == len(outer) || path[len(outer)] == '/')
}

// fillDefaults puts in what the document may leave out.
func fillDefaults(d *Document) {
	d.Registration = cmp.Or(d.Registration, RegisterInResilience)
	d.Emergency.ConfirmDays = cmp.Or(d.Emergency.ConfirmDays, 365)
	o := &d.Options
	o.NoAnswerAfter = cmp.Or(o.NoAnswerAfter, 30)
	o.MaxExpires = cmp.Or(o.MaxExpires, 600)
	o.MinExpires = cmp.Or(o.MinExpires, 60)
	o.MaxContacts = cmp.Or(o.MaxContacts, 10)
	o.Features.Pickup = cmp.Or(o.Features.Pickup, "*8")
	o.Features.Park = cmp.Or(o.Features.Park, "*5")
	o.Features.ParkTimeout = cmp.Or(o.Features.ParkTimeout, 120)
	for i := range d.Users {
		u := &d.Users[i]
		u.NoAnswerAfter = cmp.Or(u.NoAnswerAfter, o.NoAnswerAfter)
		if u.LongExtension == "" && u.Extension != "" {
			u.LongExtension = d.DialPlan.SiteCode + u.Extension
		}
	}
	for i := range d.Devices {
		d.Devices[i].Transport = cmp.Or(d.Devices[i].Transport, "tls")
	}
	for i := range d.Trunks {
		t := &d.Trunks[i]
		t.MainNumber = cmp.Or(t.MainNumber, d.Site.MainNumber)
		host, _, _ := strings.Cut(t.Address, ":")
		t.Domain = cmp.Or(t.Domain, host)
		t.OptionsInterval = cmp.Or(t.OptionsInterval, 10)
		t.EmergencyForm = cmp.Or(t.EmergencyForm, "as-dialled")
		t.Fingerprint = strings.ToLower(strings.ReplaceAll(t.Fingerprint, ":", ""))
	}
}
