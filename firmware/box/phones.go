package box

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"holdfast/firmware/mode"
	"holdfast/firmware/snapshot"
	"holdfast/sip/registrar"
	"holdfast/sip/stack"
)

// bindingsSection of the snapshot: a user's bindings under the user's ID.
const bindingsSection = "bindings"

// saveBindings keeps a user's bindings where a crash of the program does not lose them. It takes them from the registrar,
// one save at a time: what two requests brought about may arrive here in the wrong order.
func (b *Box) saveBindings(userID string, _ []registrar.Binding) error {
	b.saving.Lock()
	defer b.saving.Unlock()
	list := b.registrar.Bindings(time.Now(), userID)
	if len(list) == 0 {
		return b.snapshot.Delete(bindingsSection, userID)
	}
	return b.snapshot.Put(bindingsSection, userID, list)
}

// restoreBindings brings back the registrations of the program's last life; their phones are unreachable until they
// open a connection again.
func (b *Box) restoreBindings() {
	saved, unfit := snapshot.Load[[]registrar.Binding](b.snapshot, bindingsSection)
	var all []registrar.Binding
	for id, list := range saved {
		if _, ok := b.site.Load().UserByID(id); ok {
			all = append(all, list...)
		}
	}
	n := b.registrar.Restore(time.Now(), all)
	if n > 0 || unfit > 0 {
		b.log.Info("registrations restored", "bindings", n, "unfit", unfit)
	}
}

func (b *Box) clearBindings() {
	if b.warm() {
		return
	}
	for _, g := range b.registrar.Clear() {
		b.forgetBindings(g.AOR)
	}
}

// forgetBindings takes what the registrar has dropped out of the snapshot.
func (b *Box) forgetBindings(userID string) {
	if err := b.saveBindings(userID, nil); err != nil {
		b.log.Error("bindings are not saved", "err", err)
	}
}

// vacant reports whether nobody is here any more.
func (b *Box) vacant() bool {
	if b.calls.Count() > 0 {
		return false
	}
	n := b.registrar.Counts(time.Now())
	return b.warm() || n.Bindings == n.Unreachable
}

// homeRate is how many phones a second are sent home: the cloud must not be stormed.
const homeRate = 50

// housekeeping lets registrations expire and sends phones home while the box recovers.
func (b *Box) housekeeping(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var rush afterRush
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		if rush.due(b.stack.Counters().Accepted.Load()) {
			rush.clear()
		}
		b.releaseGateways(now)
		b.releaseTrunks(now)
		for _, g := range b.registrar.Expire(now) {
			b.forgetBindings(g.AOR)
		}
		if s := b.modes.state(); (s.Mode == mode.Recovering || s.Mode == mode.Normal) && now.Sub(s.Since) > 2*time.Second && !b.warm() {
			b.sendHome()
		}
	}
}

// sendHome closes idle phones' connections. A phone then asks where it belongs, is told 503 here and registers with the
// cloud; one that is in a call stays until it has hung up.
func (b *Box) sendHome() {
	sent := 0
	for _, c := range b.stack.Conns() {
		if c.Side() != stack.Access || !c.Authenticated() || b.calls.Busy(c) {
			continue
		}
		if c.Over() == stack.UDP { // nothing would tell it; its short expiry sends it home, and in an emergency it can still be called back
			b.registrar.FlowGone(registrar.Flow(c.Flow()))
			continue
		}
		c.Close()
		if sent++; sent == homeRate {
			return
		}
	}
}

// strays are phones that come although the box does not serve: in normal operation their way to the cloud is broken.
type strays struct {
	mu   sync.Mutex
	seen map[netip.Addr]stray
}

type stray struct {
	user string
	at   time.Time
}

// straysKept bounds the memory about them, straysFor how long one is news.
const (
	straysKept = 256
	straysFor  = 5 * time.Minute
)

func (s *strays) note(user string, from netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.seen == nil {
		s.seen = make(map[netip.Addr]stray)
	}
	for a, x := range s.seen {
		if now.Sub(x.at) > straysFor {
			delete(s.seen, a)
		}
	}
	if _, known := s.seen[from.Addr()]; known || len(s.seen) < straysKept {
		s.seen[from.Addr()] = stray{user, now}
	}
}

// recent counts who came after t, and names the last.
func (s *strays) recent(t time.Time) (n int, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last time.Time
	for _, x := range s.seen {
		if !x.at.After(t) {
			continue
		}
		if n++; x.at.After(last) {
			last, user = x.at, x.user
		}
	}
	return n, user
}

// loadOne reads one value of the snapshot; the zero value if there is none.
func loadOne[T any](b *Box, section, key string) T {
	all, _ := snapshot.Load[T](b.snapshot, section)
	return all[key]
}
