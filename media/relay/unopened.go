package relay

import (
	"errors"
	"net/netip"
	"time"

	"holdfast/media/srtp"
)

// A peer may seal with another key than it has named, or have lost its roll-over count: its reports open and its RTP does not. To the
// watch over silence it is there, and yet nobody hears it.
const (
	unopenedLeast = 50              // packets, a second of speech: more than a change of keys costs
	unopenedFor   = 5 * time.Second // while not one opened
)

// unopened is the watch over one leg's packets that do not open. It is guarded by session.mu.
type unopened struct {
	opened   uint64        // that had opened when
	from     time.Duration // the measurement began anew,
	base     uint64        // and that had not
	reported bool
}

// arm starts the measurement anew.
func (u *unopened) arm(now time.Duration, opened, missed uint64) {
	u.from, u.opened, u.base = now, opened, missed
}

// due tells whether there is something to report: how many packets did not open, and for how long none did.
func (u *unopened) due(now time.Duration, opened, missed uint64) (packets uint64, length time.Duration, ok bool) {
	if opened != u.opened {
		u.arm(now, opened, missed)
	}
	packets, length = missed-u.base, now-u.from
	return packets, length, !u.reported && packets >= unopenedLeast && length >= unopenedFor
}

// miss counts an RTP packet that did not open. Towards the watch only those count that came from the host that the peer is known to be:
// before a latch has moved it admits everybody, and anybody can send garbage.
func (l *Leg) miss(err error, from netip.AddrPort) {
	l.refuse(err)
	if from.Addr() == l.media.at.Addr() && !errors.Is(err, srtp.ErrMalformed) {
		l.missed.Add(1)
	}
}

// lookUnopened reports, once, that a peer which is to be heard cannot be opened. The caller holds session.mu.
func (l *Leg) lookUnopened(now time.Duration) {
	opened, missed := l.count.rxPackets.Load(), l.missed.Load()
	packets, length, ok := l.unopened.due(now, opened, missed)
	if ok && l.silence.expected && l.tell(Event{Leg: l, Unopened: packets, For: length}) {
		l.unopened.reported = true
	}
}
