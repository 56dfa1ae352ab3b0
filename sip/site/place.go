package site

import "cmp"

// Place is where an emergency call comes from, as far as is known. The zero Place is nowhere; a Place of neither device
// nor user is the site.
type Place struct {
	site   *Site
	Device *Device
	User   *User
	Zone   *Zone
}

// Place puts together where a call comes from: by its device, its user, or neither (nil). A device's zone goes before
// its user's, and a device that nobody uses by name is its user's.
func (s *Site) Place(d *Device, u *User) Place {
	p := Place{site: s, Device: d, User: u}
	zone := ""
	if d != nil {
		if zone = d.Zone; u == nil {
			p.User = s.byID[d.User]
		}
	}
	if p.User != nil {
		zone = cmp.Or(zone, p.User.Zone)
	}
	p.Zone = s.zones[zone]
	return p
}

// level is one of the places around a call, with what it has.
type level struct {
	elins []ELIN
	civic *Civic
}

// levels are the places around a call, the most specific first.
func (p Place) levels() []level {
	var all []level
	if p.Device != nil {
		all = append(all, level{p.Device.ELINs, p.Device.Civic})
	}
	if p.User != nil {
		all = append(all, level{p.User.ELINs, p.User.Civic})
	}
	if p.Zone != nil {
		all = append(all, level{p.Zone.ELINs, p.Zone.Civic})
	}
	if p.site != nil {
		all = append(all, level{p.site.doc.Emergency.ELINs, p.site.doc.Emergency.Civic})
	}
	return all
}

// ELINs are those on the trunk of the most specific place that has any there: the device's, the user's, the zone's or
// the site's; none if even the site has none.
func (p Place) ELINs(trunk string) []ELIN {
	for _, l := range p.levels() {
		var list []ELIN
		for _, e := range l.elins {
			if e.Trunk == trunk {
				list = append(list, e)
			}
		}
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// Civic is the address of a call that shows an ELIN (or "" for none): the site's, with what the zone, the user, the
// device and the ELIN among them say more closely. It reports false when there is no complete one.
func (p Place) Civic(elin string) (Civic, bool) {
	var c Civic
	levels := p.levels()
	for i := len(levels) - 1; i >= 0; i-- {
		c = c.in(levels[i].civic)
		for _, e := range levels[i].elins {
			if e.Number == elin && e.Civic != nil {
				c = c.in(e.Civic)
				break
			}
		}
	}
	return c, c.Country != ""
}

// Address is where the PSAP looks for a call that shows the ELIN, for people: what the carrier has on record, else the
// address in fields, else the zone's or the site's name.
func (p Place) Address(e ELIN) string {
	if e.Address != "" {
		return e.Address
	}
	if c, ok := p.Civic(e.Number); ok {
		return c.String()
	}
	switch {
	case p.Zone != nil:
		return p.Zone.Name
	case p.site != nil:
		return p.site.doc.Site.Name
	}
	return ""
}
