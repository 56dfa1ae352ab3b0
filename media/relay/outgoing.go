package relay

import (
	"time"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

// outgoing is the one stream that a leg's peer hears, whoever is behind it. It has an SSRC of its own, which hides the source's, and
// whatever feeds it is moved to where its sequence and its time line stand, so that the peer never notices a change. It is the worker's.
type outgoing struct {
	started  bool
	sealer   *srtp.Sealer // that the identity belongs to
	ssrc     uint32
	sequence uint16        // highest sent
	wrapped  bool          // sequence has passed 65535 under this SSRC
	stamp    uint32        // of the newest audio sent,
	at       time.Duration // and when that was
	span     uint32        // how long the newest audio lasts, as far as known,
	clock    uint32        // in units of this clock, Hz

	packets uint32 // for sender reports
	octets  uint32
	source  source
	event   placed
}

// source is who feeds the stream, and how far its numbers are off.
type source struct {
	leg        *Leg   // nil: nobody yet
	link       uint32 // of the route: what comes after a Connect begins anew, even from the same leg
	ssrc       uint32
	stampShift uint32
	clock      uint32 // of stampShift, Hz
	shift      uint16 // of sequence numbers
	floor      uint16 // sequence number of the oldest packet that still belongs here; those before would fall among another source's
	last       uint16 // highest sequence number
	timed      bool   // stampShift is known: audio has come
	spoke      bool   // the last packet was audio
}

// placed is the last telephone event seen, by its own timestamp and the one it was given. All packets of an event share one
// (RFC 4733 §2.3.1).
type placed struct {
	leg     *Leg
	ssrc    uint32
	in, out uint32
	at      time.Duration // last report
}

// eventPause ends an event: its reports come every 50 ms or faster (RFC 4733 §2.5.1.2), and some devices give all events one timestamp.
const eventPause = 2 * time.Second

// eventSlack is how far an event's timestamp may be from the audio's time line, in seconds. Peers write events on the audio time line
// even where telephone-event has another clock rate (both run in one SSRC, RFC 4733 §2.1), but one that counted in the event's
// clock would soon be further off than this.
const eventSlack = 5

// adopt makes the stream's identity fit e. A new key leaves SSRC and sequence as they are, unless the sequence has wrapped: then peers
// disagree whether the roll-over count begins anew (RFC 3711 §3.3.1 says no, most implementations do), and a new SSRC means 0 to all.
// The same if it soon will: a peer that begins anew and does not hear the first packets would take the count after the wrap for 0.
func (o *outgoing) adopt(e *endpoint) {
	if o.started && o.sealer == e.send {
		return
	}
	if !o.started {
		o.stamp = e.stamp
	}
	if !o.started || o.wrapped || o.sequence > 1<<16-1-rtp.MaxDropout {
		o.ssrc, o.sequence, o.wrapped = e.ssrc, e.sequence, false
		o.packets, o.octets = 0, 0
		o.source = source{} // its shift belongs to the old numbers
	}
	o.started, o.sealer = true, e.send
}

// expected is where the time line stands now.
func (o *outgoing) expected(clock uint32, now time.Duration) uint32 {
	if o.at == 0 {
		return o.stamp
	}
	elapsed := now - o.at
	least := uint32(1) // a source that goes on early must not lie over the end of the one before
	if o.clock == clock {
		least = max(o.span, 1)
	}
	return o.stamp + max(least, uint32(uint64(elapsed/time.Second)*uint64(clock)+uint64(elapsed%time.Second)*uint64(clock)/uint64(time.Second)))
}

// number moves a packet from a leg onto the stream: sequence number, timestamp and, at a change of source, marker. h is the source's
// header and becomes the stream's. False: the packet is older than the change of source.
func (o *outgoing) number(h *rtp.Header, from *Leg, link uint32, k kind, clock uint32, now time.Duration) bool {
	s := &o.source
	d := int16(h.Sequence - s.last)
	switch {
	case s.leg != from || s.link != link || s.ssrc != h.SSRC || d > rtp.MaxDropout || d < -rtp.MaxMisorder:
		o.source = source{leg: from, link: link, ssrc: h.SSRC, shift: o.sequence + 1 - h.Sequence, floor: h.Sequence, last: h.Sequence}
	case int16(h.Sequence-s.floor) < 0:
		return false
	case d > 0:
		s.last = h.Sequence
		if int16(s.last-s.floor) > rtp.MaxMisorder {
			s.floor = s.last - rtp.MaxMisorder // keeps the comparison within half the number space
		}
	}
	if s.clock != clock { // the codec was changed on the way
		s.clock, s.timed, s.spoke = clock, false, false
	}
	in, next := h.Timestamp, s.spoke && d == 1
	switch {
	case k == event:
		h.Timestamp = o.eventStamp(h, from, clock, now)
	case !s.timed:
		s.timed, s.stampShift = true, o.expected(clock, now)-in
		h.Timestamp = in + s.stampShift
		h.Marker = true // a new talk spurt (RFC 3551 §4.1): play-out may adapt here
	default:
		h.Timestamp = in + s.stampShift
	}
	if k != event && (o.at == 0 || int32(h.Timestamp-o.stamp) > 0) {
		if span := h.Timestamp - o.stamp; next && k == audio && 0 < span && span <= clock/8 {
			o.span, o.clock = span, clock
		}
		o.stamp, o.at = h.Timestamp, now
	}
	s.spoke = k == audio
	h.SSRC = o.ssrc
	h.Sequence += s.shift
	if d := int16(h.Sequence - o.sequence); d > 0 {
		o.wrapped = o.wrapped || h.Sequence < o.sequence
		o.sequence = h.Sequence
	}
	return true
}

// eventStamp places an event on the audio's time line.
func (o *outgoing) eventStamp(h *rtp.Header, from *Leg, clock uint32, now time.Duration) uint32 {
	if e := &o.event; e.leg == from && e.ssrc == h.SSRC && e.in == h.Timestamp && now-e.at < eventPause {
		e.at = now
		return e.out
	}
	out := o.expected(clock, now)
	if o.source.timed {
		moved := h.Timestamp + o.source.stampShift
		if d := int64(int32(moved - out)); max(d, -d) <= int64(clock)*eventSlack {
			out = moved
		}
	}
	o.event = placed{leg: from, ssrc: h.SSRC, in: h.Timestamp, out: out, at: now}
	return out
}

// sent counts a packet for the sender report.
func (o *outgoing) sent(octets int) {
	o.packets++
	o.octets += uint32(octets)
}
