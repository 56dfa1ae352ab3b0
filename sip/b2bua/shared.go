package b2bua

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// Shared keys (Options.SharedKeys). In a plain call between two phones each may get the key that the other seals with, so that the
// relay has only to verify and pass on. The caller's key is lent to the one phone that rings; when that accepts it, the caller is
// answered with the phone's own. A leg whose peer opens with another peer's key is foreign: the box never seals for it. Whatever the
// box has to say itself, or with another party, or in other payload types, needs a key of its own first. Every offer that the box
// makes to a foreign leg brings one; where nothing else makes an offer, settleKeys does.

// lend puts the caller's key into the offer to the branch, if the call may share keys: one phone of one user is called by another
// phone, and it is the first that the call rings. Who did not take the call knows the caller's key, so it is lent once at most.
func (c *Call) lend(l *leg) {
	a := c.caller
	if !c.agent.o.SharedKeys || c.emergency || c.moving != nil || !c.offered || c.decision.Kind != route.ToUser || len(c.decision.Targets) > 0 ||
		len(c.branches) != 1 || l.user == nil || a.user == nil || a.side != stack.Access || l.side != stack.Access ||
		a.recv.Suite == "" || a.recv.MKI != nil || a.plainOK || l.plainOK ||
		len(registrar.Targets(c.agent.o.Bindings(l.user.ID))) != 1 {
		return
	}
	l.lent = sdp.Crypto{Tag: 1, Suite: a.recv.Suite, Key: bytes.Clone(a.recv.Key)}
}

// withLent puts the lent key first among those of a first offer, in the place of the box's own of that suite.
func (l *leg) withLent(keys []sdp.Crypto) []sdp.Crypto {
	if l.lent.Suite == "" {
		return keys
	}
	out := []sdp.Crypto{l.lent}
	for _, k := range keys {
		if k.Suite != l.lent.Suite {
			k.Tag = len(out) + 1
			out = append(out, k)
		}
	}
	return out
}

// ownKey is a fresh key of the suite in force, for an offer.
func (l *leg) ownKey() (sdp.Crypto, error) {
	k, err := sdp.NewKey(l.send.Suite, rand.Reader)
	k.Tag, k.Spelling = l.send.Tag, l.send.Spelling
	return k, err
}

// reclaim gives a caller that is still to be answered a key of the box's own, if it had another peer's.
func (l *leg) reclaim() (err error) {
	if l.foreign {
		l.send, err = l.recv.Answer(rand.Reader)
		l.foreign = false
	}
	return err
}

// exchange completes the exchange of keys when a branch has answered: it may have accepted the lent key, and then the caller gets
// the branch's.
func (c *Call) exchange(l *leg) error {
	a := c.caller
	if err := a.reclaim(); err != nil || !l.foreign {
		return err
	}
	own := a.send
	a.send = sdp.Crypto{Tag: a.recv.Tag, Spelling: a.recv.Spelling, Suite: a.recv.Suite, Key: bytes.Clone(l.recv.Key)}
	if a.foreign = l.recv.MKI == nil && !sameKey(l.recv, l.send) && c.fits(a, l) && c.fits(l, a); !a.foreign {
		a.send = own // and the branch gets one of the box's own as soon as it may be asked
	}
	return nil
}

// fits reports whether what from's peer sends can go on to l's peer as it is.
func (c *Call) fits(l, from *leg) bool {
	sent, heard := from.ours, l.codecs
	return from.peer != nil && sameKey(from.recv, l.send) &&
		sent.Audio.Same(heard.Audio) && sent.Audio.Type == heard.Audio.Type &&
		sent.Event.Clock == heard.Event.Clock && (sent.Event.Clock == 0 || sent.Event.Type == heard.Event.Type) &&
		(sent.Noise.Clock == 0 || heard.Noise.Clock != 0)
}

func sameKey(a, b sdp.Crypto) bool {
	return a.Suite == b.Suite && subtle.ConstantTimeCompare(a.Key, b.Key) == 1
}

// repeats reports whether an offer says what the leg's peer has said before (RFC 3264 §8): a refresh of the session. Some phones
// keep the version when they hold.
func (l *leg) repeats(d *sdp.Description) bool {
	p := l.peer
	return p != nil && d.SessionID == p.SessionID && d.Version == p.Version && d.Direction == p.Direction && d.Remote == p.Remote
}

// tune is what a foreign leg is to hear once it has a key of the box's own.
type tune struct {
	prompt  Prompt
	options PlayOptions
}

// settleKeys re-keys a foreign leg that cannot go on so. It runs after each input of the call.
func (c *Call) settleKeys() {
	if c.changing || c.state == Dialling || c.state == Over {
		return
	}
	for _, l := range []*leg{c.caller, c.callee} {
		if l != nil && c.wantsKey(l) {
			c.rekey(l)
			return
		}
	}
}

func (c *Call) wantsKey(l *leg) bool {
	if !l.foreign || !l.answered || l.over || l.onAck != nil || l.peer == nil || l.keyPause {
		return false
	}
	far := c.other(l)
	return l.due != nil || l.misled || far == nil || !c.fits(l, far)
}

// keyTries and keyRetry say how often a phone that is away for a moment is asked again.
const (
	keyTries = 15
	keyRetry = 2 * time.Second
)

var errKeyRefused = errors.New("the phone does not take another key")

// rekey gives the leg a key of the box's own by re-INVITE, and then lets it hear what was due.
func (c *Call) rekey(l *leg) {
	body, err := l.offerCodecs(l.codecs.Codecs(), l.local.Direction)
	if err != nil {
		c.unkeyed(l, err)
		return
	}
	l.keyTries++
	c.changing = true
	c.reinvite(l, body, glareTries, func(res *sip.Response, err error) {
		defer c.free()
		if c.state == Over || l.over {
			return
		}
		if err == nil && res.StatusCode < 300 {
			c.takeRefreshed(l, res)
		}
		if !l.foreign {
			c.keyed(l)
			return
		}
		if err == nil {
			err = fmt.Errorf("%w: %d %s", errKeyRefused, res.StatusCode, res.Reason)
		}
		c.unkeyed(l, err)
	})
}

// keyed goes on with a key of the box's own.
func (c *Call) keyed(l *leg) {
	c.log.Info("keys are not shared any more", "leg", l.name, "aor", l.aor())
	l.keyTries = 0
	due := l.due
	l.due = nil
	if c.other(l) == nil {
		l.apply(sdp.SendRecv)
	}
	if due != nil {
		c.play(l, due.prompt, due.options)
	}
}

// unkeyed tries again with a phone that is away for a moment. Else a call in which one party hears nothing is ended; who is alone
// waits in silence.
func (c *Call) unkeyed(l *leg, err error) {
	l.keyPause = true
	switch {
	case errors.Is(err, stack.ErrConnClosed) && l.keyTries < keyTries:
		c.after(keyRetry, func() { l.keyPause = false })
	case c.other(l) != nil:
		c.log.Warn("the call cannot go on: no key of the box's own", "leg", l.name, "aor", l.aor(), "err", err)
		c.endsBy(causeNoKey, l.name)
		c.feed(inDead, nil, nil)
	default:
		c.log.Warn("nothing can be played", "leg", l.name, "aor", l.aor(), "err", err)
	}
}

// sharing reports whether one of the legs is foreign.
func sharing(legs ...*leg) bool {
	return slices.ContainsFunc(legs, func(l *leg) bool { return l != nil && l.foreign })
}
