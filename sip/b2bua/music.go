package b2bua

import (
	"errors"

	"holdfast/sip/sdp"
)

// heldBy plays hold music to a party whose other side holds it, unless that side sends some of its own; and ends it when
// the other side is back. An emergency call hears nothing but people.
func (c *Call) heldBy(by, held *leg) {
	if held == nil || held.over || by.peer == nil {
		return
	}
	if by.peer.Direction.Receives() || c.emergency {
		c.quiet(held)
		return
	}
	c.play(held, HoldMusic, PlayOptions{Loop: true, Yield: true})
}

// entertain plays to a party that is alone in the call.
func (c *Call) entertain(l *leg, p Prompt) {
	if err := l.apply(sdp.SendRecv); err != nil {
		c.log.Warn("nothing can be played", "leg", l.name, "err", err)
		return
	}
	c.play(l, p, PlayOptions{Loop: true})
}

func (c *Call) play(l *leg, p Prompt, o PlayOptions) {
	l.hears = p
	if l.foreign {
		l.due = &tune{p, o}
		return
	}
	_, err := l.media.Play(p, o)
	if err != nil && !errors.Is(err, ErrNoPrompt) {
		c.log.Warn("nothing can be played", "leg", l.name, "prompt", string(p), "err", err)
	}
	l.plays = err == nil
}

// quiet ends what is played.
func (c *Call) quiet(l *leg) {
	l.due, l.hears = nil, ""
	if l.plays && !l.closed {
		l.plays = false
		l.media.StopPlay()
	}
}
