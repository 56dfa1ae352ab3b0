package netcfg

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"holdfast/firmware/config"
)

// tell writes the state.
func (m *Manager) tell(have Have, want Want, n config.Network, now time.Time) {
	s := State{At: now}
	for f := range m.faults {
		s.Faults = append(s.Faults, f)
	}
	slices.Sort(s.Faults)
	for _, d := range n.DNS {
		s.DNS = append(s.DNS, d.String())
	}
	for _, p := range want.Ports {
		s.Ports = append(s.Ports, m.port(have, p, now))
	}
	data, err := json.Marshal(s)
	if err == nil {
		err = writeFile(filepath.Join(m.o.Dir, StateName), append(data, '\n'))
	}
	if err != nil {
		m.o.Log.Error("network: the state cannot be written", "err", err)
	}
}

func (m *Manager) port(have Have, p Port, now time.Time) PortState {
	wire, present := have.link(p.Link)
	s := PortState{Link: p.Link, VLAN: p.VLAN, Present: present, Carrier: wire.Carrier}
	if has(wire, p.Fallback) {
		s.Fallback = p.Fallback.Addr().String()
	}
	if !p.Address.IsValid() {
		return s
	}
	s.Wanted = p.Address.String()
	carrier, _ := have.link(p.carrier())
	for _, a := range carrier.Addresses {
		switch {
		case a.Prefix == p.Address:
			s.Address = a.Prefix.String()
		case a.Ours && a.Prefix != p.Fallback:
			s.Leaving = append(s.Leaving, a.Prefix.String())
		}
	}
	if c := m.conflicts[p.Address.Addr()]; c != nil {
		s.Conflict = &Contender{p.Address.Addr().String(), c.mac, c.since}
	}
	if len(p.Routes) > 0 {
		s.Gateway = p.Routes[0].Via.String()
		if g := m.gateways[p.Routes[0].Via]; g != nil {
			last := g.since
			if g.seen.After(last) {
				last = g.seen
			}
			s.Silent = now.Sub(last) > gatewaySilent*m.o.Tick
		}
	}
	return s
}
