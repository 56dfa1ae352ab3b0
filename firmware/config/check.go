package config

import (
	"fmt"
	"net/netip"
	"strings"
)

var defaultMetrics = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9464)

// check compares values with each other.
func (r *reader) check(c *Config) {
	r.checkListeners(c)
	r.checkMedia(c)
	r.checkCloud(c.Cloud)
	r.checkSource(c)
	r.checkWebhook(c.Webhook)
	r.checkReport(c.Report)
	r.checkWatchers(c)
	r.checkNetwork(c.Network)
	r.checkOwn(c)
	if w := c.Board.Watchdog; w != "auto" && w != "off" && !strings.HasPrefix(w, "/dev/") {
		r.fail("board.watchdog", fmt.Sprintf("%q is no watchdog", w), `write "auto", "off" or the name of a device, such as "/dev/watchdog"`)
	}
}

func (r *reader) checkListeners(c *Config) {
	listeners := []struct {
		key string
		at  netip.AddrPort
	}{{"phones.listen", c.Phones.Listen}, {"phones.gateways", c.Phones.Gateways}, {"trunk.listen", c.Trunk.Listen}, {"metrics.listen", c.Metrics}, {"admin.listen", c.Admin.Listen}}
	for i, a := range listeners {
		for _, b := range listeners[i+1:] {
			if collide(a.at, b.at) {
				r.fail(b.key, fmt.Sprintf("%s is taken by %s (%s)", b.at, a.key, a.at), "write another port or address")
			}
		}
	}
	if c.Metrics.IsValid() && !c.Metrics.Addr().IsLoopback() {
		r.fail("metrics.listen", fmt.Sprintf("%s can be reached from outside", c.Metrics), fmt.Sprintf("write a loopback address, such as %q, or \"off\"", defaultMetrics))
	}
	if c.DNS.IsValid() && c.DNS.Addr().IsUnspecified() {
		r.fail("dns.listen", fmt.Sprintf("%s names no address", c.DNS), "write the one that the LAN's DNS server, or the phones, ask at, such as \"10.0.0.5:53\"")
	}
	for _, side := range []struct {
		section string
		media   netip.Addr
	}{{"phones", c.Phones.MediaAddress}, {"trunk", c.Trunk.MediaAddress}} {
		if side.media.IsUnspecified() {
			r.fail(side.section+".media_address", "is missing, and "+side.section+".listen names no address", `write the address where media goes, such as "10.0.0.5"`)
		}
	}
}

// collide reports whether two listeners want the same port of the same address.
func collide(a, b netip.AddrPort) bool {
	overlap := a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
	return a.IsValid() && b.IsValid() && a.Port() == b.Port() && overlap
}

// freePort is where gateways are served if the file does not say: 5060, or the next even port that nothing else has.
func freePort(c *Config) netip.AddrPort {
	at := netip.AddrPortFrom(c.Phones.Listen.Addr(), 5060)
	for collide(at, c.Phones.Listen) || collide(at, c.Trunk.Listen) || collide(at, c.Metrics) || collide(at, c.Admin.Listen) {
		at = netip.AddrPortFrom(at.Addr(), at.Port()+2)
	}
	return at
}

func (r *reader) checkMedia(c *Config) {
	m := c.Media
	if m.PortMin%2 != 0 {
		r.fail("media.port_min", fmt.Sprintf("%d is odd", m.PortMin), "RTP takes an even port and RTCP the one above (RFC 3550 §11); write an even number")
	}
	// A call has one pair of ports towards each side; below 8 calls besides the emergency reserve the range is a mistake.
	pairs := (int(m.PortMax) - int(m.PortMin) + 1) / 2
	if need := m.EmergencyPorts + 16; pairs < need {
		r.fail("media.port_max", fmt.Sprintf("ports %d to %d make %d pairs, of which %d are reserved for emergency calls", m.PortMin, m.PortMax, max(pairs, 0), m.EmergencyPorts),
			fmt.Sprintf("write at least %d", int(m.PortMin)+2*need-1))
	}
}

func (r *reader) checkCloud(c Cloud) {
	// A probe ends before the next begins, so that a silent cloud is noticed after Missed intervals and one timeout.
	if c.Timeout > c.Interval {
		r.fail("cloud.timeout", fmt.Sprintf("%s is longer than the interval of %s", short(c.Timeout), short(c.Interval)), "write a timeout that ends before the next probe")
	}
	zones := c.Zones
	for i, a := range zones {
		for j, b := range zones[i+1:] {
			key := element("cloud.zone", i+1+j)
			if a.Name == b.Name {
				r.fail(key+".name", fmt.Sprintf("%q is also the zone before", b.Name), "give each zone its own name")
			}
			if a.Address == b.Address {
				r.fail(key+".address", fmt.Sprintf("%q is also zone %q", b.Address, a.Name), "two zones with one address are one zone: remove one of them")
			}
		}
	}
}

// checkSource makes sure that there is a site document to serve from and a key to trust it by.
func (r *reader) checkSource(c *Config) {
	switch {
	case c.Portal.URL == "" && c.Site.File == "":
		r.fail("site.file", "is missing, and there is no portal.url either", `write where the site document comes from, such as file = "site.json" in [site]`)
	case c.Portal.URL == "":
		if c.Portal.TokenFile != "" {
			r.fail("portal.token_file", "is set, but portal.url is not", "write the url of the site document, or remove the token")
		}
		if c.Portal.PublicKey == "" && !c.Site.AllowUnsigned {
			r.fail("site.file", "no key is known to check its signature", "write portal.public_key, or allow_unsigned = true in [site]")
		}
	default:
		if c.Portal.TokenFile == "" {
			r.fail("portal.token_file", "is missing", "name a file that holds the portal's token for this box")
		}
		if c.Portal.PublicKey == "" {
			r.fail("portal.public_key", "is missing", "write the ed25519 key that signs this site's documents, in base64")
		}
	}
	if c.Site.AllowUnsigned && c.Site.File == "" {
		r.fail("site.allow_unsigned", "is set, but there is no site.file", "what comes from the portal is always signed: remove the line")
	}
}

func (r *reader) checkWebhook(w Webhook) {
	if w.URL != "" {
		if w.SecretFile == "" {
			r.fail("webhook.secret_file", "is missing", "name a file with a secret of 16 bytes or more: without a signature anybody could raise an alert")
		}
		return
	}
	for _, key := range []string{"secret_file", "roots"} {
		if r.has("webhook." + key) {
			r.fail("webhook."+key, "is set, but webhook.url is not", "write where alerts go, or remove the line")
		}
	}
}
