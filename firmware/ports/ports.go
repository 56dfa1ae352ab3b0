// Package ports is the one table of what the box sends and takes on the network, made from its settings: for the firewall's
// admin, the doctor and the admin page. It is pure and asks nobody; names stay names.
package ports

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"holdfast/firmware/config"
	"holdfast/sip/site"
)

// Flow is one line of the table: who begins to send to whom, and where to.
type Flow struct {
	ID       string `json:"id"`       // stable, such as "phones.sip"
	From     string `json:"from"`     // "phones", "box", …
	To       string `json:"to"`       // likewise
	Source   string `json:"source"`   // address, network or name that packets come from; "any" where nobody knows
	Address  string `json:"address"`  // and that they go to
	Protocol string `json:"protocol"` // tcp, udp, arp
	Ports    string `json:"ports"`    // of Address: "5061", "20000-29999", "any"
	What     string `json:"what"`     // what is spoken, and what for
	Setting  string `json:"setting"`  // where the port or the address stands
	Needed   string `json:"needed"`   // always, outage, once, optional
	Local    bool   `json:"local"`    // never leaves the box or its link: no firewall sees it
	Inbound  bool   `json:"inbound"`  // the box listens
	Endpoint string `json:"-"`        // host:port that a doctor can try by TCP; "" where that says nothing
}

// When a flow is needed.
const (
	Always = "always"
	Outage = "during an outage"
	Wanted = "when wanted"
)

