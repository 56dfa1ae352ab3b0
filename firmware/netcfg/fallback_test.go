package netcfg

import (
	"errors"
	"log/slog"
	"net/netip"
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
