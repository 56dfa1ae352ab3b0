package relay

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

func TestLatch(t *testing.T) {
	sdp, one, two := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("192.0.2.2:5000"), netip.MustParseAddrPort("192.0.2.3:6000")
	otherPort := netip.MustParseAddrPort("192.0.2.1:9999")
	type step struct {
		at    time.Duration
		from  netip.AddrPort
		admit bool
		now   netip.AddrPort // where the box sends afterwards
	}
	tests := []struct {
		name  string
		fixed bool
		steps []step
	}{
		{"the negotiated address", false, []step{{1, sdp, true, sdp}, {2, sdp, true, sdp}}},
		{"moves once", false, []step{{1, sdp, true, sdp}, {2, one, true, one}, {3, two, false, one}, {4, sdp, false, one}, {5, one, true, one}}},
		{"moves again after silence", false, []step{
			{0, one, true, one}, {relatch - 1, two, false, one}, {relatch, two, true, two}, {relatch + 1, one, false, two}, {2*relatch + 1, one, true, one},
		}},
		{"silence begins with the last packet", false, []step{{0, one, true, one}, {3 * time.Second, one, true, one}, {relatch + 1, two, false, one}}},
		{"a configured address never moves", true, []step{{1, sdp, true, sdp}, {2, one, false, sdp}, {time.Hour, two, false, sdp}, {time.Hour, otherPort, true, sdp}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var k latch
			e := &endpoint{turn: 1, fixed: tt.fixed}
			for i, s := range tt.steps {
				k.follow(1, sdp)
				before := k
				ok := k.admits(e, s.from, s.at)
				if k != before {
					t.Fatal("a packet that has not authenticated changed something")
				}
				if ok != s.admit {
					t.Fatalf("step %d: admitted %t", i, ok)
				}
				if ok {
					k.authenticated(e, s.from, s.at)
				}
				if k.at != s.now {
					t.Fatalf("step %d: sends to %v, want %v", i, k.at, s.now)
				}
			}
			k.follow(2, two)
			if k.at != two || k.moved {
				t.Error("a new address from signalling did not start over")
			}
			k.follow(1, sdp) // an older route, still in somebody's hands
			if k.at != two {
				t.Error("an older route moved the latch back")
			}
		})
	}
}

func TestSpoofedSourcesChangeNothing(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM")
	c.set(t)
	attacker := newPhone(t, "AES_CM_128_HMAC_SHA1_32")
	c.a.say(c.la, "hello")
	c.b.hears("hello")
	recorded := c.a.next(0, "recorded", false)
	c.a.send(c.la, recorded)
	c.b.hears("recorded")
	// With a key of its own, with a recording, and with the phone's packet changed.
	for range 20 {
		attacker.ssrc, attacker.sequence = c.a.ssrc, c.a.sequence+1
		attacker.say(c.la, "spoofed")
		attacker.send(c.la, recorded)
		changed := bytes.Clone(c.a.next(0, "changed", false))
		changed[14]++
		attacker.send(c.la, changed)
	}
	eventually(t, "all refused", func() bool { st := c.la.Stats(); return st.AuthFailed == 40 && st.Replayed == 20 })
	c.b.say(c.lb, "for a only")
	c.a.hears("for a only")
	c.a.say(c.la, "goes on")
	c.b.hears("goes on")

	// The phone itself may come from elsewhere, once.
	moved := listen(t)
	sendFrom(t, moved, c.la.Local(), c.a.next(0, "from elsewhere", false))
	c.b.hears("from elsewhere")
	c.b.say(c.lb, "to elsewhere")
	if b, err := c.a.open.DecryptRTP(nil, read(t, moved), nil); err != nil || string(b[12:]) != "to elsewhere" {
		t.Errorf("%q, %v", b, err)
	}
	sendFrom(t, listen(t), c.la.Local(), c.a.next(0, "from a third place", false))
	eventually(t, "refused", func() bool { return c.relay.Counts().Drops["stranger"] == 1 })
	c.b.say(c.lb, "to elsewhere again")
	read(t, moved)
}

func TestPlainNeverLatches(t *testing.T) {
	c := newCall(t, run(t, config()), "", "")
	c.a.stream.FixedSource = false // even if the caller forgets to say so
	c.set(t)
	c.a.say(c.la, "hello")
	c.b.hears("hello")
	// Another port of the same host may speak, but hears nothing: the configured address stays.
	sendFrom(t, listen(t), c.la.Local(), c.a.next(0, "from another port", false))
	c.b.hears("from another port")
	c.b.say(c.lb, "for a")
	c.a.hears("for a")
	// Another host may not.
	c.a.stream.Remote = netip.MustParseAddrPort("127.0.0.2:4000")
	set(t, c.la, c.a.stream)
	c.a.say(c.la, "from another host")
	eventually(t, "refused", func() bool { return c.relay.Counts().Drops["stranger"] == 1 })
}
