package site

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"holdfast/sip/number"
)

func (c *check) trunkList() {
	if len(c.doc.Trunks) == 0 {
		c.doubtful("/trunks", "the site has no trunk", "list its SBC: without one there are no calls to the outside, emergency calls included")
	}
	for i := range c.doc.Trunks {
		t, path := &c.doc.Trunks[i], at("trunks", i)
		c.filled(path+"/id", t.ID)
		if _, twice := c.byTrunkID[t.ID]; twice {
			c.wrong(path+"/id", fmt.Sprintf("trunk %q is there already", t.ID), "give every trunk an id of its own")
		}
		c.byTrunkID[t.ID] = t
		c.hostPort(path+"/address", t.Address)
		if t.TLSName == "" && t.Fingerprint == "" {
			c.wrong(path, "nothing says which certificate is this trunk's", "give tls_name, fingerprint_sha256 or both")
		}
		if t.TLSName != "" {
			c.host(path+"/tls_name", t.TLSName)
		}
		if t.Fingerprint != "" && !isHex(t.Fingerprint, 64) {
			c.wrong(path+"/fingerprint_sha256", "is no SHA-256 fingerprint", "give 64 hex digits, with or without colons")
		}
		if t.MainNumber != c.doc.Site.MainNumber { // the site's own is checked where it stands
			c.e164(path+"/main_number", t.MainNumber)
		}
		if host, _, _ := strings.Cut(t.Address, ":"); t.Domain != host {
			c.host(path+"/domain", t.Domain)
		}
		c.between(path+"/max_calls", t.MaxCalls, 0, 100_000)
		c.between(path+"/options_interval_s", t.OptionsInterval, 1, 3600)
		if f := t.EmergencyForm; f != "as-dialled" && f != "urn" && !number.IsE164(f) && !(number.IsDigits(f) && len(f) <= 15) {
			c.wrong(path+"/emergency_form", fmt.Sprintf("%q is not known", f), "use as-dialled, urn, or the number that the carrier wants")
		}
	}
}

