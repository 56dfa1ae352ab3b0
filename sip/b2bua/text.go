package b2bua

import (
	"context"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/registrar"
	"holdfast/sip/stack"
)

// Message sends a text to all phones of a user (RFC 3428) but that of a caller, if one is given: nil when one of them took it, else
// the last status. It has a place beyond the stack's limits: it tells that somebody called for help.
func (a *Agent) Message(ctx context.Context, userID string, but *elin.Caller, text string) (status int, err error) {
	st := a.o.Site()
	u, ok := st.UserByID(userID)
	if !ok {
		return 0, ErrNobodyThere
	}
	results := make(chan int, maxBranches)
	sent := 0
	for _, b := range registrar.Targets(a.o.Bindings(u.ID)) {
		conn, ok := a.o.Stack.Conn(uint64(b.Flow))
		var target sip.Uri
		if !ok || conn.Closed() || sent == maxBranches || spares(but, b) || sip.ParseUri(b.URI, &target) != nil {
			continue
		}
		target.Headers = nil
		domain := st.Doc().Site.Domain
		d := dialog{callID: stack.NewCallID(), local: party{name: "Holdfast", uri: sip.Uri{Scheme: "sip", User: "holdfast", Host: domain}, tag: stack.NewTag()},
			remote: party{uri: sip.Uri{Scheme: "sip", User: u.Extension, Host: domain}}, target: target}
		req := d.request(sip.MESSAGE, conn)
		req.AppendHeader(sip.NewHeader("Content-Type", "text/plain;charset=UTF-8"))
		req.SetBody([]byte(text))
		_, err := conn.SendUrgent(req, func(res *sip.Response, err error) {
			switch {
			case err != nil:
				results <- 408
			case res.StatusCode >= 200:
				results <- res.StatusCode
			}
		})
		if err == nil {
			sent++
		}
	}
	if sent == 0 {
		return 0, ErrNobodyThere
	}
	for range sent {
		select {
		case status = <-results:
			if status < 300 {
				return status, nil
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return status, nil
}
