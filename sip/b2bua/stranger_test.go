package b2bua

import (
	"net/netip"
	"testing"
	"time"
)

// TestStrangersAreFew: one phone that nobody knows may call for help a few times, a whole floor behind one address some more, and
// no address takes another's.
func TestStrangersAreFew(t *testing.T) {
	var s strangers
	now := time.Unix(0, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	count := func(addr netip.Addr, flows ...uint64) (n int) {
		for range 100 {
			for _, f := range flows {
				if s.allow(origin{addr: addr, flow: f}, now) {
					n++
				}
			}
		}
		return n
	}
	if n := count(a, 1); n != strangerBurst {
		t.Errorf("%d calls of one connection", n)
	}
	if n := count(a, 2, 3, 4, 5, 6); n != sourceBurst-strangerBurst {
		t.Errorf("%d calls of the others at its address", n)
	}
	if n := count(b, 7); n != strangerBurst {
		t.Errorf("%d calls of another address", n)
	}
	if n := count(netip.MustParseAddr("192.0.2.3"), 0); n != sourceBurst {
		t.Errorf("%d calls of a gateway without connections", n)
	}
	if c := (origin{addr: netip.MustParseAddr("192.0.2.4"), line: "u1"}); !s.allow(c, now) || s.seen[c].n != 1 {
		t.Errorf("a line of a gateway: %+v", s.seen[c])
	}
	now = now.Add(2 * strangerEvery)
	if n := count(a, 1, 2); n != 2 {
		t.Errorf("%d calls after a while", n)
	}
	now = now.Add(time.Hour)
	if n := count(a, 1); n != strangerBurst {
		t.Errorf("%d calls after long", n)
	}
	for i := range uint64(10 * strangersKept) { // an attack from everywhere refuses nobody else
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if !s.allow(origin{addr: addr, flow: i + 100}, now) || len(s.seen) > strangersKept {
			t.Fatalf("call %d, %d kept", i, len(s.seen))
		}
	}
}
