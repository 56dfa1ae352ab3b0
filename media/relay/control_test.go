package relay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// report sends a compound packet from the phone.
func (p *phone) report(from *net.UDPConn, to netip.AddrPort, packets ...rtcp.Packet) {
	p.t.Helper()
	sendFrom(p.t, from, to, p.sealReport(packets...))
}

// sealReport makes a compound packet, sealed if the phone seals.
func (p *phone) sealReport(packets ...rtcp.Packet) []byte {
	p.t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.seal != nil {
		if b, err = p.seal.EncryptRTCP(nil, b, nil); err != nil {
			p.t.Fatal(err)
		}
	}
	return b
}

func (p *phone) readReport(from *net.UDPConn) []rtcp.Packet {
	p.t.Helper()
	b := read(p.t, from)
	if p.open != nil {
		var err error
		if b, err = p.open.DecryptRTCP(nil, b, nil); err != nil {
			p.t.Fatalf("RTCP that arrived does not open: %v", err)
		}
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return packets
}

func name(ssrc uint32, text string) *rtcp.SourceDescription {
	return &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: text}, {Type: rtcp.SDESTool, Text: "phone 1.2"}},
	}}}
}

func rtcpPortOf(l *Leg) netip.AddrPort {
	return netip.AddrPortFrom(l.Local().Addr(), l.Local().Port()+1)
}

// Reports cross between a leg with RTCP on the RTP port and one without, in the terms of each peer's own streams.
func TestReportsAreTranslated(t *testing.T) {
	for _, suites := range [][2]string{
		{"", ""}, {"AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM"}, {"AEAD_AES_128_GCM", "AES_256_CM_HMAC_SHA1_32"}, {"", "AES_CM_128_HMAC_SHA1_80"},
	} {
		t.Run(suites[0]+"→"+suites[1], func(t *testing.T) {
			c := newCall(t, run(t, config()), suites[0], suites[1])
			c.a.stream.Mux = true
			c.set(t)
			c.a.say(c.la, "from a")
			atB := c.b.hears("from a")
			c.b.say(c.lb, "from b")
			atA := c.a.hears("from b")

			// a's sender report, on the RTP port, with a block about what it hears from the box and one about a stranger.
			const ntp = 0x1122334455667788
			c.a.report(c.a.rtp, c.la.Local(), &rtcp.SenderReport{
				SSRC: c.a.ssrc, NTPTime: ntp, RTPTime: c.a.stamp + 400, PacketCount: 1000, OctetCount: 2000,
				Reports: []rtcp.ReceptionReport{
					{SSRC: 12345, FractionLost: 255},
					{SSRC: atA.SSRC, FractionLost: 64, TotalLost: 3, LastSequenceNumber: uint32(atA.SequenceNumber) + 2, Jitter: 7, LastSenderReport: 99, Delay: 5},
				},
			}, name(c.a.ssrc, "alice@192.0.2.7"), &rtcp.Goodbye{Sources: []uint32{c.a.ssrc}})
			got := c.b.readReport(c.b.ctl)
			if len(got) != 2 {
				t.Fatalf("arrived: %v", got)
			}
			sr, ok := got[0].(*rtcp.SenderReport)
			if !ok || sr.SSRC != atB.SSRC || sr.NTPTime != ntp || sr.RTPTime != atB.Timestamp+400 || sr.PacketCount != 1 || sr.OctetCount != 6 {
				t.Fatalf("sender report %v, stream %v", got[0], atB)
			}
			if len(sr.Reports) != 1 {
				t.Fatalf("blocks: %v", sr.Reports)
			}
			if b := sr.Reports[0]; b.SSRC != c.b.ssrc || b.FractionLost != 64 || b.TotalLost != 3 || b.Jitter != 7 || b.LastSenderReport != 0 || b.Delay != 0 ||
				b.LastSequenceNumber != uint32(c.b.sequence)+2 {
				t.Errorf("block %+v, want it about %x, %d", b, c.b.ssrc, c.b.sequence)
			}
			sdes, ok := got[1].(*rtcp.SourceDescription)
			if !ok || len(sdes.Chunks) != 1 || sdes.Chunks[0].Source != atB.SSRC || len(sdes.Chunks[0].Items) != 1 || sdes.Chunks[0].Items[0].Text != c.lb.cname {
				t.Errorf("source description %v", got[1])
			}
			if got := c.la.Stats().PeerLost; got != 0.25 {
				t.Errorf("peer lost %v", got)
			}

			// b answers with a receiver report that quotes it: the round trip of leg b, and the quotation passes on to a.
			time.Sleep(20 * time.Millisecond) // a delay of at least this much must be measured
			c.b.report(c.b.ctl, rtcpPortOf(c.lb), &rtcp.ReceiverReport{SSRC: c.b.ssrc, Reports: []rtcp.ReceptionReport{
				{SSRC: atB.SSRC, LastSequenceNumber: uint32(atB.SequenceNumber), LastSenderReport: 0x33445566, Delay: 65536 / 100},
			}}, name(c.b.ssrc, "bob"))
			got = c.a.readReport(c.a.rtp)
			rr, ok := got[0].(*rtcp.ReceiverReport)
			if !ok || rr.SSRC != atA.SSRC || len(rr.Reports) != 1 {
				t.Fatalf("arrived: %v", got)
			}
			if b := rr.Reports[0]; b.SSRC != c.a.ssrc || b.LastSenderReport != 0x33445566 || b.Delay != 65536/100 || b.LastSequenceNumber != uint32(c.a.sequence) {
				t.Errorf("block %+v", b)
			}
			if rtt := c.lb.Stats().RTT; rtt < 8*time.Millisecond || rtt > patience {
				t.Errorf("round trip %v", rtt)
			}
		})
	}
}

