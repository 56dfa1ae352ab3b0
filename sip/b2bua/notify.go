package b2bua

import (
	"fmt"

	"github.com/emiago/sipgo/sip"
)

// subscription is what a REFER makes without being asked for (RFC 3515 §2.4.4): the transferor hears how it goes.
type subscription struct {
	leg   *leg
	event string // value of the Event header
	quiet bool   // the transferor wants to hear nothing (RFC 4488)
	last  int    // the status told last
}

// notify tells the transferor a status; one that it knows already, and any after the last word, is left out.
func (c *Call) notify(m *transfer, status int) {
	if m != nil && status != m.told.last {
		c.tell(&m.told, refusal{status: status, reason: progressReason(status)}, "active;expires=60")
	}
}

// notifyEnd is the last word.
func (c *Call) notifyEnd(m *transfer, r refusal) {
	c.tell(&m.told, r, "terminated;reason=noresource")
}

func (c *Call) tell(s *subscription, r refusal, state string) {
	if s.leg == nil || s.quiet || s.last >= 200 {
		return
	}
	s.last = r.status
	conn := s.leg.connection()
	if conn == nil {
		return
	}
	req := s.leg.dlg.request(sip.NOTIFY, conn)
	req.AppendHeader(sip.NewHeader("Event", s.event))
	req.AppendHeader(sip.NewHeader("Subscription-State", state))
	req.AppendHeader(sip.NewHeader("Content-Type", "message/sipfrag;version=2.0"))
	req.SetBody(fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", r.status, r.reason))
	conn.Send(req, func(*sip.Response, error) {}) // what the transferor says to it changes nothing
}

func progressReason(status int) string {
	switch status {
	case 100:
		return "Trying"
	case 180:
		return "Ringing"
	case 200:
		return "OK"
	}
	return reason(status)
}
