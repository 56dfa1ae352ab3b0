package netcfg

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"holdfast/firmware/config"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

var (
	ours    = Address{prefix("10.0.0.5/24"), true}
	theirs  = Address{prefix("10.0.0.5/24"), false}
	lost    = Address{prefix("169.254.9.11/16"), true}
	router  = Route{everything, addr("10.0.0.1")}
	phones  = Port{Link: "eth0", Address: ours.Prefix, Routes: []Route{router}, Fallback: lost.Prefix}
	tagged  = Port{Link: "eth0", VLAN: 20, Address: ours.Prefix, Routes: []Route{router}, Fallback: lost.Prefix}
	sbc     = Port{Link: "eth1", Address: prefix("10.0.1.5/24"), Routes: []Route{{prefix("10.9.0.0/16"), addr("10.0.1.1")}}}
	up      = Link{Index: 2, Name: "eth0", Wired: true, Up: true, Carrier: true}
	another = Link{Index: 3, Name: "eth1", Wired: true, Up: true, Carrier: true}
)

func on(l Link, addresses ...Address) Link {
	l.Addresses = addresses
	return l
}

func TestPlan(t *testing.T) {
	ourRoute := HaveRoute{router, ours.Prefix.Addr(), 2, true}
	vlan := Link{Index: 5, Name: "vlan20", Up: true, Parent: 2, VLAN: 20, Ours: true, Addresses: []Address{ours}}
	for name, c := range map[string]struct {
		have Have
		want Want
		plan []string
	}{
		"a new box": {Have{Links: []Link{{Index: 2, Name: "eth0"}}}, Want{[]Port{phones}},
			[]string{"switch eth0 on", "add 10.0.0.5/24 to eth0", "add route to 0.0.0.0/0 via 10.0.0.1", "add 169.254.9.11/16 to eth0"}},
		"all is there": {Have{Links: []Link{on(up, ours, lost)}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{phones}}, nil},
		"the machine's own address and route stay": {Have{Links: []Link{on(up, Address{prefix("192.168.1.2/24"), false}, ours, lost)},
			Routes: []HaveRoute{ourRoute, {Route{prefix("10.5.0.0/16"), addr("10.0.0.9")}, netip.Addr{}, 2, false}}}, Want{[]Port{phones}}, nil},
		"somebody else gave us the address": {Have{Links: []Link{on(up, theirs, lost)}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{phones}}, nil},
		"the adapter is not there":          {Have{}, Want{[]Port{phones}}, nil},
		"another address": {Have{Links: []Link{on(up, Address{prefix("10.0.0.4/24"), true}, lost)}, Routes: []HaveRoute{{router, addr("10.0.0.4"), 2, true}}}, Want{[]Port{phones}},
			[]string{"add 10.0.0.5/24 to eth0", "change route to 0.0.0.0/0 to via 10.0.0.1", "remove 10.0.0.4/24 from eth0"}},
		"another address while calls run": {Have{Links: []Link{on(up, Address{prefix("10.0.0.4/24"), true}, ours, lost)}, Routes: []HaveRoute{ourRoute},
			InUse: map[netip.Addr]bool{addr("10.0.0.4"): true}}, Want{[]Port{phones}}, nil},
		"another gateway": {Have{Links: []Link{on(up, ours, lost)}, Routes: []HaveRoute{{Route{everything, addr("10.0.0.9")}, ours.Prefix.Addr(), 2, true}}}, Want{[]Port{phones}},
			[]string{"change route to 0.0.0.0/0 to via 10.0.0.1"}},
		"no gateway any more": {Have{Links: []Link{on(up, ours, lost)}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{{Link: "eth0", Address: ours.Prefix, Fallback: lost.Prefix}}},
			[]string{"remove route to 0.0.0.0/0 via 10.0.0.1"}},
		"a larger network, same address": {Have{Links: []Link{on(up, Address{prefix("10.0.0.5/25"), true}, lost)}, Routes: []HaveRoute{ourRoute},
			InUse: map[netip.Addr]bool{ours.Prefix.Addr(): true}}, Want{[]Port{phones}},
			[]string{"add 10.0.0.5/24 to eth0", "remove 10.0.0.5/25 from eth0"}},
		"nothing but the fallback": {Have{Links: []Link{on(up, ours)}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{{Link: "eth0", Fallback: lost.Prefix}}},
			[]string{"add 169.254.9.11/16 to eth0", "remove route to 0.0.0.0/0 via 10.0.0.1", "remove 10.0.0.5/24 from eth0"}},
		"a tag": {Have{Links: []Link{on(up, ours, lost)}, Routes: []HaveRoute{ourRoute}, InUse: map[netip.Addr]bool{ours.Prefix.Addr(): true}}, Want{[]Port{tagged}},
			[]string{"add VLAN 20 on eth0", "switch vlan20 on", "add 10.0.0.5/24 to vlan20", "change route to 0.0.0.0/0 to via 10.0.0.1", "remove 10.0.0.5/24 from eth0"}},
		"tagged": {Have{Links: []Link{on(up, lost), vlan}, Routes: []HaveRoute{{router, ours.Prefix.Addr(), 5, true}}}, Want{[]Port{tagged}}, nil},
		"no tag any more": {Have{Links: []Link{on(up, lost), vlan}, Routes: []HaveRoute{{router, ours.Prefix.Addr(), 5, true}}}, Want{[]Port{phones}},
			[]string{"add 10.0.0.5/24 to eth0", "change route to 0.0.0.0/0 to via 10.0.0.1", "remove 10.0.0.5/24 from vlan20", "remove VLAN interface vlan20"}},
		"the tag on another wire": {Have{Links: []Link{on(up, lost), another, {Index: 5, Name: "vlan20", Up: true, Parent: 3, VLAN: 20, Ours: true}}}, Want{[]Port{tagged}},
			[]string{"remove VLAN interface vlan20", "add VLAN 20 on eth0", "switch vlan20 on", "add 10.0.0.5/24 to vlan20", "add route to 0.0.0.0/0 via 10.0.0.1"}},
		"somebody else's VLAN stays": {Have{Links: []Link{on(up, lost, ours), {Index: 5, Name: "vlan30", Up: true, Parent: 2, VLAN: 30}}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{phones}}, nil},
		"two wires": {Have{Links: []Link{on(up, ours, lost), {Index: 3, Name: "eth1"}}, Routes: []HaveRoute{ourRoute}}, Want{[]Port{phones, sbc}},
			[]string{"switch eth1 on", "add 10.0.1.5/24 to eth1", "add route to 10.9.0.0/16 via 10.0.1.1"}},
		"one wire again": {Have{Links: []Link{on(up, ours, lost), on(another, Address{sbc.Address, true})}, Routes: []HaveRoute{ourRoute, {sbc.Routes[0], addr("10.0.1.5"), 3, true}}}, Want{[]Port{phones}},
			[]string{"remove route to 10.9.0.0/16 via 10.0.1.1", "remove 10.0.1.5/24 from eth1"}},
	} {
		var got []string
		for _, s := range Plan(c.have, c.want) {
			got = append(got, s.String())
			if claimed := s.Kind == AddAddress && s.Claim; claimed && (name == "a larger network, same address") {
				t.Errorf("%s: %s asks for what is ours", name, s)
			}
		}
		if !slices.Equal(got, c.plan) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.plan)
		}
	}
}

