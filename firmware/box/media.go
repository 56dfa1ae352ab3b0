package box

import (
	"errors"
	"fmt"
	"sync"

	"holdfast/media/prompt"
	"holdfast/media/relay"
	"holdfast/sip/b2bua"
)

// anchor adapts media/relay to what calls need, so that sip and media know nothing of each other.
type anchor struct {
	relay   *relay.Relay
	prompts *prompt.Set
}

// Open starts the media session of one call.
func (a anchor) Open(id string, o b2bua.MediaOptions) b2bua.MediaSession {
	s := &session{
		Session: a.relay.Open(id, relay.Options{Emergency: o.Emergency}), prompts: a.prompts,
		events: make(chan b2bua.MediaEvent), done: make(chan struct{}),
	}
	go s.forward() // ends with the session, which closes its events
	return s
}

type session struct {
	*relay.Session
	prompts *prompt.Set
	events  chan b2bua.MediaEvent
	done    chan struct{}
	once    sync.Once
}

// forward hands events on as the call takes them; what waits meanwhile, and what becomes of it, is the relay's matter.
func (s *session) forward() {
	defer close(s.events)
	for e := range s.Session.Events() {
		select {
		case s.events <- b2bua.MediaEvent{Leg: s.leg(e.Leg), Silent: e.Silent, Digit: e.Digit, PlayDone: e.Done, Unopened: e.Unopened, For: e.For}:
		case <-s.done:
		}
	}
}

// Close ends the session.
func (s *session) Close() {
	s.once.Do(func() { close(s.done) })
	s.Session.Close()
}

func (s *session) leg(l *relay.Leg) leg { return leg{l, s.prompts} }

// AddLeg takes ports on a side.
func (s *session) AddLeg(side b2bua.Side) (b2bua.MediaLeg, error) {
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
	return s.leg(l), nil
}

// Connect bridges two legs.
func (s *session) Connect(a, b b2bua.MediaLeg) { s.Session.Connect(a.(leg).Leg, b.(leg).Leg) }

// Events reports what the relay notices.
func (s *session) Events() <-chan b2bua.MediaEvent { return s.events }

// leg is comparable: events name it.
type leg struct {
	*relay.Leg
	prompts *prompt.Set
}

// Continue goes on from a leg of another call.
func (l leg) Continue(old b2bua.MediaLeg) { l.Leg.Continue(old.(leg).Leg) }

// Set puts a negotiated stream into effect.
func (l leg) Set(s b2bua.Stream) error {
	return l.Leg.Set(relay.Stream{
		Remote: s.Remote, RemoteRTCP: s.RemoteRTCP, Mux: s.Mux, Recv: relay.Crypto(s.Recv), Send: relay.Crypto(s.Send),
		Audio: relay.Payload(s.Audio), Codec: s.Codec, Event: relay.Payload(s.Event), CN: s.CN,
		RecvAudio: relay.Payload(s.RecvAudio), RecvEvent: relay.Payload(s.RecvEvent),
		ToPeer: s.ToPeer, FromPeer: s.FromPeer, FixedSource: s.FixedSource, Shared: s.Shared,
	})
}

// Play sends a prompt of the box's set to the peer.
func (l leg) Play(name b2bua.Prompt, o b2bua.PlayOptions) (uint64, error) {
	p := l.prompts.Prompt(string(name))
	if p == nil {
		return 0, fmt.Errorf("%w: %s", b2bua.ErrNoPrompt, name)
	}
	n, err := l.Leg.Play(p, relay.PlayOptions(o))
	if errors.Is(err, relay.ErrNoEncoding) {
		return 0, fmt.Errorf("%w: %w", b2bua.ErrNoPrompt, err)
	}
	return n, err
}

// Stats is the leg's quality so far.
func (l leg) Stats() b2bua.LegStats { return b2bua.LegStats(l.Leg.Stats()) }
