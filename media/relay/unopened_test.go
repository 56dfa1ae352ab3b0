package relay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"holdfast/media/udp"
)

func TestUnopened(t *testing.T) {
	const s = time.Second
	type look struct {
		now            time.Duration
		opened, missed uint64
		want           uint64 // packets; 0: nothing is due
	}
	for name, looks := range map[string][]look{
		"none opens":                 {{11 * s, 0, 40, 0}, {15*s - 1, 0, 200, 0}, {15 * s, 0, 250, 250}},
		"too few":                    {{20 * s, 0, 49, 0}, {60 * s, 0, 50, 50}},
		"one opens now and then":     {{14 * s, 1, 200, 0}, {18 * s, 2, 400, 0}, {22 * s, 3, 600, 0}, {26 * s, 3, 649, 0}, {27 * s, 3, 650, 50}},
		"they opened, and no longer": {{30 * s, 900, 0, 0}, {34 * s, 900, 200, 0}, {35 * s, 900, 250, 250}},
		"nothing comes":              {{time.Hour, 0, 0, 0}},
		"it came to an end":          {{30 * s, 900, 30, 0}, {time.Hour, 900, 79, 0}},
	} {
		var u unopened
		u.arm(10*s, 0, 0)
		for _, l := range looks {
			packets, length, ok := u.due(l.now, l.opened, l.missed)
			if ok != (l.want > 0) || ok && (packets != l.want || length < unopenedFor) {
				t.Errorf("%s: at %v %d packets for %v, due %v; want %d", name, l.now, packets, length, ok, l.want)
			}
		}
		u.reported = true
		if _, _, ok := u.due(24*time.Hour, 5000, 100000); ok {
			t.Errorf("%s: due again", name)
		}
		if _, _, ok := u.due(25*time.Hour, 5000, 200000); ok {
			t.Errorf("%s: due again", name)
		}
	}
}

// TestUnopenedIsReported: of a peer whose reports open, and whose RTP does not, the call hears, once; and only of that.
func TestUnopenedIsReported(t *testing.T) {
	elsewhere := netip.MustParseAddrPort("127.0.0.99:4000")
	for name, c := range map[string]struct {
		from   netip.AddrPort // zero: the peer
		rights int            // good packets among them
		held   bool           // the peer is not to send
		rekeys bool           // and now to send with the key that it uses
		told   bool
	}{
		"another key":                   {told: true},
		"from another port":             {from: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 4000), told: true},
		"a stranger's":                  {from: elsewhere},
		"beside what opens":             {rights: 30},
		"of a peer that is on hold":     {held: true},
		"of a peer whose key is mended": {rekeys: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, call := c, newCall(t, newRelay(t, config()), "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
			defer call.session.Close()
			call.a.stream.FromPeer, call.b.stream.FromPeer = !c.held, false
			call.set(t)
			wrong := newPhone(t, "AES_CM_128_HMAC_SHA1_80")
			if !c.from.IsValid() {
				c.from = call.a.stream.Remote
			}
			buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
			now, step := call.relay.now(), 20*time.Millisecond
			for n := range 6 * 50 {
				now += step
				rtpPort{call.la}.Receive(buffer[:copy(buffer, wrong.next(0, "what?", false))], c.from, now)
				if c.rights > 0 && n%(6*50/c.rights) == 0 {
					rtpPort{call.la}.Receive(buffer[:copy(buffer, call.a.next(0, "yes", false))], call.a.stream.Remote, now)
				}
				if n%50 == 0 { // it is there, to all appearances
					rtcpPort{call.la}.Receive(buffer[:copy(buffer, call.a.sealReport(&rtcp.ReceiverReport{SSRC: call.a.ssrc}))], call.a.stream.RemoteRTCP, now)
				}
				if n%25 == 0 {
					call.session.look(now)
				}
				if n == 100 && c.rekeys {
					call.a.stream.Recv = wrong.stream.Recv
					set(t, call.la, call.a.stream)
				}
			}
			now += step
			call.session.look(now)
			call.session.look(now + time.Minute/2) // and not again; silence is not due yet
			if st := call.la.Stats(); st.AuthFailed == 0 {
				t.Fatalf("all is well: %+v", st)
			}
			if n := len(call.session.events); n != map[bool]int{true: 1}[c.told] {
				t.Fatalf("%d events: %+v", n, call.la.Stats())
			}
			if c.told {
				if e := <-call.session.Events(); e.Leg != call.la || e.Silent || e.Unopened < unopenedLeast || e.For < unopenedFor {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}
