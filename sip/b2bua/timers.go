package b2bua

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// session is one dialog's session timer (RFC 4028). The two sides of a call have one each, of their own.
type session struct {
	every time.Duration // the session interval; 0: none
	min   time.Duration // the peer's Min-SE, as far as it has said
	ours  bool          // the box refreshes
	timer *timer        // half of the interval for a refresh, nearly the whole for the end
}

// sessionExpires reads Session-Expires (compact form x).
func sessionExpires(m sip.Message) (every time.Duration, refresher string, ok bool) {
	list := append(m.GetHeaders("session-expires"), m.GetHeaders("x")...)
	if len(list) == 0 {
		return 0, "", false
	}
	value, params, _ := strings.Cut(list[0].Value(), ";")
	every, ok = deltaSeconds(value)
	for p := range strings.SplitSeq(params, ";") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), "refresher") {
			refresher = strings.ToLower(strings.TrimSpace(v))
		}
	}
	return every, refresher, ok
}

func minSE(m sip.Message) time.Duration {
	for _, h := range m.GetHeaders("min-se") {
		value, _, _ := strings.Cut(h.Value(), ";")
		d, _ := deltaSeconds(value)
		return d
	}
	return 0
}

// deltaSeconds reads a number of seconds; a day at most.
func deltaSeconds(v string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	return time.Duration(min(n, 86400)) * time.Second, err == nil
}

func inSeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// tooBrief refuses a session interval below the box's minimum (RFC 4028 §9).
func (a *Agent) tooBrief(tx *stack.ServerTx) bool {
	every, _, ok := sessionExpires(tx.Request())
	if !ok || every >= a.o.MinSE || !knows(tx.Request(), "timer") {
		return false
	}
	tx.Reply(422, "Session Interval Too Small", sip.NewHeader("Min-SE", inSeconds(a.o.MinSE)))
	return true
}

// agreeTimer answers what a request in l's dialog says of the session timer, and runs it. A peer that knows no session
// timer has none: what has become of it, media silence shows.
func (c *Call) agreeTimer(l *leg, req *sip.Request, res *sip.Response) {
	if !knows(req, "timer") {
		if _, _, asked := sessionExpires(req); !asked {
			return
		}
	}
	every, refresher, asked := sessionExpires(req)
	most := c.agent.o.SessionExpires
	if !asked || every > most {
		every = most
	}
	every = max(every, minSE(req), c.agent.o.MinSE)
	if refresher != "uas" {
		refresher = "uac" // the phone: what it sends keeps its own way through NAT open
	}
	res.AppendHeader(sip.NewHeader("Session-Expires", inSeconds(every)+";refresher="+refresher))
	if refresher == "uac" {
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	l.session.every, l.session.ours = every, refresher == "uas"
	c.runTimer(l)
}

// proposeTimer asks for a session timer in a branch's INVITE.
func (c *Call) proposeTimer(l *leg, req *sip.Request) {
	req.AppendHeader(sip.NewHeader("Session-Expires", inSeconds(max(c.agent.o.SessionExpires, l.session.min))))
	req.AppendHeader(sip.NewHeader("Min-SE", inSeconds(max(c.agent.o.MinSE, l.session.min))))
}

// keepsTimer says in a re-INVITE or UPDATE of the box what holds already (RFC 4028 §7.4).
func (c *Call) keepsTimer(l *leg, req *sip.Request) {
	s := l.session
	if s.every == 0 {
		return
	}
	who := "uas"
	if s.ours {
		who = "uac"
	}
	req.AppendHeader(sip.NewHeader("Session-Expires", fmt.Sprintf("%s;refresher=%s", inSeconds(max(s.every, s.min)), who)))
	req.AppendHeader(sip.NewHeader("Min-SE", inSeconds(max(c.agent.o.MinSE, s.min))))
}

// keepTimer takes what a 2xx to a request of the box says of the session timer.
func (c *Call) keepTimer(l *leg, res *sip.Response) {
	every, refresher, ok := sessionExpires(res)
	if !ok {
		l.session.every = 0
		l.session.timer.stop()
		return
	}
	l.session.every, l.session.ours = max(every, c.agent.o.MinSE), refresher != "uas"
	c.runTimer(l)
}

// longerTimer sends a branch's INVITE again after 422, with what the peer wants at least (RFC 4028 §7.3); once.
func (c *Call) longerTimer(l *leg, res *sip.Response) bool {
	wants, conn := minSE(res), l.connection()
	if l.session.min != 0 || wants == 0 || conn == nil {
		return false
	}
	l.session.min = wants
	if c.invites(l, conn) != nil {
		return false
	}
	if l.trunk != nil {
		c.awaitTrunk(l) // the clocks of failover begin anew
	}
	return true
}

// runTimer starts the leg's timer anew (RFC 4028 §10).
func (c *Call) runTimer(l *leg) {
	s := &l.session
	s.timer.stop()
	if c.ended || l.over || s.every == 0 {
		return
	}
	if s.ours {
		s.timer = c.after(s.every/2, func() { c.refresh(l) })
		return
	}
	s.timer = c.after(s.every-min(32*time.Second, s.every/3), func() {
		c.log.Warn("session expired", "leg", l.name, "aor", l.aor())
		c.lost(l, causeExpired, nil)
	})
}

// refresh asks the peer whether it is still there: by UPDATE, or by a re-INVITE that changes nothing where the peer knows
// none.
func (c *Call) refresh(l *leg) {
	s := &l.session
	s.timer.stop()
	// Whatever comes of it, without a refresh the session ends with its interval.
	s.timer = c.after(s.every/2, func() {
		c.lost(l, causeExpired, nil)
	})
	failed := func(res *sip.Response, err error) bool {
		switch {
		case c.state == Over || l.over:
			return true
		case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
			c.lost(l, causeDead, res)
			return true
		case res.StatusCode == 422 && minSE(res) > s.min:
			s.min = minSE(res)
			c.refresh(l)
			return true
		}
		return res.StatusCode >= 300
	}
	if conn := l.connection(); l.updates && conn != nil {
		req := l.dlg.request(sip.UPDATE, conn)
		c.keepsTimer(l, req)
		req.SetBody(nil)
		l.request(req, func(res *sip.Response, err error) {
			if failed(res, err) {
				if err == nil && (res.StatusCode == 405 || res.StatusCode == 501) {
					l.updates = false
					c.refresh(l)
				}
				return
			}
			l.dlg.retarget(res.Contact())
			c.keepTimer(l, res)
		})
		return
	}
	c.exclusive(func() {
		if c.state == Over || l.over {
			return
		}
		body, err := l.offerCodecs(l.codecs.Codecs(), l.local.Direction)
		if err != nil {
			c.log.Error("refresh", "leg", l.name, "err", err)
			return
		}
		c.changing = true
		c.reinvite(l, body, glareTries, func(res *sip.Response, err error) {
			defer c.free()
			if failed(res, err) {
				return
			}
			c.takeRefreshed(l, res)
		})
	})
}

// takeRefreshed takes the answer to an offer that changed nothing: the peer may have moved all the same.
func (c *Call) takeRefreshed(l *leg, res *sip.Response) {
	d, r := l.describes(res)
	if r.status != 0 {
		return
	}
	g, err := agreed(l, d.Codecs)
	if err == nil {
		err = l.takeAnswer(d)
	}
	if err != nil {
		c.log.Warn("answer to a refresh cannot be used", "leg", l.name, "err", err)
		return
	}
	l.codecs, l.ours = g.B, g.Ours
	if far := c.other(l); far != nil && far.peer != nil {
		l.apply(c.direction(far))
		far.apply(c.direction(l))
	}
}
