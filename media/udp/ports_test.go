package udp

import (
	"math/rand/v2"
	"testing"
	"time"
)

func ports(t *testing.T, min, max uint16, drain time.Duration, reserved int, first uint) *Ports {
	t.Helper()
	p, err := NewPorts(min, max, drain, reserved, first)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPortRange(t *testing.T) {
	for _, tt := range []struct {
		min, max uint16
		want     []uint16 // nil: an error
	}{
		{2000, 2005, []uint16{2000, 2002, 2004}}, {2001, 2005, []uint16{2002, 2004}}, {2000, 2004, []uint16{2000, 2002}},
		{2000, 2001, []uint16{2000}}, {1999, 2001, []uint16{2000}}, {65532, 65535, []uint16{65532, 65534}}, {65533, 65535, []uint16{65534}},
		{2000, 2000, nil}, {2001, 2002, nil}, {65535, 65535, nil}, {0, 0, nil}, {0, 100, nil}, {3000, 2000, nil}, {1, 1, nil},
	} {
		p, err := NewPorts(tt.min, tt.max, 0, 0, 0)
		if tt.want == nil {
			if err == nil {
				t.Errorf("%d–%d: no error", tt.min, tt.max)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d–%d: %v", tt.min, tt.max, err)
			continue
		}
		for _, want := range tt.want {
			if got, ok := p.Take(0, false); !ok || got != want {
				t.Errorf("%d–%d: %d, want %d", tt.min, tt.max, got, want)
			}
		}
		if got, ok := p.Take(0, false); ok {
			t.Errorf("%d–%d: %d beyond the range", tt.min, tt.max, got)
		}
	}
	for _, reserved := range []int{-1, 3, 4} {
		if _, err := NewPorts(2000, 2005, 0, reserved, 0); err == nil {
			t.Errorf("%d of 3 reserved: no error", reserved)
		}
	}
	if _, err := NewPorts(2000, 2005, -1, 0, 0); err == nil {
		t.Error("negative drain: no error")
	}
}

func TestPortsRestAndReserve(t *testing.T) {
	p := ports(t, 2000, 2007, 10*time.Second, 2, 1)
	take := func(now time.Duration, emergency bool, want uint16) {
		t.Helper()
		got, ok := p.Take(now, emergency)
		if got != want || ok != (want != 0) {
			t.Fatalf("at %v: %d %t, want %d", now, got, ok, want)
		}
	}
	take(0, false, 2002)
	take(0, false, 2004)
	take(0, false, 0) // two are left, for emergencies
	take(0, true, 2006)
	p.Give(2002, 5*time.Second)
	p.Give(2002, 5*time.Second) // twice is once
	p.Give(2001, 5*time.Second) // nobody's
	take(14*time.Second, false, 0)
	if used, free, resting := p.Count(14 * time.Second); used != 2 || free != 1 || resting != 1 || p.Len() != 4 {
		t.Errorf("%d used, %d free, %d resting", used, free, resting)
	}
	take(15*time.Second, false, 0) // rested, but now it fills the reserve
	take(15*time.Second, true, 2000)
	take(15*time.Second, true, 2002)
	take(15*time.Second, true, 0)
	p.Give(2004, 16*time.Second)
	p.Give(2000, 17*time.Second)
	take(17*time.Second, false, 0)
	take(17*time.Second, true, 2004) // an emergency does not wait
}

// Any sequence of uses: nobody ever has a pair that another has, none gets lost, and each rests.
func TestPortsAreNeverShared(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := ports(t, 3000, 3199, time.Second, 10, 77)
	held := map[uint16]bool{}
	rested := map[uint16]time.Duration{}
	now := time.Duration(0)
	for range 100_000 {
		now += time.Duration(rnd.IntN(20)) * time.Millisecond
		if rnd.IntN(2) == 0 {
			port, ok := p.Take(now, false)
			if !ok {
				continue
			}
			if held[port] || port%2 != 0 || port < 3000 || port > 3198 {
				t.Fatalf("port %d", port)
			}
			if at, ok := rested[port]; ok && now-at < time.Second {
				t.Fatalf("port %d rested for %v", port, now-at)
			}
			held[port] = true
		} else {
			for port := range held {
				p.Give(port, now)
				rested[port] = now
				delete(held, port)
				break
			}
		}
		if p.Len() != 100 {
			t.Fatalf("%d pairs", p.Len())
		}
	}
	if cap(p.free.items) > 1000 || cap(p.resting.items) > 1000 {
		t.Errorf("queues grew to %d and %d", cap(p.free.items), cap(p.resting.items))
	}
}
