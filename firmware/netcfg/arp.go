package netcfg

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// Operations of ARP (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

// arpSize is the length of an ARP packet for IPv4 over Ethernet; what follows on the wire is padding.
const arpSize = 28

// arp is an ARP packet for IPv4 over Ethernet.
type arp struct {
	op      uint16
	fromMAC [6]byte
	from    netip.Addr
	toMAC   [6]byte
	to      netip.Addr
}

var errNotARP = errors.New("netcfg: not an ARP packet for IPv4 over Ethernet")

// arpHead says: Ethernet, IPv4, 6 and 4 bytes of address.
var arpHead = [6]byte{0, 1, 8, 0, 6, 4}

func (p arp) marshal() []byte {
	b := append(make([]byte, 0, arpSize), arpHead[:]...)
	b = binary.BigEndian.AppendUint16(b, p.op)
	b = append(b, p.fromMAC[:]...)
	b = append(b, p.from.AsSlice()...)
	b = append(b, p.toMAC[:]...)
	return append(b, p.to.AsSlice()...)
}

func parseARP(b []byte) (p arp, err error) {
	if len(b) < arpSize || [6]byte(b[:6]) != arpHead {
		return p, errNotARP
	}
	p.op = binary.BigEndian.Uint16(b[6:])
	copy(p.fromMAC[:], b[8:])
	p.from = netip.AddrFrom4([4]byte(b[14:]))
	copy(p.toMAC[:], b[18:])
	p.to = netip.AddrFrom4([4]byte(b[24:]))
	if p.op != arpRequest && p.op != arpReply {
		return p, errNotARP
	}
	return p, nil
}

// unspecified is the sender of a probe (RFC 5227 §1.1): it must not get into anybody's cache.
var unspecified = netip.AddrFrom4([4]byte{})

// probe asks whether anybody has the address (RFC 5227 §2.1.1).
func probe(mac [6]byte, a netip.Addr) arp {
	return arp{op: arpRequest, fromMAC: mac, from: unspecified, to: a}
}

// announcement tells everybody that the address is ours (RFC 5227 §2.3), the "gratuitous ARP".
func announcement(mac [6]byte, a netip.Addr) arp {
	return arp{op: arpRequest, fromMAC: mac, from: a, to: a}
}

// taken reports whether the packet shows that another machine has the address or is about to take it (RFC 5227 §2.1.1).
func (p arp) taken(mac [6]byte, a netip.Addr) bool {
	if p.fromMAC == mac {
		return false
	}
	return p.from == a || p.from == unspecified && p.op == arpRequest && p.to == a
}

// contests reports whether the packet comes from another machine with the address (RFC 5227 §2.4).
func (p arp) contests(mac [6]byte, a netip.Addr) bool { return p.from == a && p.fromMAC != mac }

func hardware(mac [6]byte) net.HardwareAddr { return net.HardwareAddr(mac[:]) }