// Table is every flow of a box with these settings; doc may be nil when there is no site document yet.
func Table(c *config.Config, doc *site.Document) []Flow {
	var out []Flow
	add := func(f Flow) { out = append(out, f) }
	media := fmt.Sprintf("%d-%d", c.Media.PortMin, c.Media.PortMax)
	phones, trunk := host(c.Phones.Listen), host(c.Trunk.Listen)

	add(Flow{ID: "phones.sip", From: "phones", To: "box", Source: "any", Address: phones, Protocol: "tcp", Ports: port(c.Phones.Listen), Inbound: true,
		What: "SIP over TLS: registration and calls", Setting: "phones.listen", Needed: Always, Endpoint: c.Phones.Listen.String()})
	add(Flow{ID: "phones.media", From: "phones", To: "box", Source: "any", Address: c.Phones.MediaAddress.String(), Protocol: "udp", Ports: media, Inbound: true,
		What: "SRTP and SRTCP: audio", Setting: "media.port_min, media.port_max", Needed: Outage})
	add(Flow{ID: "phones.media.back", From: "box", To: "phones", Source: c.Phones.MediaAddress.String(), Address: "any", Protocol: "udp", Ports: "any",
		What: "SRTP and SRTCP: audio, to the ports that the phones name", Setting: "media.port_min, media.port_max (source ports)", Needed: Outage})
	if doc != nil {
		out = append(out, gateways(c, doc)...)
		for _, t := range doc.Trunks {
			h, p := split(t.Address, "5061")
			add(Flow{ID: "trunk." + t.ID + ".out", From: "box", To: "SBC " + t.ID, Source: trunk, Address: h, Protocol: "tcp", Ports: p,
				What: "SIP over TLS, both certificates checked: calls and OPTIONS", Setting: "site document, trunks", Needed: Always, Endpoint: h + ":" + p})
			add(Flow{ID: "trunk." + t.ID + ".in", From: "SBC " + t.ID, To: "box", Source: h, Address: trunk, Protocol: "tcp", Ports: port(c.Trunk.Listen), Inbound: true,
				What: "SIP over TLS, both certificates checked: calls from outside and from an emergency centre that calls back", Setting: "trunk.listen", Needed: Always})
			add(Flow{ID: "trunk." + t.ID + ".media", From: "SBC " + t.ID, To: "box", Source: h + " or its media address", Address: c.Trunk.MediaAddress.String(), Protocol: "udp", Ports: media, Inbound: true,
				What: "SRTP and SRTCP: audio", Setting: "media.port_min, media.port_max", Needed: Always})
			add(Flow{ID: "trunk." + t.ID + ".media.back", From: "box", To: "SBC " + t.ID, Source: c.Trunk.MediaAddress.String(), Address: h + " or its media address", Protocol: "udp", Ports: "any",
				What: "SRTP and SRTCP: audio, to the ports that the SBC names", Setting: "media.port_min, media.port_max (source ports)", Needed: Always})
		}
	}
	for _, z := range c.Cloud.Zones {
		h, p := split(z.Address, "5061")
		add(Flow{ID: "cloud." + z.Name, From: "box", To: "cloud zone " + z.Name, Source: phones, Address: h, Protocol: "tcp", Ports: p,
			What: "SIP over TLS: OPTIONS, is it there?", Setting: "cloud.zone", Needed: Always, Endpoint: h + ":" + p})
	}
	for _, w := range []struct{ id, to, url, what, setting, needed string }{
		{"cloud.https", "cloud", c.Cloud.HTTPS, "HTTPS: a second opinion on whether it is there", "cloud.https", Wanted},
		{"portal", "portal", c.Portal.URL, "HTTPS: the site document", "portal.url", Always},
		{"webhook", "alerts", c.Webhook.URL, "HTTPS: emergency calls", "webhook.url", Always},
		{"report", "reports", c.Report.URL, "HTTPS: reports of outages", "report.url", Wanted},
	} {
		if w.url != "" {
			h, p := web(w.url)
			add(Flow{ID: w.id, From: "box", To: w.to, Source: phones, Address: h, Protocol: "tcp", Ports: p, What: w.what, Setting: w.setting, Needed: w.needed, Endpoint: h + ":" + p})
		}
	}
	if a := c.Homer.Address; a != "" {
		h, p := split(a, "9060")
		f := Flow{ID: "homer", From: "box", To: "Homer", Source: phones, Address: h, Protocol: "tcp", Ports: p, What: "HEP: SIP messages without their secrets", Setting: "homer.address", Needed: Wanted}
		if c.Homer.Transport == "udp" {
			f.Protocol = "udp"
		} else {
			f.Endpoint = h + ":" + p
		}
		add(f)
	}
	if a := c.Syslog.Address; a != "" {
		h, p := split(a, "6514")
		add(Flow{ID: "syslog", From: "box", To: "syslog server", Source: phones, Address: h, Protocol: "tcp", Ports: p, What: "syslog over TLS (RFC 5425)", Setting: "syslog.address", Needed: Wanted, Endpoint: h + ":" + p})
	}
	if a := c.DNS; a.IsValid() {
		add(Flow{ID: "ownname", From: "phones, DNS servers of the LAN", To: "box", Source: "any", Address: host(a), Protocol: "udp", Ports: port(a), Inbound: true, What: "DNS: the box's own name, and no other", Setting: "dns.listen", Needed: Wanted})
	}
	for _, d := range c.Network.DNS {
		add(Flow{ID: "dns." + d.String(), From: "box", To: "DNS server", Source: phones, Address: d.String(), Protocol: "udp+tcp", Ports: "53", What: "DNS: names of the cloud, the SBC, the portal", Setting: "network.dns", Needed: Always,
			Endpoint: d.String() + ":53"})
	}
	servers := c.Time.Servers
	if c.Network.Gateway.IsValid() {
		servers = append(servers[:len(servers):len(servers)], c.Network.Gateway.String())
	}
	for _, s := range servers {
		add(Flow{ID: "time." + s, From: "box", To: "time server", Source: phones, Address: s, Protocol: "udp", Ports: "123", What: "SNTP: the time", Setting: "time.servers, network.gateway", Needed: Always})
	}
	return append(out, local(c)...)
}

