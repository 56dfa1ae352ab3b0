package site

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Civic is an address in the fields of RFC 5139 (their names there stand at the right). One with a country is complete
// and stands for itself. One without adds what is inside a building to the address of the place around it: a zone its
// floor, a device its room.
type Civic struct {
	Country         string `json:"country,omitempty"`          // ISO 3166-1 alpha-2
	State           string `json:"state,omitempty"`            // A1
	County          string `json:"county,omitempty"`           // A2
	City            string `json:"city,omitempty"`             // A3
	District        string `json:"district,omitempty"`         // A4
	Neighborhood    string `json:"neighborhood,omitempty"`     // A5
	StreetBefore    string `json:"street_before,omitempty"`    // PRD: leading direction
	Street          string `json:"street,omitempty"`           // RD
	StreetType      string `json:"street_type,omitempty"`      // STS
	StreetAfter     string `json:"street_after,omitempty"`     // POD: trailing direction
	House           string `json:"house,omitempty"`            // HNO
	HouseSuffix     string `json:"house_suffix,omitempty"`     // HNS
	Landmark        string `json:"landmark,omitempty"`         // LMK
	Additional      string `json:"additional,omitempty"`       // LOC
	Floor           string `json:"floor,omitempty"`            // FLR
	Name            string `json:"name,omitempty"`             // NAM
	PostalCode      string `json:"postal_code,omitempty"`      // PC
	Building        string `json:"building,omitempty"`         // BLD
	Unit            string `json:"unit,omitempty"`             // UNIT
	Room            string `json:"room,omitempty"`             // ROOM
	Seat            string `json:"seat,omitempty"`             // SEAT
	PostalCommunity string `json:"postal_community,omitempty"` // PCN
	AdditionalCode  string `json:"additional_code,omitempty"`  // ADDCODE
}

// CivicField is one field of an address.
type CivicField struct {
	Name  string // in JSON
	Type  string // element of RFC 5139
	Value string
}

// Fields are those that are filled in, in the order of RFC 5139's schema.
func (c *Civic) Fields() []CivicField {
	all := []CivicField{
		{"country", "country", c.Country}, {"state", "A1", c.State}, {"county", "A2", c.County}, {"city", "A3", c.City},
		{"district", "A4", c.District}, {"neighborhood", "A5", c.Neighborhood}, {"street_before", "PRD", c.StreetBefore},
		{"street", "RD", c.Street}, {"street_type", "STS", c.StreetType}, {"street_after", "POD", c.StreetAfter},
		{"house", "HNO", c.House}, {"house_suffix", "HNS", c.HouseSuffix}, {"landmark", "LMK", c.Landmark},
		{"additional", "LOC", c.Additional}, {"floor", "FLR", c.Floor}, {"name", "NAM", c.Name}, {"postal_code", "PC", c.PostalCode},
		{"building", "BLD", c.Building}, {"unit", "UNIT", c.Unit}, {"room", "ROOM", c.Room}, {"seat", "SEAT", c.Seat},
		{"postal_community", "PCN", c.PostalCommunity}, {"additional_code", "ADDCODE", c.AdditionalCode},
	}
	filled := all[:0]
	for _, f := range all {
		if f.Value != "" {
			filled = append(filled, f)
		}
	}
	return filled
}

// inside reports whether a field says something about where in a building, which an address without country may.
func (f CivicField) inside() bool {
	switch f.Type {
	case "LMK", "LOC", "FLR", "NAM", "BLD", "UNIT", "ROOM", "SEAT", "ADDCODE":
		return true
	}
	return false
}

// in is the address with what is known more closely of a place in it. What is closer replaces what it contradicts: on
// another floor is another room.
func (c Civic) in(closer *Civic) Civic {
	if closer == nil {
		return c
	}
	if closer.Country != "" {
		return *closer
	}
	depth := []struct{ to, from *string }{
		{&c.Building, &closer.Building}, {&c.Floor, &closer.Floor}, {&c.Unit, &closer.Unit}, {&c.Room, &closer.Room}, {&c.Seat, &closer.Seat},
	}
	other := false
	for _, d := range depth {
		if other = other || *d.from != ""; other {
			*d.to = *d.from
		}
	}
	for _, d := range []struct{ to, from *string }{
		{&c.Landmark, &closer.Landmark}, {&c.Additional, &closer.Additional}, {&c.Name, &closer.Name}, {&c.AdditionalCode, &closer.AdditionalCode},
	} {
		if *d.from != "" {
			*d.to = *d.from
		}
	}
	return c
}