// A sender report of a stream that does not pass here cannot be translated: it becomes a receiver report.
func TestSenderReportBeforeItsStream(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.SenderReport{SSRC: c.a.ssrc, NTPTime: 1}, name(c.a.ssrc, "alice"))
	got := c.b.readReport(c.b.ctl)
	rr, ok := got[0].(*rtcp.ReceiverReport)
	if !ok || rr.SSRC == c.a.ssrc {
		t.Fatalf("arrived: %v", got)
	}
	c.a.say(c.la, "voice")
	if pkt := c.b.hears("voice"); pkt.SSRC != rr.SSRC {
		t.Errorf("stream %x, report %x", pkt.SSRC, rr.SSRC)
	}
}

// RTCP keys change like RTP's; forged and replayed RTCP is refused; RTCP on the RTP port counts only where it was agreed.
func TestControlIsProtected(t *testing.T) {
	c := newCall(t, run(t, config()), "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	c.b.readReport(c.b.ctl)

	stranger := newPhone(t, "AEAD_AES_128_GCM")
	for range 2 { // the first has the index that the phone's had: a replay already by that
		stranger.report(stranger.ctl, rtcpPortOf(c.la), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	}
	eventually(t, "forgery refused", func() bool { st := c.la.Stats(); return st.AuthFailed == 1 && st.Replayed == 1 })
	c.a.report(c.a.rtp, c.la.Local(), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	eventually(t, "RTCP on the RTP port refused", func() bool { st := c.la.Stats(); return st.AuthFailed+st.Dropped == 2 })

	old := c.a.seal
	c.a.rekey("AES_256_CM_HMAC_SHA1_80")
	set(t, c.la, c.a.stream)
	fresh := c.a.seal
	c.a.seal = old
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	c.b.readReport(c.b.ctl)
	c.a.seal = fresh
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	c.b.readReport(c.b.ctl)
}

// RTCP has an address of its own: what comes from elsewhere counts by the rules for RTP, and what signalling names is where reports go.
func TestControlLatches(t *testing.T) {
	for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80"} {
		c := newCall(t, run(t, config()), suite, "AEAD_AES_128_GCM")
		c.set(t)
		about := func(p *phone) rtcp.Packet { return &rtcp.ReceiverReport{SSRC: p.ssrc} }
		c.a.report(c.a.ctl, rtcpPortOf(c.la), about(c.a))
		c.b.readReport(c.b.ctl)
		moved := listen(t)
		if suite == "" { // another host, for plain RTP knows no ports
			c.a.stream.Remote, c.a.stream.RemoteRTCP = netip.MustParseAddrPort("127.0.0.2:4000"), netip.MustParseAddrPort("127.0.0.2:4001")
			set(t, c.la, c.a.stream)
			c.a.report(c.a.ctl, rtcpPortOf(c.la), about(c.a))
		} else {
			c.a.report(moved, rtcpPortOf(c.la), about(c.a)) // the phone itself, once
			c.b.readReport(c.b.ctl)
			c.b.report(c.b.ctl, rtcpPortOf(c.lb), about(c.b))
			c.a.readReport(moved)
			c.a.report(listen(t), rtcpPortOf(c.la), about(c.a))
		}
		eventually(t, "refused", func() bool { return c.relay.Counts().Drops["stranger"] == 1 })

		named := listen(t)
		c.a.stream.Remote, c.a.stream.RemoteRTCP = addrOf(c.a.rtp), addrOf(named)
		set(t, c.la, c.a.stream)
		c.b.report(c.b.ctl, rtcpPortOf(c.lb), about(c.b))
		c.a.readReport(named)
		again := listen(t)
		c.a.stream.RemoteRTCP = addrOf(again) // nothing but the address for RTCP is another
		set(t, c.la, c.a.stream)
		c.b.report(c.b.ctl, rtcpPortOf(c.lb), about(c.b))
		c.a.readReport(again)
	}
}