// gateways are the devices of the site document that speak SIP without TLS, or audio without SRTP.
func gateways(c *config.Config, doc *site.Document) (out []Flow) {
	at, media := c.Phones.Gateways, c.Phones.MediaAddress.String()
	pairs := fmt.Sprintf("%d-%d", c.Media.PortMin, c.Media.PortMax)
	for _, d := range doc.Devices {
		who, id := "gateway "+d.ID, "gateway."+d.ID
		if d.Transport == "udp" || d.Transport == "tcp" {
			f := Flow{ID: id + ".sip", From: who, To: "box", Source: d.Address, Address: host(at), Protocol: d.Transport, Ports: port(at), Inbound: true,
				What: "SIP without TLS: registration and calls, from this address alone", Setting: "site document, devices; phones.gateways", Needed: Always}
			if d.Transport == "tcp" {
				f.Endpoint = at.String()
			} else {
				out = append(out, Flow{ID: id + ".sip.back", From: "box", To: who, Source: host(at), Address: d.Address, Protocol: "udp", Ports: "any",
					What: "SIP without TLS: calls, to the ports that the gateway registers from", Setting: "phones.gateways (source port)", Needed: Always})
			}
			out = append(out, f)
		}
		if d.PlainRTP {
			out = append(out, Flow{ID: id + ".media", From: who, To: "box", Source: d.Address, Address: media, Protocol: "udp", Ports: pairs, Inbound: true,
				What: "RTP and RTCP, not encrypted: audio", Setting: "media.port_min, media.port_max", Needed: Always},
				Flow{ID: id + ".media.back", From: "box", To: who, Source: media, Address: d.Address, Protocol: "udp", Ports: "any",
					What: "RTP and RTCP, not encrypted: audio, to the ports that the gateway names", Setting: "media.port_min, media.port_max (source ports)", Needed: Always})
		}
	}
	return out
}

// local are the flows that no firewall sees.
func local(c *config.Config) (out []Flow) {
	if c.Metrics.IsValid() {
		out = append(out, Flow{ID: "metrics", From: "box", To: "box", Source: host(c.Metrics), Address: host(c.Metrics), Protocol: "tcp", Ports: port(c.Metrics), Inbound: true,
			What: "HTTP: metrics for Prometheus", Setting: "metrics.listen", Needed: Wanted, Local: true, Endpoint: c.Metrics.String()})
	}
	wire := cmp.Or(c.Network.Interface, "first wired interface")
	if a := c.Admin.Listen; a.IsValid() {
		for _, x := range []Flow{{ID: "admin", Source: "any", Address: host(a), From: "people", Endpoint: a.String()}, {ID: "admin.fallback", Source: "169.254.0.0/16", Address: "169.254.9.11", From: "somebody at the cable", Local: true}} {
			x.To, x.Protocol, x.Ports, x.Inbound, x.What, x.Setting, x.Needed = "box", "tcp", port(a), true, "HTTPS: the admin page and its API", "admin.listen", Wanted
			out = append(out, x)
		}
	}
	return append(out,
		Flow{ID: "fallback", From: "somebody at the cable", To: "box", Source: "169.254.0.0/16", Address: "169.254.9.11", Protocol: "tcp", Ports: "80", Inbound: true,
			What: "HTTP: what is wrong with the settings, while the box cannot start", Setting: wire, Needed: Wanted, Local: true},
		Flow{ID: "arp", From: "box", To: "everybody on the cable", Source: wire, Address: "broadcast", Protocol: "arp", Ports: "-",
			What: "ARP: does anybody else have the box's address (RFC 5227), does the gateway answer", Setting: "network", Needed: Always, Local: true})
}

func host(a netip.AddrPort) string {
	if a.Addr().IsUnspecified() {
		return "any of the box"
	}
	return a.Addr().String()
}

func port(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// split is a host and its port; the settings have been checked, and there is no IPv6.
func split(address, otherwise string) (host, port string) {
	host, port, found := strings.Cut(address, ":")
	if !found {
		return address, otherwise
	}
	return host, port
}

func web(address string) (host, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return address, "443"
	}
	return u.Hostname(), cmp.Or(u.Port(), "443")
}