// String is the address on one line, for people, the closest first.
func (c Civic) String() string {
	var parts []string
	add := func(label string, words ...string) {
		if s := strings.Join(strings.Fields(strings.Join(words, " ")), " "); s != "" {
			parts = append(parts, strings.TrimSpace(label+" "+s))
		}
	}
	add("", c.Name)
	add("seat", c.Seat)
	add("room", c.Room)
	add("unit", c.Unit)
	add("floor", c.Floor)
	add("building", c.Building)
	add("", c.Additional)
	add("", c.Landmark)
	add("", c.House+c.HouseSuffix, c.StreetBefore, c.Street, c.StreetType, c.StreetAfter)
	add("", c.City)
	add("", c.State, c.PostalCode)
	add("", c.Country)
	return strings.Join(parts, ", ")
}

// civics checks the addresses of all places.
func (c *check) civics() {
	d := c.doc
	base := d.Emergency.Civic != nil && d.Emergency.Civic.Country != ""
	elins := func(path string, list []ELIN) {
		for i := range list {
			c.civic(fmt.Sprintf("%s/elins/%d/civic", path, i), list[i].Civic, base)
		}
	}
	c.civic("/emergency/civic", d.Emergency.Civic, false)
	elins("/emergency", d.Emergency.ELINs)
	for i := range d.Zones {
		c.civic(at("zones", i)+"/civic", d.Zones[i].Civic, base)
		elins(at("zones", i), d.Zones[i].ELINs)
	}
	for i := range d.Users {
		c.civic(at("users", i)+"/civic", d.Users[i].Civic, base)
		elins(at("users", i), d.Users[i].ELINs)
	}
	for i := range d.Devices {
		c.civic(at("devices", i)+"/civic", d.Devices[i].Civic, base)
		elins(at("devices", i), d.Devices[i].ELINs)
	}
	for i, t := range d.Trunks {
		if t.Location && !base {
			c.doubtful(at("trunks", i)+"/location", "the site has no address in fields to send", "add /emergency/civic")
		}
	}
}

// civic checks one address; base says that the site has one that it may add to.
func (c *check) civic(path string, a *Civic, base bool) {
	if a == nil {
		return
	}
	fields := a.Fields()
	if len(fields) == 0 {
		c.wrong(path, "is empty", "fill it in or leave it out")
		return
	}
	for _, f := range fields {
		if path := path + "/" + f.Name; strings.ContainsFunc(f.Value, unprintable) || strings.TrimSpace(f.Value) != f.Value || len(f.Value) > 255 {
			c.wrong(path, fmt.Sprintf("%.40q has control characters, blanks around it, or more than 255 bytes", f.Value), "write it on one line")
		}
		if a.Country == "" && !f.inside() {
			c.wrong(path+"/"+f.Name, "stands in an address without a country",
				"complete the address with country and city, or say here only what is inside the building")
		}
	}
	switch {
	case a.Country == "" && !base:
		c.wrong(path, "adds to an address that is not there", "give /emergency/civic the site's address, with its country")
	case a.Country == "":
	case len(a.Country) != 2 || strings.ContainsFunc(a.Country, func(r rune) bool { return r < 'A' || r > 'Z' }):
		c.wrong(path+"/country", fmt.Sprintf("%q is no country", a.Country), `use its two capital letters of ISO 3166-1, such as "US"`)
	case a.City == "":
		c.wrong(path+"/city", "is missing", "give the city, RFC 5139 A3")
	case a.Street == "" && a.Landmark == "":
		c.doubtful(path, "has neither street nor landmark", "help has to find the house: add one")
	}
}

// unprintable are characters that XML does not take, or that people cannot see.
func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || r == 0xfffe || r == 0xffff || r == 0x2028 || r == 0x2029
}
