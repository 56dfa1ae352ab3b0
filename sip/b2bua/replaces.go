package b2bua

import (
	"errors"
	"strings"

	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// replaced names a dialog as a Replaces header does (RFC 3891 §6.1), seen from who receives it: the box.
type replaced struct {
	callID, toTag, fromTag string
	earlyOnly              bool
}

var errReplaces = errors.New("bad Replaces")

func parseReplaces(v string) (*replaced, error) {
	id, params, _ := strings.Cut(v, ";")
	r := &replaced{callID: strings.TrimSpace(id)}
	for p := range strings.SplitSeq(params, ";") {
		k, v, _ := strings.Cut(p, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(k)) {
		case "to-tag":
			if r.toTag != "" {
				return nil, errReplaces
			}
			r.toTag = v
		case "from-tag":
			if r.fromTag != "" {
				return nil, errReplaces
			}
			r.fromTag = v
		case "early-only":
			r.earlyOnly = true
		}
	}
	if r.callID == "" || r.toTag == "" || r.fromTag == "" {
		return nil, errReplaces
	}
	return r, nil
}

// named finds the leg whose dialog is named: both tags must fit (RFC 3891 §3).
func (a *Agent) named(r *replaced) (*leg, refusal) {
	l := a.find(r.callID, r.toTag)
	if l == nil || l.remoteTag() != r.fromTag {
		return nil, refusal{status: 481, reason: "Call/Transaction Does Not Exist"}
	}
	return l, refusal{}
}

// replaces handles an INVITE with Replaces: a phone takes the place of another one in a call, or takes a call that rings
// there. Phones of the site only; a trunk could name no dialog but its own. true: the request is taken care of.
func (a *Agent) replaces(tx *stack.ServerTx, from route.Origin) bool {
	list := tx.Request().GetHeaders("replaces")
	if len(list) == 0 {
		return false
	}
	r, err := parseReplaces(list[0].Value())
	switch {
	case err != nil || len(list) > 1 || tx.Request().GetHeader("join") != nil:
		tx.Reply(400, "Bad Replaces")
		return true
	case from.User == nil:
		tx.Reply(403, "Forbidden")
		return true
	}
	l, no := a.named(r)
	if no.status != 0 {
		tx.Reply(no.status, no.reason)
		return true
	}
	a.offerTake(l.call, take{tx: tx, user: from.User, of: l, earlyOnly: r.earlyOnly})
	return true
}

// pickUp hands a phone's INVITE to the call that has rung longest at a user.
func (a *Agent) pickUp(tx *stack.ServerTx, by, at *site.User) {
	a.mu.Lock()
	var oldest *Call
	for _, c := range a.calls {
		if id := c.ringsAt.Load(); id != nil && *id == at.ID && (oldest == nil || c.began.Before(oldest.began)) {
			oldest = c
		}
	}
	a.mu.Unlock()
	if oldest == nil {
		tx.Reply(404, "No Call To Pick Up")
		return
	}
	a.offerTake(oldest, take{tx: tx, user: by})
}

// fetch hands a phone's INVITE to the call that is parked at a place.
func (a *Agent) fetch(tx *stack.ServerTx, by *site.User, place string) {
	a.mu.Lock()
	c := a.parks[place]
	a.mu.Unlock()
	if c == nil {
		tx.Reply(404, "Nothing Parked There")
		return
	}
	a.offerTake(c, take{tx: tx, user: by, place: place})
}

func (a *Agent) offerTake(c *Call, t take) {
	if !c.post(gotTake{t}) {
		t.tx.Reply(481, "Call/Transaction Does Not Exist")
	}
}

// ringsFor reports whether the leg is a branch that rings.
func (l *leg) ringsFor() bool { return l.invite != nil && l.pending && !l.cancelled && !l.answered }
