package rtp

import "encoding/binary"

// EventSize is the payload of one telephone-event report in bytes (RFC 4733 §2.3).
const EventSize = 4

// Event is a telephone-event report.
type Event struct {
	Code     uint8
	End      bool
	Volume   uint8  // attenuation, 0…63 dBm0
	Duration uint16 // in the payload type's clock
}

// ParseEvent reads the first report of an event payload.
func ParseEvent(payload []byte) (Event, error) {
	if len(payload) < EventSize {
		return Event{}, ErrMalformed
	}
	return Event{
		Code:     payload[0],
		End:      payload[1]&0x80 != 0,
		Volume:   payload[1] & 0x3f,
		Duration: binary.BigEndian.Uint16(payload[2:]),
	}, nil
}

// ScaleEvents rewrites the durations of an event payload, in place, from one clock to another. A duration too long for the field
// stays at its greatest value; one that would vanish becomes 1, because 0 means an event without an end (RFC 4733 §2.3.5).
// The clocks are in Hz and not zero.
func ScaleEvents(payload []byte, from, to uint32) {
	if from == to {
		return
	}
	for ; len(payload) >= EventSize; payload = payload[EventSize:] {
		d := uint64(binary.BigEndian.Uint16(payload[2:]))
		n := (d*uint64(to) + uint64(from)/2) / uint64(from)
		if n == 0 && d > 0 {
			n = 1
		}
		binary.BigEndian.PutUint16(payload[2:], uint16(min(n, 0xffff)))
	}
}
