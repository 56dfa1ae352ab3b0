package relay

import (
	"net/netip"
	"testing"

	"github.com/pion/rtcp"
)

// A peer that cannot be reached costs its packets, which are counted, and nothing else: the other direction goes on, and so does the call
// when the peer turns up.
func TestUnreachablePeer(t *testing.T) {
	for _, shared := range []bool{false, true} {
		suite := "AES_CM_128_HMAC_SHA1_80"
		c := newCall(t, run(t, sharedConfig()), suite, suite)
		if shared {
			c = sharing(t, run(t, sharedConfig()), suite)
		}
		defer c.session.Close()
		c.set(t)
		away := c.b.stream
		away.Remote, away.RemoteRTCP = netip.MustParseAddrPort("240.0.0.1:5000"), netip.MustParseAddrPort("240.0.0.1:5001") // RFC 1112 §4: no route
		set(t, c.lb, away)
		for range 5 {
			c.a.say(c.la, "anybody there?")
		}
		eventually(t, "counted", func() bool { return c.lb.Stats().SendErrors == 5 && c.relay.Counts().SendErrors == 5 })
		c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.SenderReport{SSRC: c.a.ssrc})
		eventually(t, "counted", func() bool { return c.lb.Stats().SendErrors == 6 })
		c.b.say(c.lb, "here I am") // from elsewhere, and authentic
		c.a.hears("here I am")
		c.a.say(c.la, "there you are")
		c.b.hears("there you are")
		if st := c.lb.Stats(); st.SendErrors != 6 || st.Dropped != 0 {
			t.Errorf("shared %v: %+v", shared, st)
		}
	}
}
