package relay

import (
	"net/netip"
)

// Side says towards whom a leg faces; it selects the local address.
type Side uint8

// The two sides of the box.
const (
	Access Side = iota // phones
	Trunk              // SBC
)

// Stream is one leg's negotiated audio, seen from the box.
type Stream struct {
	Remote      netip.AddrPort // where the peer wants RTP
	RemoteRTCP  netip.AddrPort // zero: Remote's port + 1
	Mux         bool           // RTCP on the RTP port (RFC 5761)
	Recv, Send  Crypto         // what the peer seals with; what the box seals with. Zero Suite: plain RTP
	Audio       Payload        // the one codec
	Codec       string         // Audio's name as in a=rtpmap, for prompts; empty: by the static payload types of RFC 3551 only
	Event       Payload        // telephone-event (RFC 4733); Clock 0: none
	RecvAudio   Payload        // as the peer sends it, where that differs (RFC 3264 §5.1); Clock 0: as Audio
	RecvEvent   Payload        // likewise for events; Clock 0: as Event
	CN          bool           // comfort noise (RFC 3389, payload type 13) passes
	ToPeer      bool           // the box may send to the peer (false: peer holds or inactive)
	FromPeer    bool           // the peer sends; false suspends silence detection
	Shared      bool           // Send is the key that the connected peer seals with: the box never does (Config.SharedKeys)
	FixedSource bool           // a device whose address is configured: no latching
}

// Crypto is one direction's SDES key (RFC 4568).
type Crypto struct {
	Suite string // "AES_CM_128_HMAC_SHA1_80" …
	Key   []byte // master key then master salt, as after base64; the relay keeps no reference to it
	MKI   []byte // nil: none
}

// Payload is an RTP payload type with its clock rate.
type Payload struct {
	Type  uint8
	Clock uint32 // Hz
}
