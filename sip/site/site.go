package site

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"holdfast/sip/number"
)

// The values of Document.Registration.
const (
	RegisterInResilience = "resilience" // phones are taken in only while the box serves
	RegisterAlways       = "always"     // phones that register with both servers are taken in warm
)

// Site is a validated document with its defaults filled in, and its indexes. It never changes after Load and is safe
// for concurrent use; what it returns must not be changed.
type Site struct {
	doc       *Document
	plan      *number.Plan
	location  *time.Location
	warnings  []Error
	emergency []string
	test      []string
	domains   []string
	digests   []string

	byID       map[string]*User
	byUsername map[string]*User
	byNumber   map[string]*User // extensions, long extensions, cloud and BYOC numbers
	elins      map[string]*User // ELIN → its user, or nil for a place's
	trunks     []*Trunk
	byTrunkID  map[string]*Trunk
	zones      map[string]*Zone
	instances  map[string]*Device // by instanceKey
	addresses  map[netip.Addr]*Device
}

// Doc returns the document with defaults filled in.
func (s *Site) Doc() *Document { return s.doc }

// Warnings returns what is allowed but doubtful, such as a trunk on which the site has no ELIN.
func (s *Site) Warnings() []Error { return s.warnings }

// Plan returns the compiled dial plan.
func (s *Site) Plan() *number.Plan { return s.plan }

// Location returns the site's time zone.
func (s *Site) Location() *time.Location { return s.location }

// EmergencyNumbers returns the country's emergency numbers and the site's, never none.
func (s *Site) EmergencyNumbers() []string { return s.emergency }

// TestNumbers returns the numbers that test the emergency path: the country's (933 in the US and Canada) and the site's.
func (s *Site) TestNumbers() []string { return s.test }

// UserByID finds a user by User.ID.
func (s *Site) UserByID(id string) (*User, bool) { u, ok := s.byID[id]; return u, ok }

// UserByUsername finds a user by Auth.Username, which is also the user part of its phones' address of record.
func (s *Site) UserByUsername(name string) (*User, bool) { u, ok := s.byUsername[name]; return u, ok }

// Lookup finds a user by any of the four number forms: digits for an extension or a long extension, E.164 with its
// "+" for a cloud or BYOC number. The number stands there as in the document; Resolve takes what people dial.
func (s *Site) Lookup(n string) (*User, bool) { u, ok := s.byNumber[n]; return u, ok }

// Resolve says whom dialled digits mean: a user of the site, by any form and also by what the dial plan makes of the
// digits; else an E.164 number outside. Errors: number.ErrIncomplete, number.ErrNotDialable. Emergency numbers are not
// looked at here.
func (s *Site) Resolve(dialled string) (*User, number.Number, error) {
	if digits, ok := number.Strip(dialled); ok {
		if u, ok := s.byNumber[digits]; ok {
			return u, "", nil
		}
	}
	n, err := s.plan.Normalize(dialled)
	if err != nil {
		return nil, "", err
	}
	if u, ok := s.byNumber[string(n)]; ok {
		return u, "", nil
	}
	return nil, n, nil
}

// ELIN reports whether an E.164 number is an ELIN, and whose: the user's if it was given to a user or to a device of a
// user, nil if to a zone or to the site.
func (s *Site) ELIN(n string) (*User, bool) { u, ok := s.elins[n]; return u, ok }

// Trunks returns the trunks in the order in which they are tried.
func (s *Site) Trunks() []*Trunk { return s.trunks }

// Trunk finds a trunk by Trunk.ID.
func (s *Site) Trunk(id string) (*Trunk, bool) { t, ok := s.byTrunkID[id]; return t, ok }

// Zone finds a zone by Zone.ID.
func (s *Site) Zone(id string) (*Zone, bool) { z, ok := s.zones[id]; return z, ok }

