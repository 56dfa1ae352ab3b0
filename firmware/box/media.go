package box

import (
	"errors"

	"holdfast/media/relay"
	"holdfast/sip/b2bua"
)

// anchor adapts media/relay to what calls need, so that sip and media know nothing of each other.
type anchor struct{ relay *relay.Relay }

// Open starts the media session of one call.
func (a anchor) Open(id string, o b2bua.MediaOptions) b2bua.MediaSession {
	s := session{a.relay.Open(id, relay.Options{Emergency: o.Emergency}), make(chan b2bua.MediaEvent, 8)}
	go func() { // ends with the session, which closes its events
		defer close(s.events)
		for e := range s.Session.Events() {
			select {
			case s.events <- b2bua.MediaEvent{Leg: leg{e.Leg}, Silent: e.Silent, For: e.For}:
			default: // the call is ending and reads no more
			}
		}
	}()
	return s
}

type session struct {
	*relay.Session
	events chan b2bua.MediaEvent
}

// AddLeg takes ports on a side.
func (s session) AddLeg(side b2bua.Side) (b2bua.MediaLeg, error) {
	to := relay.Access
	if side == b2bua.Trunk {
		to = relay.Trunk
	}
	l, err := s.Session.AddLeg(to)
	if errors.Is(err, relay.ErrNoPorts) {
		return nil, b2bua.ErrNoPorts
	}
	if err != nil {
		return nil, err
	}
	return leg{l}, nil
}

// Connect bridges two legs.
func (s session) Connect(a, b b2bua.MediaLeg) { s.Session.Connect(a.(leg).Leg, b.(leg).Leg) }

// Events reports silence.
func (s session) Events() <-chan b2bua.MediaEvent { return s.events }

// leg is comparable: events name it.
type leg struct{ *relay.Leg }

// Set puts a negotiated stream into effect.
func (l leg) Set(s b2bua.Stream) error {
	return l.Leg.Set(relay.Stream{
		Remote: s.Remote, RemoteRTCP: s.RemoteRTCP, Mux: s.Mux, Recv: relay.Crypto(s.Recv), Send: relay.Crypto(s.Send),
		Audio: relay.Payload(s.Audio), Event: relay.Payload(s.Event), CN: s.CN,
		RecvAudio: relay.Payload(s.RecvAudio), RecvEvent: relay.Payload(s.RecvEvent),
		ToPeer: s.ToPeer, FromPeer: s.FromPeer, FixedSource: s.FixedSource,
	})
}

// Stats is the leg's quality so far.
func (l leg) Stats() b2bua.LegStats { return b2bua.LegStats(l.Leg.Stats()) }
