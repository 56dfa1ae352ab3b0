package relay

import (
	"context"
	"time"
)

// Event is what the relay notices by itself: a digit if Digit is not 0, the end of a play if Done is not 0, packets that cannot be decrypted if
// Unopened is not 0, else silence or its end.
type Event struct {
	Leg    *Leg
	Silent bool          // false: heard again
	Digit  rune          // the peer pressed a key: 0 to 9, *, #, A to D
	Done   uint64        // number of a play that ended by itself
	For    time.Duration // how long nothing came that authenticated, or how long the key was held, or no packet opened

	Unopened uint64 // RTP packets from the peer that did not open, while none did; told once a leg
}

// eventRoom is how many events wait for the call. Silence, its like and the end of a play that find no room are reported later; a digit is lost,
// and counted.
const eventRoom = 16

// silence is the watch over one leg. It measures from the last authentic packet, or from the last Set.
type silence struct {
	expected bool          // the peer is to send
	from     time.Duration // nothing before counts
	reported bool
}

// arm starts the measurement anew.
func (s *silence) arm(now time.Duration, expected bool) { *s = silence{expected: expected, from: now} }

// due tells whether there is something to report, and how long the leg has been (or had been) silent.
func (s *silence) due(now, heard, limit time.Duration) (silent bool, length time.Duration, ok bool) {
	switch {
	case !s.expected || limit <= 0:
		return false, 0, false
	case s.reported:
		return false, heard - s.from, heard > s.from
	}
	from := max(s.from, heard)
	return true, now - from, now-from >= limit
}

// done notes that what was due has been reported.
func (s *silence) done(silent bool, now, heard time.Duration) {
	s.reported, s.from = silent, max(s.from, heard)
}

// watch looks after what takes time, a few times a second, until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	period := 500 * time.Millisecond
	if r.cfg.Silence > 0 {
		period = max(10*time.Millisecond, min(period, r.cfg.Silence/4))
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, s := range r.list() {
				s.look(r.now())
			}
		}
	}
}

// look reports silence and what does not open, and lets old keys go.
func (s *Session) look(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, l := range s.legs {
		heard := time.Duration(l.heard.Load())
		if silent, length, ok := l.silence.due(now, heard, s.relay.cfg.Silence); ok {
			select {
			case s.events <- Event{Leg: l, Silent: silent, For: length}:
				l.silence.done(silent, now, heard)
			default: // the call is busy: again at the next look
			}
		}
		l.lookUnopened(now)
		l.forgetPlay()
		if at := l.changed.Load(); at != 0 && now-time.Duration(at) >= keyGrace {
			l.retire()
		}
	}
}

// retire gives up the old key.
func (l *Leg) retire() {
	l.changed.Store(0)
	if l.keys.prev == nil {
		return
	}
	e := *l.endpoint
	e.prev = nil
	old := l.keys.prev
	l.keys.prev = nil
	l.endpoint = &e
	l.compile()
	if l.with != nil {
		l.with.compile()
	}
	l.w.loop.Quiesce()
	old.Wipe()
}