// Algorithms returns the Digest algorithms to challenge phones with, best first. It is one list for the site, since a
// list of each user's own would tell users from strangers, and only of algorithms that all users have: a phone
// takes the best that it knows and would fail for want of the HA1 value. A site whose phones stumble over a challenge
// that they do not know (baresip 1.0 gives up at SHA-256) leaves SHA-256 out of its document.
func (s *Site) Algorithms() []string { return s.digests }

// Domains returns the domains that mean this site, the site's own first, in lower case.
func (s *Site) Domains() []string { return s.domains }

// IsDomain reports whether the host part of a URI (without port) means this site. Case does not matter.
func (s *Site) IsDomain(host string) bool {
	return slices.Contains(s.domains, strings.TrimSuffix(strings.ToLower(host), "."))
}

// DeviceByInstance finds a device by its +sip.instance value (RFC 5626 §4.1), with or without the quotes and angle
// brackets, or by its MAC address in any common spelling. A device known by its MAC is also found by a UUID that ends
// in it, as phones make them (RFC 5626 §4.1 asks for one that survives a restart; RFC 4122 §4.1.6 is where the MAC goes).
func (s *Site) DeviceByInstance(instance string) (*Device, bool) {
	key := instanceKey(instance)
	if d, ok := s.instances[key]; ok {
		return d, true
	}
	const uuid = "urn:uuid:00000000-0000-0000-0000-"
	if strings.HasPrefix(key, "urn:uuid:") && len(key) == len(uuid)+12 {
		if d, ok := s.instances[key[len(uuid):]]; ok {
			return d, true
		}
	}
	return nil, false
}

// Gateways are the addresses of the devices that may speak SIP without TLS, by transport.
func (s *Site) Gateways() (udp, tcp []netip.Addr) {
	for i := range s.doc.Devices {
		d := &s.doc.Devices[i]
		a, err := netip.ParseAddr(d.Address)
		switch {
		case err != nil:
		case d.Transport == "udp":
			udp = append(udp, a)
		case d.Transport == "tcp":
			tcp = append(tcp, a)
		}
	}
	return udp, tcp
}

// DeviceByAddress finds a device by its IPv4 address: one that is allowed UDP or TCP, or plain RTP, or that simply has one.
func (s *Site) DeviceByAddress(a netip.Addr) (*Device, bool) {
	d, ok := s.addresses[a.Unmap()]
	return d, ok
}

// instanceKey makes spellings of one device equal: lower case, no brackets, a MAC address as twelve hex digits.
func instanceKey(id string) string {
	id = strings.ToLower(strings.Trim(id, `"<> `))
	mac := strings.TrimPrefix(id, "urn:mac:")
	for _, separator := range []string{":", "-", "."} {
		mac = strings.ReplaceAll(mac, separator, "")
	}
	if isHex(mac, 12) {
		return mac
	}
	return id
}

// isHex reports whether s is exactly n hex digits.
func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for i := range n {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// newSite begins an index; validate fills it in while it looks for duplicates, so that one walk serves both.
func newSite(d *Document) *Site {
	s := &Site{
		doc:        d,
		emergency:  join(emergencyNumbers(d.DialPlan.Country), d.Emergency.Numbers),
		test:       join(testNumbers(d.DialPlan.Country), d.Emergency.TestNumbers),
		digests:    commonAlgorithms(d.Users),
		byID:       make(map[string]*User, len(d.Users)),
		byUsername: make(map[string]*User, len(d.Users)),
		byNumber:   make(map[string]*User, 4*len(d.Users)),
		elins:      make(map[string]*User),
		byTrunkID:  make(map[string]*Trunk),
		zones:      make(map[string]*Zone),
		instances:  make(map[string]*Device),
		addresses:  make(map[netip.Addr]*Device),
	}
	for i := range d.Trunks {
		s.trunks = append(s.trunks, &d.Trunks[i])
	}
	for _, host := range append([]string{d.Site.Domain}, d.Options.AllowedHosts...) {
		s.domains = append(s.domains, strings.TrimSuffix(strings.ToLower(host), "."))
	}
	return s
}
