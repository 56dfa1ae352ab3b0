package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// longestInterface leaves room for the mark that netcfg puts behind an interface's name (Linux: 15 characters in all).
const longestInterface = 12

// mostServers bounds the lists of DNS and time servers.
const mostServers = 8

// ParseNetwork reads only what the network needs, so that a mistake elsewhere in the file does not take the box off
// the wire. The zero values mean that these sections are at fault; errors are those of the whole file.
func ParseNetwork(name string, data []byte) (Network, Time, error) {
	c, err := Parse(name, data)
	if err == nil {
		return c.Network, c.Time, nil
	}
	var faults Errors
	if len(data) > MaxSize || !errors.As(err, &faults) {
		return Network{}, Time{}, err
	}
	r, notTOML := newReader(name, data)
	if notTOML != nil {
		return Network{}, Time{}, err
	}
	n, t := r.network(), Time{Servers: r.hosts("time.servers", "ntp.example.com")}
	r.checkNetwork(n)
	for _, f := range slices.Concat(faults, r.errors) {
		section, _, _ := strings.Cut(cmp.Or(f.Key, "network"), ".")
		if section == "network" || section == "time" {
			return Network{}, Time{}, err
		}
	}
	return n, t, err
}

func (r *reader) network() Network {
	return Network{
		Interface: r.ifname("network.interface"),
		Address:   r.prefix("network.address", "10.0.0.5/24"),
		Gateway:   r.addr("network.gateway", "10.0.0.1"),
		DNS:       r.addrs("network.dns", "10.0.0.1"),
		VLAN:      r.integer("network.vlan", 0, 1, 4094),
		SBC: SBCNetwork{
			Interface: r.ifname("network.sbc.interface"),
			Address:   r.prefix("network.sbc.address", "10.0.1.5/24"),
			Gateway:   r.addr("network.sbc.gateway", "10.0.1.1"),
			Networks:  r.networks("network.sbc.networks", "10.9.0.0/16"),
		},
	}
}

// ifname reads the name of an interface.
func (r *reader) ifname(key string) string {
	s := r.text(key, "")
	if len(s) > longestInterface || strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		r.fail(key, fmt.Sprintf("%q is no name of an interface", s), fmt.Sprintf("write at most %d letters and digits, such as %q", longestInterface, "eth0"))
		return ""
	}
	return s
}

// list reads a list of texts.
func (r *reader) list(key, example string) []string {
	v, ok := r.value(key)
	if !ok {
		return nil
	}
	fix := fmt.Sprintf("write [%q]", example)
	list, ok := v.([]any)
	if !ok {
		r.fail(key, fmt.Sprintf("%v is not a list", v), fix)
		return nil
	}
	if len(list) > mostServers {
		r.fail(key, fmt.Sprintf("has %d entries", len(list)), fmt.Sprintf("write at most %d", mostServers))
		return nil
	}
	var out []string
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			r.fail(key, fmt.Sprintf("%v is not a text", e), fix)
			continue
		}
		out = append(out, s)
	}
	return out
}

// networks reads a list of IPv4 networks.
func (r *reader) networks(key, example string) (out []netip.Prefix) {
	for _, s := range r.list(key, example) {
		p, err := netip.ParsePrefix(s)
		switch {
		case isIPv6(s):
			r.fail(key, fmt.Sprintf("%q is IPv6", s), fmt.Sprintf("write an IPv4 network, such as %q", example))
		case err != nil:
			r.fail(key, fmt.Sprintf("%q is not a network", s), fmt.Sprintf("write its first address and its size, such as %q", example))
		case p != p.Masked():
			r.fail(key, fmt.Sprintf("%q is an address in a network", s), fmt.Sprintf("write %q", p.Masked()))
		case p.Bits() == 0:
			r.fail(key, "everything cannot be behind the SBC's gateway", "name the networks where SBCs are; network.gateway is the way to all others")
		default:
			out = append(out, p)
		}
	}
	return out
}

// hosts reads a list of IPv4 addresses or host names.
func (r *reader) hosts(key, example string) (out []string) {
	for _, s := range r.list(key, example) {
		switch {
		case isIPv6(s):
			r.fail(key, fmt.Sprintf("%q is IPv6 or has a port", s), fmt.Sprintf("write a host name or an IPv4 address, such as %q", example))
		case !isHost(s):
			r.fail(key, fmt.Sprintf("%q is not a host name", s), fmt.Sprintf("write a host name or an IPv4 address, such as %q", example))
		default:
			out = append(out, s)
		}
	}
	return out
}

