package relay

import (
	"time"

	"holdfast/media/prompt"
	"holdfast/media/rtp"
	"holdfast/media/udp"
)

// playing is how far the worker is with a play.
type playing struct {
	number  uint64
	began   time.Duration
	player  prompt.Player
	due     time.Duration // the next frame
	running bool          // the frame before was sent in time: the next one follows without a gap
	over    bool          // it has ended by itself
	told    bool          // and signalling knows
}

// behind is how late a frame may be sent; a thread that was stopped for longer begins anew and hurls nothing at the peer.
const behind = 60 * time.Millisecond

// tickPeriod is the grid on which frames are due, so that many of them share one tick.
const tickPeriod = 5 * time.Millisecond

// Tick sends the frames that are due, looks after keys whose release got lost, and says when there is something to do again; 0: not of
// itself.
func (w *worker) Tick(now time.Duration) time.Duration {
	next := w.releaseKeys(now)
	for _, l := range w.players.now() {
		next = sooner(next, l.feed(now))
	}
	return next
}

// sooner of two times, of which 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// feed goes on with what is played to the leg's peer, and says when there is more to do; 0: not of itself.
func (l *Leg) feed(now time.Duration) time.Duration {
	r, s := l.route.Load(), &l.playing
	if r == nil || r.play == nil {
		return 0
	}
	latest := now - now%tickPeriod
	if s.number != r.play.number {
		*s = playing{number: r.play.number, began: now, player: prompt.NewPlayer(r.play.frames, r.play.Loop)}
		// Plays begin at different ticks, so that each has its share of the frames.
		s.due = latest + time.Duration(s.number%4)*tickPeriod
	}
	if !s.over && s.player.Frames() != r.play.frames {
		s.player.Change(r.play.frames)
		s.running = false
	}
	if !s.over && !r.from.toPeer {
		s.due, s.running = 0, false
		return 0
	}
	if now-s.due > behind {
		s.due, s.running = latest, false
	}
	for !s.over && now >= s.due {
		frame, ok := s.player.Next()
		if !ok {
			s.over = true
			break
		}
		l.sendFrame(&r.from, s.player.Frames(), frame, !s.running, now)
		s.running = true
		s.due += s.player.Frames().Period()
	}
	if s.over && !s.told {
		if s.told = l.tell(Event{Leg: l, Done: s.number}); s.told {
			l.ended.Store(s.number)
		}
	}
	switch {
	case s.told:
		return 0
	case s.over:
		return now + tickPeriod // the call had no room
	}
	return s.due
}

func (l *Leg) sendFrame(e *endpoint, f *prompt.Frames, frame []byte, begins bool, now time.Duration) {
	l.tx.adopt(e)
	h := rtp.Header{PayloadType: e.audio.Type}
	l.tx.own(&h, f.Clock(), f.Step(), begins, now)
	out := l.w.frame[:rtp.FixedSize+copy(l.w.frame[rtp.FixedSize:udp.MaxPacket], frame)]
	h.Put(out)
	if err := l.transmit(e, out, len(frame)); err != nil {
		l.w.drops[unsealed].Add(1)
	}
}

// own numbers a frame of the box's own, step clock units long. One that begins anew lies where the time line stands.
func (o *outgoing) own(h *rtp.Header, clock, step uint32, begins bool, now time.Duration) {
	o.source = source{} // whoever comes after it begins anew
	h.Timestamp = o.stamp + step
	if begins {
		h.Timestamp, h.Marker = o.expected(clock, now), true
	}
	o.stamp, o.at, o.span, o.clock = h.Timestamp, now, step, clock
	o.sequence++
	o.wrapped = o.wrapped || o.sequence == 0
	h.Sequence, h.SSRC = o.sequence, o.ssrc
}

// yieldsAfter is how old a play must be to make way: what still comes before was sent by somebody who did not know of it yet. Who holds
// says so first, and stops sending then.
const yieldsAfter = 500 * time.Millisecond

// covered says whether the leg's peer hears p instead of a packet of the connected leg.
func (l *Leg) covered(p *play, k kind, now time.Duration) bool {
	s := &l.playing
	if s.number != p.number {
		return true // it is about to begin
	}
	if p.Yield && k == audio && now-s.began > yieldsAfter {
		s.over = true
	}
	return !s.over
}

// tell puts an event before the call; false if it has no room for it now.
func (l *Leg) tell(e Event) bool {
	select {
	case l.session.events <- e:
		return true
	default:
		return false
	}
}
