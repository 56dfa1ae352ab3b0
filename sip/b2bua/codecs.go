package b2bua

import (
	"context"
	"slices"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// A phone without G.711 may not be understood by a PSAP, and the box, which passes audio through, cannot help that. So
// it wants to know before somebody dials 911.

// HasG711 asks a phone by OPTIONS (RFC 3261 §11) which codecs it has. known is false when it does not say.
func (a *Agent) HasG711(ctx context.Context, userID string, b registrar.Binding) (has, known bool) {
	st := a.o.Site()
	u, ok := st.UserByID(userID)
	conn, here := a.o.Stack.Conn(uint64(b.Flow))
	var target sip.Uri
	if !ok || !here || conn.Closed() || sip.ParseUri(b.URI, &target) != nil {
		return false, false
	}
	target.Headers = nil
	domain := st.Doc().Site.Domain
	d := dialog{callID: stack.NewCallID(), local: party{uri: sip.Uri{Scheme: "sip", User: "holdfast", Host: domain}, tag: stack.NewTag()},
		remote: party{uri: sip.Uri{Scheme: "sip", User: u.Extension, Host: domain}}, target: target}
	req := d.request(sip.OPTIONS, conn)
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.SetBody(nil)
	got := make(chan *sip.Response, 1)
	_, err := conn.Send(req, func(res *sip.Response, err error) {
		if err == nil && res.StatusCode < 200 {
			return
		}
		select {
		case got <- res:
		default:
		}
	})
	if err != nil {
		return false, false
	}
	select {
	case res := <-got:
		if res == nil || res.StatusCode >= 300 || len(res.Body()) == 0 {
			return false, false
		}
		desc, bad := parseBody(res)
		if bad.status != 0 {
			return false, false
		}
		return hasG711(desc.Codecs), true
	case <-ctx.Done():
		return false, false
	}
}

func hasG711(list []sdp.Codec) bool {
	return slices.ContainsFunc(list, func(x sdp.Codec) bool { return x.Name == sdp.PCMU || x.Name == sdp.PCMA })
}

// tellCodecs tells what a user's phone has offered.
func (c *Call) tellCodecs() {
	if f := c.agent.o.OnCodecs; f != nil && c.offered && c.caller.user != nil && c.caller.peer != nil {
		f(c.caller.user, c.caller.instance, hasG711(c.caller.peer.Codecs))
	}
}