func (c *check) hostPort(path, address string) {
	host, port, _ := strings.Cut(address, ":")
	if strings.Contains(port, ":") {
		c.wrong(path, fmt.Sprintf("%q is an IPv6 address", address), "use IPv4; IPv6 is not supported")
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || !isHost(host) {
		c.wrong(path, fmt.Sprintf("%q is not an address with its port", address), `write it as in "10.0.0.60:5061"`)
	}
}

func (c *check) zoneList() {
	for i := range c.doc.Zones {
		z, path := &c.doc.Zones[i], at("zones", i)
		c.filled(path+"/id", z.ID)
		if _, twice := c.zones[z.ID]; twice {
			c.wrong(path+"/id", fmt.Sprintf("zone %q is there already", z.ID), "give every zone an id of its own")
		}
		c.zones[z.ID] = z
		c.filled(path+"/name", z.Name)
	}
}

func (c *check) zoneRef(path, id string) {
	if _, ok := c.zones[id]; !ok && id != "" {
		c.wrong(path, fmt.Sprintf("there is no zone %q", id), "use the id of one of the zones")
	}
}

func (c *check) devices() {
	for i := range c.doc.Devices {
		d, path := &c.doc.Devices[i], at("devices", i)
		c.filled(path+"/id", d.ID)
		if _, twice := c.instances[instanceKey(d.ID)]; twice {
			c.wrong(path+"/id", fmt.Sprintf("device %q is there already", d.ID), "list every device once")
		}
		c.instances[instanceKey(d.ID)] = d
		if _, ok := c.byID[d.User]; !ok && d.User != "" {
			c.wrong(path+"/user", fmt.Sprintf("there is no user %q", d.User), "use the id of one of the users")
		}
		c.zoneRef(path+"/zone", d.Zone)
		c.oneOf(path+"/transport", d.Transport, "tls", "udp", "tcp")
		if d.Address != "" {
			c.deviceAddress(path+"/address", d)
		} else if d.Transport != "tls" || d.PlainRTP {
			c.wrong(path+"/address", "is missing", "give the device's IPv4 address: without TLS or SRTP it is known by nothing else")
		}
	}
}

func (c *check) deviceAddress(path string, d *Device) {
	a, err := netip.ParseAddr(d.Address)
	switch {
	case err == nil && !a.Is4():
		c.wrong(path, fmt.Sprintf("%q is an IPv6 address", d.Address), "use IPv4; IPv6 is not supported")
		return
	case err != nil, a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		c.wrong(path, fmt.Sprintf("%q is not one device's IPv4 address", d.Address), `write it as in "10.0.0.71"`)
		return
	}
	if first, twice := c.addresses[a]; twice {
		c.wrong(path, fmt.Sprintf("%s is the address of device %q", d.Address, first.ID), "give every device an address of its own")
	}
	c.addresses[a] = d
}

// places checks the ELINs of all places: site, zones, users, devices.
func (c *check) places() {
	civic := make(map[string]string)
	c.elinList("/emergency/elins", c.doc.Emergency.ELINs, nil, civic)
	for i := range c.doc.Zones {
		c.elinList(at("zones", i)+"/elins", c.doc.Zones[i].ELINs, nil, civic)
	}
	for i := range c.doc.Users {
		c.elinList(at("users", i)+"/elins", c.doc.Users[i].ELINs, &c.doc.Users[i], civic)
	}
	for i := range c.doc.Devices {
		d := &c.doc.Devices[i]
		c.elinList(at("devices", i)+"/elins", d.ELINs, c.byID[d.User], civic)
		c.away(i)
	}
	for i, t := range c.doc.Trunks {
		has := false
		for _, e := range c.doc.Emergency.ELINs {
			has = has || e.Trunk == t.ID
		}
		if !has {
			c.doubtful(at("trunks", i), "the site has no ELIN on this trunk",
				"add one to /emergency/elins: without it an emergency call shows the main number, and a callback reaches nobody in particular")
		}
	}
}

// away warns of a phone that stands elsewhere than its user's ELINs say.
func (c *check) away(i int) {
	d := &c.doc.Devices[i]
	u := c.byID[d.User]
	if u != nil && len(u.ELINs) > 0 && len(d.ELINs) == 0 && d.Zone != "" && d.Zone != u.Zone {
		c.doubtful(at("devices", i)+"/zone", fmt.Sprintf("the phone is in %q, but its emergency calls show the ELINs of its user", d.Zone),
			"give the device an ELIN of its own, or move the user's to the user's device")
	}
}

// elinList checks one place's ELINs. civic remembers each number's address: one number cannot be in two places.
func (c *check) elinList(path string, list []ELIN, owner *User, civic map[string]string) {
	seen := make(map[ELIN]bool)
	for i, e := range list {
		path := path + "/" + strconv.Itoa(i)
		if _, ok := c.byTrunkID[e.Trunk]; !ok {
			c.wrong(path+"/trunk", fmt.Sprintf("there is no trunk %q", e.Trunk), "use the id of one of the trunks")
		}
		if _, err := time.Parse(time.DateOnly, e.Confirmed); err != nil && e.Confirmed != "" {
			c.wrong(path+"/confirmed", fmt.Sprintf("%q is no date", e.Confirmed), "write it as YYYY-MM-DD")
		}
		if !c.e164(path+"/number", e.Number) {
			continue
		}
		c.elinNumber(path+"/number", e.Number)
		key := ELIN{Trunk: e.Trunk, Number: e.Number}
		if seen[key] {
			c.wrong(path+"/number", fmt.Sprintf("%s is in this list already", e.Number), "remove it")
		}
		seen[key] = true
		if e.Address != "" {
			if other, ok := civic[e.Number]; ok && other != e.Address {
				c.wrong(path+"/address", fmt.Sprintf("%s is registered for %q elsewhere in the document", e.Number, other),
					"a number sends help to one address: use another number, or write the address the same way")
			}
			civic[e.Number] = e.Address
		}
		if e.Civic != nil {
			if other, ok := c.civicOf[e.Number]; ok && *other != *e.Civic {
				c.wrong(path+"/civic", e.Number+" has another address elsewhere in the document", "give a number one address, or use another number")
			}
			c.civicOf[e.Number] = e.Civic
		}
		if other, ok := c.elins[e.Number]; ok && other != owner {
			owner = nil // several places, or a place and a user, share the address and the number
		}
		c.elins[e.Number] = owner
	}
}

func (c *check) elinNumber(path, n string) {
	if first, taken := c.forms[n]; taken {
		c.wrong(path, fmt.Sprintf("%s is a user's number, at %s", n, first), "an ELIN must be nobody's: a callback has to reach who called for help")
	}
	if n == c.doc.Site.MainNumber {
		c.wrong(path, n+" is the site's main number", "use a number that nothing else has")
		return
	}
	for i, t := range c.doc.Trunks {
		if n == t.MainNumber {
			c.wrong(path, fmt.Sprintf("%s is the main number of %s", n, at("trunks", i)), "use a number that nothing else has")
		}
	}
}

// securityDesk checks who is rung when nobody else can take a callback; the list ends outside, where somebody answers
// though every phone here is dead.
func (c *check) securityDesk() {
	list := c.doc.Emergency.Security
	if len(list) == 0 {
		c.doubtful("/emergency/security_desk", "is empty", "list who takes emergency callbacks, with an outside number at the end")
		return
	}
	if c.plan == nil {
		return
	}
	for i, target := range list {
		path := at("emergency/security_desk", i)
		before := len(c.errs)
		u := c.target(path, target, nil)
		if i == len(list)-1 && len(c.errs) == before && u != nil {
			c.wrong(path, fmt.Sprintf("the list ends inside, at %s", target), "put an outside number at the end")
		}
	}
}
