package relay

import (
	"time"

	"holdfast/media/rtp"
)

const (
	// keyReleased ends an event whose last reports were lost: they come every 50 ms or faster (RFC 4733 §2.5.1.2).
	keyReleased = 250 * time.Millisecond
	// endRepeats is how far in sequence numbers an end may lie behind another end of the same event, which is sent three times
	// (RFC 4733 §2.5.1.4). A press of its own has other packets before its end.
	endRepeats = 2
	// longSegment is a duration so near to the field's end that the next report may begin another segment of the same event
	// (RFC 4733 §2.5.1.3).
	longSegment = 0xf000
)

// digitNames are the events that are digits (RFC 4733 §3.2), by their codes.
const digitNames = "0123456789*#ABCD"

// keypad follows the telephone events of a leg's peer, so that each press of a key is reported once: at its end, at the next event, or
// when nothing has been heard of it for a while. It is the worker's.
type keypad struct {
	known    bool // there was an event
	down     bool // and it has not been reported
	released bool // it has, after a report of its end
	listed   bool // the worker waits for it to fall silent
	code     uint8
	ssrc     uint32
	stamp    uint32 // of the event or of its segment
	sequence uint16 // highest of the event
	clock    uint32
	earlier  uint32        // how long the segments before lasted
	length   uint16        // how long this one did so far
	at       time.Duration // last report
}

// bearing is what a report means to the event before.
type bearing uint8

const (
	stale   bearing = iota // came late, or twice
	repeats                // says again what was reported
	goesOn                 // the key is still down, or released now
	extends                // so it is, in another segment
	begins                 // another event
)

func (k *keypad) bearingOf(h *rtp.Header, ev rtp.Event, now time.Duration) bearing {
	d, since := int16(h.Sequence-k.sequence), now-k.at
	alike := ev.Code == k.code
	same := alike && h.Timestamp == k.stamp
	switch {
	case !k.known || h.SSRC != k.ssrc:
		return begins
	case d <= 0 && d >= -rtp.MaxMisorder && since < eventPause:
		return stale
	case same && k.down:
		return goesOn
	case same && k.released:
		if ev.End && since < eventPause {
			return repeats
		}
		return begins // some devices give all events one timestamp
	case same:
		if ev.Duration >= k.length {
			return repeats // it was still down when it was given up
		}
	case alike && k.down && !h.Marker && k.length >= longSegment && ev.Duration < k.length:
		return extends
	case alike && k.down && !h.Marker && ev.Duration > k.length && h.Timestamp-k.stamp == uint32(ev.Duration-k.length):
		return goesOn // some devices let the timestamp of an event run on
	case alike && k.released && ev.End && !h.Marker && ev.Duration == k.length && 0 < d && d <= endRepeats:
		return repeats // and repeat its end so
	}
	return begins
}

// pressed takes a report of an event. Whether it also passes on to the other peer is not decided here.
func (l *Leg) pressed(e *endpoint, h *rtp.Header, body []byte, now time.Duration) {
	ev, err := rtp.ParseEvent(body)
	if err != nil || int(ev.Code) >= len(digitNames) {
		return
	}
	k := &l.keypad
	switch k.bearingOf(h, ev, now) {
	case stale:
		return
	case extends:
		k.earlier, k.length = k.earlier+uint32(k.length), 0
	case begins:
		if k.down {
			l.release(false)
		}
		*k = keypad{known: true, down: true, listed: k.listed, code: ev.Code, ssrc: h.SSRC, clock: e.event.Clock}
	}
	k.stamp, k.sequence, k.at, k.length = h.Timestamp, h.Sequence, now, max(k.length, ev.Duration)
	switch {
	case !k.down:
	case ev.End:
		l.release(true)
	case !k.listed:
		k.listed = true
		l.w.keypads = append(l.w.keypads, l) // one entry for each leg at most
		l.w.loop.StartTicks()
	}
}

// release reports the key that was down.
func (l *Leg) release(heard bool) {
	k := &l.keypad
	k.down, k.released = false, heard
	held := time.Duration(uint64(k.earlier)+uint64(k.length)) * time.Second / time.Duration(k.clock)
	if !l.tell(Event{Leg: l, Digit: rune(digitNames[k.code]), For: held}) {
		l.drop(unread)
	}
}

// releaseKeys reports keys of which nothing was heard any more, and says when to look again; 0: no key is down.
func (w *worker) releaseKeys(now time.Duration) (next time.Duration) {
	waiting := w.keypads[:0]
	for _, l := range w.keypads {
		k := &l.keypad
		open := l.route.Load() != nil // else it is closed, and so may be its session
		if open && k.down && now-k.at >= keyReleased {
			l.release(false)
		}
		if k.listed = open && k.down; k.listed {
			waiting = append(waiting, l)
			next = sooner(next, k.at+keyReleased)
		}
	}
	clear(w.keypads[len(waiting):])
	w.keypads = waiting
	return next
}
