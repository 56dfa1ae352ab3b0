package relay

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"holdfast/media/udp"
)

// A long call that is transferred: the phone that stays hears one stream over the roll-over of its sequence numbers (RFC 3711
// §3.3.1), whoever feeds it, and under the next key it goes on. Nothing is lost, nothing comes twice, the time line never goes back.
func TestRollOverAcrossATransfer(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		if racing && suite != "AEAD_AES_128_GCM" {
			continue // with the race detector, one takes long enough
		}
		t.Run(suite, func(t *testing.T) {
			c := newCall(t, newRelay(t, config()), suite, "AES_CM_128_HMAC_SHA1_32")
			defer c.session.Close()
			third := newPhone(t, suite)
			lt := addLeg(t, c.session, Access)
			c.set(t)
			set(t, lt, third.stream)
			l := &longCall{t: t, a: c.a, buffer: make([]byte, udp.MaxPacket+udp.TailRoom), now: time.Second}

			c.b.sequence = 65_000 // that of the source rolls over early
			l.talk(c.b, c.lb, 30_000)
			c.session.Connect(c.la, lt) // the transfer: another party, another source, another sequence
			l.talk(third, lt, 40_000)   // 65,536 and more
			if l.turns == 0 {
				t.Fatal("no roll-over yet")
			}
			ssrc := l.ssrc
			c.a.rekey(suite) // the re-INVITE of the transfer brings the one who stays fresh keys
			set(t, c.la, c.a.stream)
			l.fresh = true
			l.talk(third, lt, 1000)
			if l.ssrc == ssrc {
				t.Error("the stream kept its SSRC though its sequence had rolled over under the old key: peers do not agree on what that means")
			}
			c.session.Connect(c.la, c.lb) // and back again
			l.talk(c.b, c.lb, 1000)
			// The other way: the phone's own sequence rolls over, and then it changes its key.
			c.a.sequence = 65_520
			for range 3 {
				c.a.rekey(suite)
				set(t, c.la, c.a.stream)
				for range 20 {
					pkt := l.buffer[:copy(l.buffer, c.a.next(0, "back", false))]
					rtpPort{c.la}.Receive(pkt, c.a.stream.Remote, l.now)
					c.b.hears("back")
				}
			}
			for _, leg := range []*Leg{c.la, c.lb, lt} {
				if st := leg.Stats(); st.AuthFailed+st.Replayed+st.Dropped+st.SendErrors > 0 || st.RxLost > 0 {
					t.Errorf("%+v", st)
				}
			}
		})
	}
}

// longCall is what one phone hears.
type longCall struct {
	t        *testing.T
	a        *phone
	buffer   []byte
	now      time.Duration
	fresh    bool // a new SSRC may come
	started  bool
	ssrc     uint32
	sequence uint16
	stamp    uint32
	turns    int
}

// talk sends packets straight into the leg's port, as the loop would, and listens to each.
func (l *longCall) talk(from *phone, leg *Leg, packets int) {
	l.t.Helper()
	for range packets {
		l.now += 20 * time.Millisecond
		pkt := l.buffer[:copy(l.buffer, from.next(0, "voice", false))]
		rtpPort{leg}.Receive(pkt, from.stream.Remote, l.now)
		got := l.a.hear()
		if !l.started || l.fresh && got.SSRC != l.ssrc {
			l.started, l.fresh, l.ssrc, l.sequence, l.stamp = true, false, got.SSRC, got.SequenceNumber-1, got.Timestamp-1
		}
		if got.SSRC != l.ssrc || got.SequenceNumber != l.sequence+1 || int32(got.Timestamp-l.stamp) <= 0 {
			l.t.Fatalf("%v after %x/%d/%d", got, l.ssrc, l.sequence, l.stamp)
		}
		if got.SequenceNumber == 0 {
			l.turns++
		}
		l.sequence, l.stamp = got.SequenceNumber, got.Timestamp
	}
}

// A phone begins just before its sequence numbers roll over, and its first packets come before the box has its key: no later packet says
// that there was a roll-over, and without a guess nobody would ever hear the phone.
func TestFirstPacketsLostBeforeTheRollOver(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		for _, first := range []uint16{0, 7, 1<<15 - 5} {
			for _, report := range []bool{false, true} { // RTCP has its index with it, and may be the first that opens
				c := newCall(t, newRelay(t, config()), suite, "AES_CM_128_HMAC_SHA1_80")
				c.set(t)
				buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
				c.a.seal.SetROC(c.a.ssrc, 1)
				c.a.sequence = first - 1
				receive := func(pkt []byte) {
					rtpPort{c.la}.Receive(buffer[:copy(buffer, pkt)], c.a.stream.Remote, time.Second)
				}
				if report {
					rtcpPort{c.la}.Receive(buffer[:copy(buffer, c.a.sealReport(&rtcp.ReceiverReport{SSRC: c.a.ssrc}))], c.a.stream.RemoteRTCP, time.Second)
				}
				forged := c.a.next(0, "forged", false)
				forged[len(forged)-1] ^= 1
				receive(forged) // opens at neither count, and settles nothing
				for _, word := range []string{"here", "and", "there"} {
					receive(c.a.next(0, word, false))
					c.b.hears(word)
				}
				if st := c.la.Stats(); st.AuthFailed != 1 || st.Replayed+st.Dropped > 0 {
					t.Errorf("%s, first %d: %+v", suite, first, st)
				}
				c.session.Close()
			}
		}
	}
}