// model is a kernel that does as it is told.
type model struct{ Have }

func (m *model) link(name string) *Link {
	i := slices.IndexFunc(m.Links, func(l Link) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Links[i]
}

func (m *model) apply(t *testing.T, s Step) {
	l := m.link(s.Link)
	if l == nil {
		t.Fatalf("%s: no such interface", s)
	}
	sameTo := func(r HaveRoute) bool { return r.To == s.Route.To }
	switch s.Kind {
	case LinkUp:
		l.Up = true
	case AddVLAN:
		if m.link(vlanName(s.VLAN)) != nil {
			t.Fatalf("%s: it is there", s)
		}
		m.Links = append(m.Links, Link{Index: 10 + s.VLAN, Name: vlanName(s.VLAN), Parent: l.Index, VLAN: s.VLAN, Ours: true, Carrier: true})
	case RemoveVLAN:
		if !l.Ours {
			t.Fatalf("%s: it is not ours", s)
		}
		m.Routes = slices.DeleteFunc(m.Routes, func(r HaveRoute) bool { return r.Link == l.Index })
		m.Links = slices.DeleteFunc(m.Links, func(x Link) bool { return x.Name == s.Link })
	case AddAddress:
		l.Addresses = append(slices.Clone(l.Addresses), Address{s.Address, true})
	case RemoveAddress:
		l.Addresses = slices.DeleteFunc(slices.Clone(l.Addresses), func(a Address) bool {
			if a.Prefix == s.Address && !a.Ours {
				t.Fatalf("%s: it is not ours", s)
			}
			return a.Prefix == s.Address
		})
	case AddRoute:
		if slices.ContainsFunc(m.Routes, sameTo) {
			t.Fatalf("%s: it is there", s)
		}
		m.Routes = append(m.Routes, HaveRoute{s.Route, s.Source, l.Index, true})
	case ReplaceRoute, RemoveRoute:
		i := slices.IndexFunc(m.Routes, sameTo)
		if i >= 0 && !m.Routes[i].Ours {
			t.Fatalf("%s: it is not ours", s)
		}
		if i >= 0 { // it may have gone with its interface
			m.Routes = slices.Delete(m.Routes, i, i+1)
		}
		if s.Kind == ReplaceRoute {
			m.Routes = append(m.Routes, HaveRoute{s.Route, s.Source, l.Index, true})
		}
	}
}

// From any settings to any others: one plan is enough, the next is empty, and what is not ours is as it was.
func TestPlanConverges(t *testing.T) {
	foreign := Address{prefix("192.168.7.7/24"), false}
	all := []config.Network{{},
		{Interface: "eth0", Address: prefix("10.0.0.5/24"), Gateway: addr("10.0.0.1")},
		{Interface: "eth0", Address: prefix("10.0.0.6/24"), Gateway: addr("10.0.0.2")},
		{Interface: "eth1", Address: prefix("10.0.0.5/24")},
		{Interface: "eth0", Address: prefix("10.0.0.5/16"), VLAN: 20, Gateway: addr("10.0.0.1")},
		{Interface: "eth1", Address: prefix("10.0.0.5/24"), VLAN: 20, Gateway: addr("10.0.0.1")},
		{Interface: "eth0", Address: prefix("10.0.0.5/24"), VLAN: 30, Gateway: addr("10.0.0.1"),
			SBC: config.SBCNetwork{Interface: "eth1", Address: prefix("10.0.1.5/24"), Gateway: addr("10.0.1.1"), Networks: []netip.Prefix{prefix("10.9.0.0/16"), prefix("10.8.0.0/16")}}},
		{Interface: "eth1", Address: prefix("10.0.1.5/24"), Gateway: addr("10.0.1.1"),
			SBC: config.SBCNetwork{Interface: "eth0", Address: prefix("10.0.0.5/24"), Gateway: addr("10.0.0.1"), Networks: []netip.Prefix{prefix("10.9.0.0/16")}}},
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		m := &model{Have{Links: []Link{on(up, foreign), on(another)}}}
		for range 6 {
			n := all[random.IntN(len(all))]
			m.InUse = nil
			if random.IntN(2) == 0 {
				m.InUse = map[netip.Addr]bool{addr("10.0.0.5"): true}
			}
			want := wants(n, m.Have, lost.Prefix)
			for _, s := range Plan(m.Have, want) {
				m.apply(t, s)
			}
			if again := Plan(m.Have, want); len(again) > 0 {
				t.Fatalf("seed %d: %+v: the second plan is %v", seed, n, again)
			}
			if m.InUse == nil && n.Address.IsValid() && !has(*m.link(want.Ports[0].carrier()), n.Address) {
				t.Fatalf("seed %d: %+v: no address: %+v", seed, n, m.Links)
			}
			if l := m.link("eth0"); !slices.Contains(l.Addresses, foreign) {
				t.Fatalf("seed %d: %+v took somebody else's address: %+v", seed, n, l)
			}
		}
	}
}

func TestBoundAddresses(t *testing.T) {
	table := "  sl  local_address rem_address   st\n 1: 0500000A:4E20 00000000:0000 07 00\n 2: 00000000:0035 00000000:0000 07\nrubbish\n 3: zz:1 0 0\n"
	got := boundAddresses(table)
	if len(got) != 1 || !got[addr("10.0.0.5")] {
		t.Error(got)
	}
}

func TestFallbackCandidates(t *testing.T) {
	seen := make(map[netip.Prefix]bool)
	for n := range 200 {
		p := fallback([6]byte{2, 0, 0, 0, 0, 1}, n)
		b := p.Addr().As4()
		if !fallbackNetwork.Contains(p.Addr()) || b[2] == 0 || b[2] == 255 || p.Bits() != 16 {
			t.Fatalf("%d: %s", n, p)
		}
		seen[p] = true
	}
	if len(seen) < 190 {
		t.Errorf("%d different of 200", len(seen))
	}
}

func FuzzARP(f *testing.F) {
	f.Add(probe([6]byte{2, 0, 0, 0, 0, 1}, addr("10.0.0.5")).marshal())
	f.Add(announcement([6]byte{2, 0, 0, 0, 0, 1}, addr("10.0.0.5")).marshal())
	f.Add([]byte("\x00\x01\x08\x00\x06\x04\x00\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseARP(b)
		if err != nil {
			return
		}
		if got := p.marshal(); !slices.Equal(got, b[:arpSize]) {
			t.Errorf("%x became %x", b[:arpSize], got)
		}
	})
}

// Who has an address, and who only looks: RFC 5227 §2.1.1 and §2.4.
func TestARPMeaning(t *testing.T) {
	me, other, a := [6]byte{2, 0, 0, 0, 0, 1}, [6]byte{2, 0, 0, 0, 0, 2}, addr("10.0.0.5")
	for name, c := range map[string]struct {
		p               arp
		taken, contests bool
	}{
		"its owner answers":         {arp{arpReply, other, a, me, unspecified}, true, true},
		"its owner announces":       {announcement(other, a), true, true},
		"its owner asks another":    {arp{arpRequest, other, a, [6]byte{}, addr("10.0.0.1")}, true, true},
		"another probes for it":     {probe(other, a), true, false},
		"we probe":                  {probe(me, a), false, false},
		"we announce":               {announcement(me, a), false, false},
		"somebody asks us":          {arp{arpRequest, other, addr("10.0.0.9"), [6]byte{}, a}, false, false},
		"another probes another":    {probe(other, addr("10.0.0.6")), false, false},
		"somebody answers a prober": {arp{arpReply, other, addr("10.0.0.9"), other, a}, false, false},
	} {
		if got := c.p.taken(me, a); got != c.taken {
			t.Errorf("%s: taken = %t", name, got)
		}
		if got := c.p.contests(me, a); got != c.contests {
			t.Errorf("%s: contests = %t", name, got)
		}
	}
}
