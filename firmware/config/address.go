package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// addrPort reads an IPv4 address with port; the zero value when absent or wrong.
func (r *reader) addrPort(key, example string) netip.AddrPort {
	s := r.text(key, "")
	if s == "" {
		return netip.AddrPort{}
	}
	fix := fmt.Sprintf("write an IPv4 address and port, such as %q", example)
	ap, err := netip.ParseAddrPort(s)
	switch {
	case isIPv6(s):
		r.fail(key, fmt.Sprintf("%q is IPv6", s), fix)
	case err != nil:
		r.fail(key, fmt.Sprintf("%q is not an address and port", s), fix)
	case ap.Port() == 0:
		r.fail(key, fmt.Sprintf("%q has port 0", s), fix)
	default:
		return ap
	}
	return netip.AddrPort{}
}

// addr reads one IPv4 address that a packet can be sent to.
func (r *reader) addr(key, example string) netip.Addr {
	s := r.text(key, "")
	if s == "" {
		return netip.Addr{}
	}
	return r.parseAddr(key, s, example)
}

func (r *reader) parseAddr(key, s, example string) netip.Addr {
	fix := fmt.Sprintf("write an IPv4 address, such as %q", example)
	a, err := netip.ParseAddr(s)
	switch {
	case isIPv6(s):
		r.fail(key, fmt.Sprintf("%q is IPv6", s), fix)
	case err != nil:
		r.fail(key, fmt.Sprintf("%q is not an address", s), fix)
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		r.fail(key, fmt.Sprintf("%q is not the address of one machine", s), fix)
	default:
		return a
	}
	return netip.Addr{}
}

// addrs reads a list of IPv4 addresses.
func (r *reader) addrs(key, example string) []netip.Addr {
	var out []netip.Addr
	for _, s := range r.list(key, example) {
		if a := r.parseAddr(key, s, example); a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// prefix reads the box's own address with the size of its network.
func (r *reader) prefix(key, example string) netip.Prefix {
	s := r.text(key, "")
	if s == "" {
		return netip.Prefix{}
	}
	fix := fmt.Sprintf("write the address and the size of its network, such as %q", example)
	p, err := netip.ParsePrefix(s)
	switch {
	case isIPv6(s):
		r.fail(key, fmt.Sprintf("%q is IPv6", s), fix)
	case err != nil:
		r.fail(key, fmt.Sprintf("%q is not an address with a network size", s), fix)
	case p.Bits() < 8 || p.Bits() > 30:
		r.fail(key, fmt.Sprintf("a network of /%d holds no branch", p.Bits()), fix)
	case p.Addr() == p.Masked().Addr() || p.Addr() == broadcast(p):
		r.fail(key, fmt.Sprintf("%q is the network's own or its broadcast address", s), fix)
	default:
		return p
	}
	return netip.Prefix{}
}

// broadcast is the last address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// hostPort reads a host name or IPv4 address with port and hands the host out too.
func (r *reader) hostPort(key, example string) (whole, host string) {
	fix := fmt.Sprintf("write a host and port, such as %q", example)
	s := r.required(key, fix)
	if s == "" {
		return "", ""
	}
	if isIPv6(s) {
		r.fail(key, fmt.Sprintf("%q is IPv6", s), fix)
		return "", ""
	}
	host, port, found := strings.Cut(s, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case !found:
		r.fail(key, fmt.Sprintf("%q has no port", s), fix)
	case err != nil || n == 0:
		r.fail(key, fmt.Sprintf("%q is not a port", port), fix)
	case !isHost(host):
		r.fail(key, fmt.Sprintf("%q is not a host name", host), fix)
	default:
		return s, host
	}
	return "", ""
}

// https reads an absolute https URL; "" when absent or wrong.
func (r *reader) https(key, example string) string {
	s := r.text(key, "")
	if s == "" {
		return ""
	}
	fix := fmt.Sprintf("write an https address, such as %q", example)
	u, err := url.Parse(s)
	switch {
	case err != nil:
		r.fail(key, fmt.Sprintf("%q is not a URL", s), fix)
	case u.Scheme != "https":
		r.fail(key, fmt.Sprintf("%q is not https", s), fix)
	case u.User != nil:
		r.fail(key, "a URL with a password in it ends up in logs", fix)
	case isIPv6(u.Host):
		r.fail(key, fmt.Sprintf("%q is IPv6", u.Host), fix)
	case !isHost(u.Hostname()):
		r.fail(key, fmt.Sprintf("%q is not a host name", u.Hostname()), fix)
	default:
		return s
	}
	return ""
}

// isIPv6 is true for anything that a person would have meant as IPv6, well-formed or not.
func isIPv6(s string) bool { return strings.Count(s, ":") > 1 || strings.ContainsAny(s, "[]") }

// isHost accepts IPv4 addresses and host names (RFC 1123 §2.1); an all-numeric name must be an address.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	_, err := strconv.Atoi(labels[len(labels)-1])
	return err != nil
}
