package netcfg

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"holdfast/firmware/config"
)

// Somebody who claims every address of the link-local network costs the box neither its time nor its memory.
func TestFallbackGreed(t *testing.T) {
	m := New(config.Network{}, Options{Log: slog.New(slog.DiscardHandler)})
	mac, seen := [6]byte{2, 0, 0, 0, 0, 1}, make(map[netip.Addr]bool)
	have := Have{Links: []Link{{Index: 7, Name: "none0", MAC: mac, Wired: true, Up: true, Carrier: true}}}
	now := time.Now()
	for n := range 100 {
		p := m.fallback(config.Network{}, have)
		if !fallbackNetwork.Contains(p.Addr()) || p.Bits() != 16 || p.Addr().As4()[2] == 0 || p.Addr().As4()[2] == 255 {
			t.Fatalf("candidate %s", p)
		}
		seen[p.Addr()] = true
		m.contested(p.Addr(), "02:09:09:09:09:09", n%2 == 0, now)
		m.tried[p.Addr()] = now
		m.moveOn(now)
	}
	if len(seen) < 90 {
		t.Errorf("%d different addresses were tried", len(seen))
	}
	step := Step{Kind: AddAddress, Link: "none0", Address: m.fallback(config.Network{}, have), Claim: true}
	if err := m.do(t.Context(), have, step); !errors.Is(err, errLater) {
		t.Errorf("no rest after %d conflicts: %v", m.fallbacks, err)
	}
	m.movedOn = now.Add(-2 * fallbackEvery)
	if err := m.do(t.Context(), have, step); err == nil || errors.Is(err, errLater) { // there is no such interface
		t.Errorf("it never tries again: %v", err)
	}
	m.forget(now.Add(2 * conflictOver))
	if len(m.conflicts) > 0 || len(m.tried) > 0 {
		t.Errorf("%d conflicts and %d tries are remembered", len(m.conflicts), len(m.tried))
	}
}

// The name of the phones' interface is wrong, or its adapter is out: the fallback address is on a wire that is there, and goes to the right
// one when that comes.
func TestFallbackWithoutThePhonesWire(t *testing.T) {
	n := config.Network{Interface: "eth7", Address: ours.Prefix, Gateway: router.Via}
	both := n
	both.SBC = config.SBCNetwork{Interface: "eth1", Address: sbc.Address}
	late := Link{Index: 9, Name: "eth7", Wired: true, Up: true, Carrier: true}
	for name, c := range map[string]struct {
		settings config.Network
		links    []Link
		plan     []string
	}{
		"a wrong name":           {n, []Link{{Index: 2, Name: "eth0", Wired: true}}, []string{"switch eth0 on", "add 169.254.9.11/16 to eth0"}},
		"there it stays":         {n, []Link{on(up, lost)}, nil},
		"the SBC's wire is left": {both, []Link{on(another, Address{sbc.Address, true})}, []string{"add 169.254.9.11/16 to eth1"}},
		"no wire at all":         {n, []Link{{Index: 1, Name: "lo", Up: true}}, nil},
		"the adapter comes": {n, []Link{on(up, lost), late},
			[]string{"add 10.0.0.5/24 to eth7", "add route to 0.0.0.0/0 via 10.0.0.1", "add 169.254.9.11/16 to eth7", "remove 169.254.9.11/16 from eth0"}},
	} {
		m := New(c.settings, Options{Log: slog.New(slog.DiscardHandler)})
		have := Have{Links: c.links}
		var got []string
		for _, s := range Plan(have, wants(c.settings, have, m.fallback(c.settings, have))) {
			got = append(got, s.String())
		}
		if !slices.Equal(got, c.plan) {
			t.Errorf("%s: %q, want %q", name, got, c.plan)
		}
	}
}
