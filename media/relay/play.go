package relay

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"holdfast/media/prompt"
)

// ErrNoEncoding is a prompt that does not exist in the leg's codec.
var ErrNoEncoding = errors.New("the prompt does not exist in the codec of the leg")

// PlayOptions say how a prompt is played.
type PlayOptions struct {
	Loop  bool // again from the beginning, until it is stopped
	Yield bool // ends when audio for the peer comes from the connected leg: hold music makes way for the holder's own
}

// play is what signalling wants a leg's peer to hear. It is immutable and part of routes.
type play struct {
	number uint64 // grows with every Play of the relay
	prompt *prompt.Prompt
	frames *prompt.Frames // in the codec of the route; nil: there is none
	PlayOptions
}

// Play makes the box send p to the leg's peer, in the place of what the connected leg sends and instead of what was played before.
// Prompts are not mixed with the connected leg's audio: its packets are dropped meanwhile (its digits are still reported), and what it
// sends after the end goes on in the same stream. The number that is returned comes back in an Event when the prompt has ended by
// itself: played to its end, or made way for audio; never after StopPlay or another Play, except for an event that waits already.
//
// While the peer is to receive nothing (ToPeer is false) the prompt stands still, so that a held peer hears music only if its Stream
// says so. Before the first Set it waits. When Set changes the codec, it goes on in the new one, and ends if it does not exist in it.
// Errors: ErrNoEncoding; ErrShared while the leg seals with the other peer's key; ErrClosed.
func (l *Leg) Play(p *prompt.Prompt, o PlayOptions) (uint64, error) {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed {
		return 0, ErrClosed
	}
	if p == nil {
		return 0, errors.New("play: there is no prompt")
	}
	next := &play{number: s.relay.plays.Add(1), prompt: p, PlayOptions: o}
	if l.endpoint != nil && l.endpoint.shared {
		return 0, fmt.Errorf("play %s: %w", p.Name(), errShare("the box has none of its own for the leg"))
	}
	if l.endpoint != nil && next.in(l.endpoint).frames == nil {
		return 0, fmt.Errorf("play %s: %w (%s)", p.Name(), ErrNoEncoding, l.endpoint.named())
	}
	if l.play == nil {
		l.w.players.add(l)
	}
	l.changePlay(next)
	return next.number, nil
}

// StopPlay ends what is played. Nothing of it is sent any more when it returns, and the connected leg is heard again.
func (l *Leg) StopPlay() {
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.stopPlay() {
		l.w.loop.Quiesce()
	}
}

func (l *Leg) stopPlay() bool {
	if l.play == nil {
		return false
	}
	l.changePlay(nil)
	l.w.players.remove(l)
	return true
}

func (l *Leg) changePlay(next *play) {
	l.play = next
	l.compile()
	if l.with != nil {
		l.with.compile()
	}
}

// forgetPlay clears away what has ended.
func (l *Leg) forgetPlay() {
	if l.play != nil && l.ended.Load() == l.play.number {
		l.stopPlay()
	}
}

// in is the play in an endpoint's codec.
func (p *play) in(e *endpoint) *play {
	if p == nil {
		return nil
	}
	q := *p
	q.frames = p.prompt.For(e.codec, e.audio.Clock)
	return &q
}

// codec is the name of the stream's audio.
func (s Stream) codec() string {
	if s.Codec != "" {
		return s.Codec
	}
	switch s.Audio.Type { // RFC 3551 §6
	case 0:
		return "PCMU"
	case 8:
		return "PCMA"
	case 9:
		return "G722"
	case 18:
		return "G729"
	}
	return ""
}

func (e *endpoint) named() string {
	if e.codec == "" {
		return fmt.Sprintf("payload type %d", e.audio.Type)
	}
	return fmt.Sprintf("%s/%d", e.codec, e.audio.Clock)
}

// players are a worker's legs with something to play: replaced whole by signalling, read by the worker.
type players struct {
	mu   sync.Mutex
	legs atomic.Pointer[[]*Leg]
}

func (p *players) add(l *Leg) { p.change(func(legs []*Leg) []*Leg { return append(legs, l) }) }
func (p *players) remove(l *Leg) {
	p.change(func(legs []*Leg) []*Leg { return slices.DeleteFunc(legs, l.is) })
}

func (p *players) change(how func([]*Leg) []*Leg) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := how(slices.Clone(p.now()))
	p.legs.Store(&next)
}

func (p *players) now() []*Leg {
	if legs := p.legs.Load(); legs != nil {
		return *legs
	}
	return nil
}

func (l *Leg) is(other *Leg) bool { return l == other }
