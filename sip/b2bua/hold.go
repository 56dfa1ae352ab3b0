package b2bua

import (
	"fmt"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// What becomes of a hold in an emergency call. The caller's phone may not put the call aside (RFC 6881 ED-66), and the
// PSAP never learns that it tried. But a phone stops its sound before it asks, and some do not start it again when they
// are refused (linphone 5): the box then asks for it, by a re-INVITE of its own. A phone that still insists (baresip)
// keeps its silence until its user takes the call back; the way to the PSAP and back stays open meanwhile.

// direction is what a side of the call means to the other one: of a locked phone always that it talks and listens.
func (c *Call) direction(l *leg) sdp.Direction {
	if c.locked(l) || l.peer == nil {
		return sdp.SendRecv
	}
	return l.peer.Direction
}

// refusesHold answers an offer of a locked phone that would stop the sound, whatever else is in it.
func (c *Call) refusesHold(l *leg, tx *stack.ServerTx) bool {
	if !c.locked(l) {
		return false
	}
	d, r := l.describes(tx.Request())
	if r.status != 0 || d.Direction == sdp.SendRecv {
		return false
	}
	c.log.Warn("the hold of an emergency call is refused", "leg", l.name, "aor", l.aor())
	tx.Reply(403, "Not During an Emergency Call")
	c.talkOn(l)
	return true
}

// talkOn asks a phone to go on with its sound. One question at a time is enough.
func (c *Call) talkOn(l *leg) {
	if l.asked || !l.answered || l.peer == nil || l.codecs.Audio.Clock == 0 {
		return
	}
	l.asked = true
	c.exclusive(func() {
		l.asked = false
		if c.state == Over || l.over || l.onAck != nil {
			return
		}
		body, err := l.offerCodecs(l.codecs.Codecs(), sdp.SendRecv)
		if err != nil {
			c.silenced(l, err.Error())
			return
		}
		l.asked, c.changing = true, true
		c.reinvite(l, body, glareTries, func(res *sip.Response, err error) {
			defer c.free()
			l.asked = false
			switch {
			case c.state == Over || l.over:
				return
			case err != nil:
				c.silenced(l, err.Error())
				return
			case res.StatusCode >= 300:
				c.silenced(l, fmt.Sprintf("it answered %d", res.StatusCode))
				return
			}
			c.takeRefreshed(l, res)
			if d := l.peer.Direction; d != sdp.SendRecv {
				c.silenced(l, "it answered "+d.String())
			}
		})
	})
}

// silenced tells, once a call, that the caller may not be heard.
func (c *Call) silenced(l *leg, why string) {
	c.log.Warn("the phone of an emergency caller insists on its hold", "leg", l.name, "aor", l.aor(), "why", why)
	if !c.holds {
		c.holds = true
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the caller's phone has put the call aside (" + why + "): the PSAP may hear nothing until it is taken back there"})
	}
}
