package stack

import (
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// The box has IPv4 addresses alone, and so has every connection to it. A phone with both kinds may still name itself by an IPv6
// address: in a Via or a Contact that means nothing, since it is answered and reached over its own connection (RFC 3261 §18.2.2,
// RFC 5626 §5.3), and is kept as it came. As a Request-URI it names somebody whom the box is not and cannot reach.

// errIPv6 refuses such a Request-URI. It comes with the message, which can be read.
var errIPv6 = bad(488, "IPv6 Not Supported")

// isHostOrIPv6 tells whether a host of a Via or a Contact is a name or an address.
func isHostOrIPv6(host string) bool {
	if !strings.Contains(host, ":") {
		return isHost(host)
	}
	return IsIPv6(host)
}

// IsIPv6 tells whether a URI's host is an IPv6 address, in brackets or, as sipgo has a Via's, without. One with a zone is none
// (RFC 3261 §25.1).
func IsIPv6(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Is6() && a.Zone() == ""
}

// checkContacts refuses a Contact with half an IPv6 address: it would be the Request-URI of the box's own requests.
func checkContacts(r *sip.Request) error {
	for _, h := range r.GetHeaders("contact") {
		if c, ok := h.(*sip.ContactHeader); ok && strings.ContainsAny(c.Address.Host, ":[]") && !IsIPv6(c.Address.Host) {
			return bad(400, "Bad Contact")
		}
	}
	return nil
}
