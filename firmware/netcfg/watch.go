package netcfg

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// cables announces our addresses where a cable came back: another switch, perhaps, and another machine at our place.
func (m *Manager) cables(have Have) {
	for _, l := range have.Links {
		was, known := m.carriers[l.Name]
		m.carriers[l.Name] = l.Carrier
		if known && was != l.Carrier && (l.Wired || slices.ContainsFunc(l.Addresses, func(a Address) bool { return a.Ours })) {
			m.o.Log.Info("network: cable", "interface", l.Name, "signal", l.Carrier)
		}
		if !known || was || !l.Carrier {
			continue
		}
		for _, a := range l.Addresses {
			if a.Ours {
				if err := announce(l.Name, a.Prefix.Addr()); err != nil {
					m.o.Log.Warn("network: announcement", "address", a.Prefix.String(), "err", err)
				}
			}
		}
	}
}

// guard has somebody listen on every interface with an address of ours.
func (m *Manager) guard(ctx context.Context, have Have, want Want) {
	for name, g := range m.guards {
		if l, ok := have.link(name); !ok || l.Index != g.index || g.dead() {
			g.wire.close()
			delete(m.guards, name)
		}
	}
	for _, l := range have.Links {
		var ears listening
		for _, a := range l.Addresses {
			if a.Ours {
				ears.mine = append(ears.mine, a.Prefix.Addr())
			}
		}
		for _, p := range want.Ports {
			if p.carrier() == l.Name && len(p.Routes) > 0 {
				ears.gateway = p.Routes[0].Via
			}
		}
		g := m.guards[l.Name]
		if g == nil && len(ears.mine) == 0 {
			continue
		}
		if g == nil {
			var err error
			if g, err = stand(ctx, l.Name, l.Index, m.heard, &m.all); err != nil {
				m.fault("nobody watches for other machines with our address: %v", err)
				continue
			}
			m.guards[l.Name] = g
		}
		g.listen.Store(&ears)
	}
}

// hear takes note of a packet, and defends our addresses.
func (m *Manager) hear(h heard, now time.Time) {
	for _, a := range h.guard.listen.Load().mine {
		if !h.arp.contests(h.guard.wire.mac, a) {
			continue
		}
		c := m.contested(a, hardware(h.arp.fromMAC).String(), false, now)
		if fallbackNetwork.Contains(a) { // it is nobody's by right: move on (RFC 3927 §2.5)
			m.moveOn(now)
			m.Wake()
			continue
		}
		if now.Sub(c.defendedAt) >= defendEvery {
			c.defendedAt = now
			if err := h.guard.wire.send(announcement(h.guard.wire.mac, a)); err != nil {
				m.o.Log.Warn("network: defence", "address", a.String(), "err", err)
			}
		}
	}
	if g := m.gateways[h.arp.from]; g != nil {
		g.seen = now
	}
}

func (m *Manager) contested(a netip.Addr, mac string, taken bool, now time.Time) *conflict {
	c := m.conflicts[a]
	if c == nil || c.mac != mac || c.taken != taken {
		m.o.Log.Error("network: another machine has the box's address", "address", a.String(), "mac", mac, "taken", taken)
		c = &conflict{mac: mac, since: now, taken: taken}
		m.conflicts[a] = c
	}
	c.seen = now
	return c
}

// forget ends conflicts that were heard of for the last time a while ago; those of addresses that we could not take end
// when we can. Of fallback addresses nothing is remembered for long: there may be many.
func (m *Manager) forget(now time.Time) {
	for a, c := range m.conflicts {
		if (!c.taken || fallbackNetwork.Contains(a)) && now.Sub(c.seen) > conflictOver {
			m.o.Log.Info("network: the other machine is quiet", "address", a.String(), "mac", c.mac)
			delete(m.conflicts, a)
		}
	}
	for a, at := range m.tried {
		if now.Sub(at) > conflictOver {
			delete(m.tried, a)
		}
	}
}

func (m *Manager) askGateways(want Want, now time.Time) {
	asked := make(map[netip.Addr]*gateway)
	for _, p := range want.Ports {
		g := m.guards[p.carrier()]
		if len(p.Routes) == 0 || g == nil || !slices.Contains(g.listen.Load().mine, p.Address.Addr()) || !m.carriers[p.carrier()] {
			continue
		}
		via := p.Routes[0].Via
		if asked[via] = m.gateways[via]; asked[via] == nil {
			asked[via] = &gateway{since: now}
		}
		if err := g.ask(p.Address.Addr(), via); err != nil {
			m.o.Log.Warn("network: gateway", "address", via.String(), "err", err)
		}
	}
	m.gateways = asked
}
