package b2bua

import (
	"slices"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// A trunk that has said nothing at all to an INVITE may be well, and only the connection dead without a word: the SBC has lost its
// power and is back, or a firewall has forgotten the connection. So the trunk comes again, once, over a new one: after all others, as one
// that is marked down does, since the connections of the others are not in doubt; and before the security desk rings.
//
// There are never two live legs at the PSAP. Whatever the trunk may have made of the first INVITE is cancelled over the new connection as
// soon as there is one, ahead of the second INVITE; the box listens on the old one all the while, cancels there too once anything
// comes, and acknowledges and hangs up a late answer, by whichever connection it comes. The second INVITE is a call of its own, with
// its own Call-ID: the same one would be a merged request (RFC 3261 §8.2.2.2), which some SBCs take for a repetition, some for
// a loop (482) and some for a new call, and where it is refused the call would hang on a connection that brings nothing back.

// renews puts a trunk that has been silent at the end of the list, and has a new connection made meanwhile.
func (c *Call) renews(l *leg) {
	if !c.failsOver() || l.invite == nil || l.heard || c.silent[l.trunk.ID] != nil {
		return
	}
	if c.silent == nil {
		c.silent = make(map[string]*stack.ClientTx)
	}
	first := l.invite
	c.silent[l.trunk.ID] = first
	c.trunks = append(c.trunks, l.trunk)
	// Not only when its turn comes: also where another trunk takes the call the first INVITE is to be cancelled.
	c.agent.o.Trunks.Renew(l.trunk.ID, first.Conn(), func(conn *stack.Conn, err error) {
		if err == nil {
			first.CancelOver(conn)
		}
	})
}

// untried reports whether a trunk is left that is better than one which says that it tries: not one that has said nothing at all.
func (c *Call) untried() bool {
	return slices.ContainsFunc(c.trunks, func(t *site.Trunk) bool { return c.silent[t.ID] == nil })
}

// connects is how a connection to the trunk is asked for: to another one where that has been silent.
func (c *Call) connects(t *site.Trunk) func(do func(*stack.Conn, error)) {
	trunks, first := c.agent.o.Trunks, c.silent[t.ID]
	if first == nil {
		return func(do func(*stack.Conn, error)) { trunks.Connect(t.ID, do) }
	}
	c.log.Info("the trunk is asked again over a new connection", "trunk", t.ID)
	return func(do func(*stack.Conn, error)) {
		trunks.Renew(t.ID, first.Conn(), func(conn *stack.Conn, err error) {
			if err == nil {
				first.CancelOver(conn) // ahead of the INVITE that follows
			}
			do(conn, err)
		})
	}
}