// fallbackNetwork is where the fallback address is (RFC 3927).
var fallbackNetwork = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 0, 0}), 16)

func (r *reader) checkNetwork(n Network) {
	if !n.Address.IsValid() {
		r.lonely("network", "address", `write the box's own address, such as address = "10.0.0.5/24"`, "gateway", "dns", "vlan")
	} else if n.Gateway.IsValid() && (!n.Address.Contains(n.Gateway) || n.Gateway == n.Address.Addr()) {
		r.fail("network.gateway", fmt.Sprintf("%s is no other machine in %s", n.Gateway, n.Address.Masked()), "write the address of the router in the box's own network")
	}
	s := n.SBC
	switch {
	case s.Interface == "":
		r.lonely("network.sbc", "interface", `name the second interface, such as interface = "eth1"`, "address", "gateway", "networks")
	case n.Interface == "" || !n.Address.IsValid():
		r.fail("network.sbc.interface", "is set, but network.interface or network.address is not", "say which interface the phones are on, and with which address")
	case s.Interface == n.Interface:
		r.fail("network.sbc.interface", fmt.Sprintf("%q is the phones' interface, too", s.Interface), "name the other one, or leave [network.sbc] out")
	case !s.Address.IsValid():
		r.fail("network.sbc.address", "is missing", `write the box's address towards the SBC, such as "10.0.1.5/24"`)
	case s.Address.Overlaps(n.Address):
		r.fail("network.sbc.address", fmt.Sprintf("%s and network.address %s are one network", s.Address, n.Address), "two interfaces need two networks; leave [network.sbc] out if there is one")
	case s.Gateway.IsValid() && (!s.Address.Contains(s.Gateway) || s.Gateway == s.Address.Addr()):
		r.fail("network.sbc.gateway", fmt.Sprintf("%s is no other machine in %s", s.Gateway, s.Address.Masked()), "write the address of the router in the SBC's network")
	case s.Gateway.IsValid() != (len(s.Networks) > 0):
		r.fail("network.sbc.networks", "and network.sbc.gateway need each other", `write both, or neither when the SBC is in the interface's own network`)
	}
	for key, p := range map[string]netip.Prefix{"network.address": n.Address, "network.sbc.address": s.Address} {
		if p.IsValid() && p.Overlaps(fallbackNetwork) {
			r.fail(key, fmt.Sprintf("%s is where the fallback address is", p), "write an address outside "+fallbackNetwork.String())
		}
	}
	for _, p := range s.Networks {
		if n.Address.IsValid() && p.Overlaps(n.Address) || p.Overlaps(fallbackNetwork) {
			r.fail("network.sbc.networks", fmt.Sprintf("%s is on the phones' side", p), "name networks that are behind the SBC's gateway only")
		}
	}
}

// lonely reports keys that mean nothing without another.
func (r *reader) lonely(section, without, fix string, keys ...string) {
	for _, key := range keys {
		if r.has(section + "." + key) {
			r.fail(section+"."+key, "is set, but "+section+"."+without+" is not", fix)
		}
	}
}

// checkOwn wants the box to listen where it will be: with [network] its addresses are known, and one that differs in a digit would
// otherwise show only as a box that nobody reaches.
func (r *reader) checkOwn(c *Config) {
	n := c.Network
	if !n.Address.IsValid() || n.Address.Overlaps(fallbackNetwork) {
		return
	}
	for _, own := range []struct {
		key string
		at  netip.Addr
	}{{"phones.listen", c.Phones.Listen.Addr()}, {"phones.media_address", c.Phones.MediaAddress}, {"trunk.listen", c.Trunk.Listen.Addr()},
		{"trunk.media_address", c.Trunk.MediaAddress}, {"admin.listen", c.Admin.Listen.Addr()}, {"dns.listen", c.DNS.Addr()}} {
		known := own.at == n.Address.Addr() || n.SBC.Address.IsValid() && own.at == n.SBC.Address.Addr()
		if !r.has(own.key) || !own.at.IsValid() || known || own.at.IsUnspecified() || own.at.IsLoopback() || fallbackNetwork.Contains(own.at) {
			continue
		}
		where := "network.address, " + n.Address.Addr().String()
		if n.SBC.Address.IsValid() {
			where += ", or network.sbc.address, " + n.SBC.Address.Addr().String()
		}
		r.fail(own.key, fmt.Sprintf("%s is no address of the box", own.at), "write that of "+where+"; or correct it there")
	}
}
