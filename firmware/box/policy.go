package box

import (
	"time"

	"holdfast/firmware/mode"
	"holdfast/firmware/record"
	"holdfast/sip/access"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// What the mode means for phones and calls.

// A phone that finds the door closed must try again soon: it may have noticed the outage before the box has.
const (
	retryNormal     = 5 * time.Second
	retrySuspicious = 2 * time.Second // a zone of the cloud has missed its last probe
	retryRecovering = 30 * time.Second
)

func (b *Box) retryAfter() time.Duration {
	if b.modes.state().Mode == mode.Recovering {
		return retryRecovering
	}
	for _, e := range b.modes.evidence() { // perhaps an outage that is seconds old
		if e.Kind == mode.SIP && !e.At.IsZero() && !e.Alive {
			return retrySuspicious
		}
	}
	return retryNormal
}

// warm reports whether phones register with the box all the time, besides the cloud.
func (b *Box) warm() bool { return b.site.Load().Doc().Registration == site.RegisterAlways }

func (b *Box) gate() access.Gate {
	s := b.modes.state()
	g := access.Gate{RetryAfter: b.retryAfter(), Open: b.warm()}
	if !b.provisioned() {
		return g
	}
	switch s.Mode {
	case mode.Resilience:
		g.Open = true
	case mode.Drill:
		if !g.Open {
			g.Open, g.Only = true, drillUsers(s)
		}
	}
	return g
}

func (b *Box) policy() route.Policy {
	s := b.modes.state()
	return route.Policy{Serve: s.Mode != mode.Normal, DrillUsers: drillUsers(s), Cloud: s.Mode != mode.Resilience}
}

// drillUsers are those of a drill for named users; nil when everybody is meant.
func drillUsers(s mode.State) map[string]bool {
	if s.Mode != mode.Drill || s.Drill == nil || len(s.Drill.Users) == 0 {
		return nil
	}
	set := make(map[string]bool, len(s.Drill.Users))
	for _, id := range s.Drill.Users {
		set[id] = true
	}
	return set
}

// request is the stack's handler.
func (b *Box) request(tx *stack.ServerTx) {
	if tx.Method() == "REGISTER" && tx.Conn().Side() == stack.Access {
		b.access.Register(tx)
		return
	}
	b.calls.Handle(tx)
}

// authorize says who a trunk connection belongs to, by its certificate.
func (b *Box) authorize(c *stack.Conn) error {
	if c.Side() != stack.Trunk {
		return nil
	}
	id, err := b.trunks.Identify(c.PeerCertificate())
	if err != nil {
		return err
	}
	c.Set(id)
	c.SetAuthenticated()
	return nil
}

// recheckTrunks closes connections of SBCs whose certificate is no longer that of their trunk: a document that changes a
// name or a fingerprint means it now.
func (b *Box) recheckTrunks() {
	for _, c := range b.stack.Conns() {
		if c.Side() != stack.Trunk {
			continue
		}
		if id, _ := c.Get().(string); !b.trunks.Is(id, c.PeerCertificate()) {
			b.log.Warn("connection of a trunk is closed: the site document has changed", "trunk", c.Get(), "source", c.Remote().String())
			go c.Close()
		}
	}
}

// releaseTrunks lets those go that are no longer the document's, as soon as their calls for help are over.
func (b *Box) releaseTrunks(now time.Time) {
	if b.trunks.Release(now) {
		b.recheckTrunks()
	}
}

// connClosed marks the phones of a lost connection as unreachable at once, and has a lost trunk asked again.
func (b *Box) connClosed(c *stack.Conn) {
	b.trunks.Lost(c)
	gone := b.registrar.FlowGone(registrar.Flow(c.Flow()))
	for _, g := range gone {
		b.log.Info("phone is gone", "aor", g.AOR, "source", c.Remote().String())
	}
}

// modeChanged follows a change of mode.
func (b *Box) modeChanged(t mode.Transition) {
	b.front.news()
	if err := b.snapshot.Put("mode", "mode", t.To); err != nil {
		b.log.Error("mode is not saved", "err", err)
	}
	change := record.FromTransition(t)
	b.records.Mode(change)
	b.reports.Change(change)
	switch t.To {
	case mode.Normal:
		b.clearBindings()
		b.documents.Kick()
	case mode.Recovering:
		b.documents.Kick() // the cloud is back: what has changed meanwhile?
	}
}

// resume is the mode to begin in: a program that was killed in an outage goes on serving at once.
func (b *Box) resume() mode.Mode {
	saved := loadOne[mode.Mode](b, "mode", "mode")
	if saved == mode.Resilience {
		return mode.Resilience
	}
	return mode.Normal
}
