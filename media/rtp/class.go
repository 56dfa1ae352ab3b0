package rtp

// Class is what a datagram on a media port seems to be.
type Class uint8

// The classes.
const (
	Other   Class = iota // neither: STUN, DTLS, garbage
	Media                // RTP
	Control              // RTCP
)

// Classify tells RTP from RTCP on one port by the first two bytes (RFC 5761 §4, RFC 7983 §7). RTP payload types 64 to 95, with the
// marker bit, would look like RTCP; RFC 5761 forbids them.
func Classify(b []byte) Class {
	if len(b) < 8 || b[0] < 128 || b[0] > 191 {
		return Other
	}
	if b[1] >= 192 && b[1] <= 223 {
		return Control
	}
	if len(b) < FixedSize {
		return Other
	}
	return Media
}
