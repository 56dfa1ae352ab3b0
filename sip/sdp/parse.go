package sdp

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Parse reads a description and picks its audio stream: of several audio lines the first that has usable SRTP keys, else the
// first plain one. Unknown lines and attributes are skipped. The error is a *SyntaxError; it wraps ErrNoAudio when no
// audio line with a port and an RTP profile is there, ErrIPv6 when all that are have IPv6 addresses.
//
// Only addresses that would be used are looked at: an o= line may carry any address.
func Parse(body []byte) (*Description, error) { return parse(body, netip.Addr{}) }

// ParseAt is Parse for a peer that is at an IPv4 address whatever its description says: that stands in for IPv6 addresses. A
// phone with both kinds hears what comes there, or is found by what it sends.
func ParseAt(body []byte, at netip.Addr) (*Description, error) { return parse(body, at) }

func parse(body []byte, at netip.Addr) (*Description, error) {
	origin, sections, err := scan(body)
	if err != nil {
		return nil, err
	}
	id, version, err := parseOrigin(origin)
	if err != nil {
		return nil, err
	}
	session, media := sections[0], sections[1:]
	var best *Description
	var failed error
	for i, m := range media {
		if m.media.Kind != "audio" || m.port == 0 || profile(m.media.Proto) == "" {
			continue
		}
		d, err := describe(session, m, at)
		if err != nil {
			if !errors.Is(err, ErrIPv6) {
				return nil, err
			}
			failed = err
			continue
		}
		d.SessionID, d.Version, d.Index = id, version, i
		if best == nil || rank(d) > rank(best) {
			best = d
		}
	}
	if best == nil {
		if failed != nil {
			return nil, failed
		}
		return nil, wrong(0, "%w", ErrNoAudio)
	}
	best.Lines = make([]MediaLine, len(media))
	for i, m := range media {
		best.Lines[i] = m.media
	}
	return best, nil
}

// rank orders the audio lines of one description: an offer of SRTP with RTP as a second choice has two.
func rank(d *Description) int {
	switch {
	case d.Secure() && len(d.Crypto) > 0:
		return 2
	case !d.Secure():
		return 1
	}
	return 0
}

func profile(proto string) string {
	switch p := strings.ToUpper(proto); p {
	case "RTP/AVP", "RTP/SAVP", "RTP/AVPF", "RTP/SAVPF":
		return p
	}
	return ""
}

// parseOrigin counts fields from the right: some phones put a display name with blanks into the user field.
func parseOrigin(o attr) (id, version uint64, err error) {
	f := strings.Fields(o.value)
	if len(f) < 6 {
		return 0, 0, wrong(o.line, "o= line with fewer than six fields")
	}
	f = f[len(f)-5:]
	id, ok := fold(f[0])
	if !ok {
		return 0, 0, wrong(o.line, "session id %.20q is not a number", f[0])
	}
	version, ok = fold(f[1])
	if !ok {
		return 0, 0, wrong(o.line, "session version %.20q is not a number", f[1])
	}
	return id, version, nil
}

// fold reads a decimal of any length modulo 2^64: RFC 8866 §5.2 sets no bound, and only equality matters.
func fold(s string) (n uint64, ok bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, s != ""
}

func describe(session, m section, instead netip.Addr) (*Description, error) {
	conn, at := m.conn, m.connAt
	if conn == "" {
		conn, at = session.conn, session.connAt
	}
	if conn == "" {
		return nil, wrong(m.line, "no c= line for this stream")
	}
	addr, err := parseAddress(at, strings.Fields(conn), instead)
	if err != nil {
		return nil, err
	}
	d := &Description{Remote: netip.AddrPortFrom(addr, m.port), Profile: profile(m.media.Proto)}
	if d.Codecs, err = parseCodecs(m); err != nil {
		return nil, err
	}
	for _, a := range session.attrs {
		if dir, ok := parseDirection(a.name); ok {
			d.Direction = dir
		}
	}
	for _, a := range m.attrs {
		if dir, ok := parseDirection(a.name); ok {
			d.Direction = dir
			continue
		}
		switch a.name {
		case "rtcp-mux":
			d.Mux = true
		case "rtcp":
			if d.RTCP, err = parseRTCP(a, addr, instead); err != nil {
				return nil, err
			}
		case "ptime":
			d.Ptime = milliseconds(a.value)
		case "maxptime":
			d.MaxPtime = milliseconds(a.value)
		case "crypto":
			d.addCrypto(a.value)
		}
	}
	if addr.IsUnspecified() { // "do not send me anything", RFC 3264 §8.4
		d.Direction = d.Direction.And(SendOnly)
	}
	return d, nil
}

// addCrypto keeps a line that can be used; what cannot is as if it were not there (RFC 4568 §5.1.2), and so is a tag's second use.
func (d *Description) addCrypto(value string) {
	c, err := parseCrypto(value)
	if err != nil || len(d.Crypto) == maxCrypto {
		return
	}
	for _, have := range d.Crypto {
		if have.Tag == c.Tag {
			return
		}
	}
	d.Crypto = append(d.Crypto, c)
}

// parseAddress reads "IN IP4 192.0.2.1"; instead, if valid, stands in for an IPv6 address.
func parseAddress(line int, f []string, instead netip.Addr) (netip.Addr, error) {
	if len(f) != 3 || !strings.EqualFold(f[0], "IN") {
		return netip.Addr{}, wrong(line, "address is not of the form IN IP4 a.b.c.d")
	}
	if strings.EqualFold(f[1], "IP6") {
		switch addr, err := netip.ParseAddr(f[2]); {
		case err == nil && instead.Is4() && addr.IsUnspecified():
			return netip.IPv4Unspecified(), nil
		case err == nil && instead.Is4():
			return instead, nil
		}
		return netip.Addr{}, wrong(line, "%w", ErrIPv6)
	}
	addr, err := netip.ParseAddr(f[2])
	if err == nil && !addr.Is4() {
		return netip.Addr{}, wrong(line, "%w", ErrIPv6)
	}
	if err != nil || !strings.EqualFold(f[1], "IP4") {
		return netip.Addr{}, wrong(line, "%.40q is no IPv4 address", f[2])
	}
	if addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, wrong(line, "%v is no unicast address", addr)
	}
	return addr, nil
}

// parseRTCP reads "5005" or "5005 IN IP4 192.0.2.1" (RFC 3605).
func parseRTCP(a attr, addr, instead netip.Addr) (netip.AddrPort, error) {
	f := strings.Fields(a.value)
	if len(f) == 0 {
		return netip.AddrPort{}, wrong(a.line, "a=rtcp without a port")
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, wrong(a.line, "RTCP port %.20q is not a number from 1 to 65535", f[0])
	}
	if len(f) > 1 {
		if addr, err = parseAddress(a.line, f[1:], instead); err != nil {
			return netip.AddrPort{}, err
		}
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// milliseconds reads a packet time; one that makes no sense is as if it were not given.
func milliseconds(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return 0
	}
	return n
}
