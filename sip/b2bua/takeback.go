package b2bua

import (
	"fmt"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// A phone that wants to take part in a call may think better of it, or be gone, while the party that stays is asked. Then all
// stays as it was: who is parked is parked, who talks goes on talking with whom it talked.

// mayLeave lets the phone give up until it has its answer.
func (c *Call) mayLeave(n *leg) {
	leave := func(status int) func() {
		return func() {
			c.post(gotReply{n, nil, nil, func(*sip.Response, error) { c.takerLeaves(n, status) }})
		}
	}
	n.uas.OnCancel(leave(487))
	n.uas.OnGone(leave(480))
}

func (c *Call) takerLeaves(n *leg, status int) {
	if n.over || n.answered {
		return // its answer is on its way: it will hang up
	}
	c.log.Info("does not take part after all", "leg", n.name, "aor", n.aor())
	n.uas.Reply(status, reason(status))
	n.over = true
	c.dismiss(n)
}

// putBack undoes what the party that stays has agreed to for a phone that has left: it has taken the answer already.
func (c *Call) putBack(stays, old *leg, before sdp.Stream) {
	if c.alone(stays) {
		if stays.hears != "" {
			c.entertain(stays, stays.hears)
		}
		return
	}
	if old == nil || old.over || c.other(old) != stays {
		return
	}
	if stays.codecs.Audio.Same(before.Audio) {
		c.tieAgain(stays, old)
		return
	}
	c.queued = append(c.queued, func() {
		if c.state == Over || stays.over || old.over || c.other(old) != stays {
			return
		}
		body, err := stays.offerCodecs(before.Codecs(), c.direction(old))
		if err != nil {
			c.unjoined(stays, err)
			return
		}
		c.changing = true
		c.reinvite(stays, body, glareTries, func(res *sip.Response, err error) {
			defer c.free()
			if c.state == Over || stays.over || old.over {
				return
			}
			if err == nil {
				err = c.fitBack(stays, res)
			}
			if err != nil { // it has a codec now that the other one has not
				c.unjoined(stays, err)
				return
			}
			c.tieAgain(stays, old)
		})
	})
}

// fitBack takes the answer to the offer of what was in force.
func (c *Call) fitBack(stays *leg, res *sip.Response) error {
	if res.StatusCode >= 300 {
		return fmt.Errorf("the codec before is refused: %d", res.StatusCode)
	}
	d, r := stays.describes(res)
	if r.status != 0 {
		return errBadReply
	}
	g, err := agreed(stays, d.Codecs)
	if err == nil {
		err = stays.takeAnswer(d)
	}
	if err == nil {
		stays.codecs, stays.ours = g.B, g.Ours
	}
	return err
}

// tieAgain puts what both sides have said into effect.
func (c *Call) tieAgain(stays, old *leg) {
	c.media.Connect(stays.media, old.media)
	for _, side := range [][2]*leg{{stays, old}, {old, stays}} {
		if err := side[0].apply(c.direction(side[1])); err != nil {
			c.log.Error("media change", "leg", side[0].name, "err", err)
		}
	}
}
