// Package sdp reads and writes session descriptions for one audio stream, and agrees on a codec between two parties
// (RFC 8866, RFC 3264, RFC 4568). It serves a back-to-back user agent that never transcodes: what one side offers is
// filtered and offered to the other, and the answer fixes one codec for both.
//
// The package is pure: no I/O, no clock, no logger; randomness is passed in. It resolves no names, opens no ports and
// decides nothing about holding or security policy: a caller that wants SRTP looks at Description.Crypto itself.
package sdp

import "net/netip"

// Description is what a peer said about its audio stream. Everything is from the peer's point of view.
type Description struct {
	SessionID, Version uint64         // of the o= line; numbers over 64 bits are folded, so compare for equality only
	Remote             netip.AddrPort // where the peer wants RTP; the address is 0.0.0.0 under an RFC 2543 hold
	RTCP               netip.AddrPort // a=rtcp (RFC 3605); zero: Remote's port + 1
	Mux                bool           // a=rtcp-mux (RFC 5761)
	Profile            string         // "RTP/AVP", "RTP/SAVP", "RTP/AVPF" or "RTP/SAVPF"
	Crypto             []Crypto       // usable a=crypto lines in the peer's order; unusable ones are left out
	Codecs             []Codec        // every format of the audio line in the peer's order
	Direction          Direction      // a 0.0.0.0 address takes the receiving half away
	Ptime, MaxPtime    int            // ms; 0: not given
	Lines              []MediaLine    // all m= lines, the audio line among them
	Index              int            // which of Lines is the audio line described here
}

// MediaLine is an m= line as far as an answer must repeat it to reject it (RFC 3264 §6).
type MediaLine struct {
	Kind   string // "audio", "video", "image" …
	Proto  string // as written
	Format string // the first format
}

// Secure reports whether the profile is one of the SRTP profiles.
func (d *Description) Secure() bool { return secure(d.Profile) }

// Hold reports whether the peer takes no audio from us.
func (d *Description) Hold() bool { return !d.Direction.Receives() }

func secure(profile string) bool { return profile == "RTP/SAVP" || profile == "RTP/SAVPF" }
