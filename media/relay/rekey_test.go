package relay

import (
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"

	"holdfast/media/udp"
)

// A phone changes its key just when its sequence numbers roll over. No packet carries the roll-over count: the one that the stream had
// under the old key must tell it, or the phone would not be heard until the next change.
func TestKeyChangeAtTheRollOver(t *testing.T) {
	tests := []struct {
		name        string
		last, first uint16 // under the old key, and the first one heard under the new key
		roc         uint32 // that the phone has then
	}{
		{"it counts on", 65535, 0, 1},
		{"it counts on, and its first packets were lost", 65530, 7, 1},
		{"it begins anew", 65535, 0, 0},
		{"it begins anew, and its first packets were lost", 65530, 7, 1},
		{"it counts on, not at the roll-over", 65530, 65531, 0},
	}
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		for _, tt := range tests {
			t.Run(suite+" "+tt.name, func(t *testing.T) {
				c := newCall(t, newRelay(t, config()), suite, "AES_CM_128_HMAC_SHA1_80")
				defer c.session.Close()
				c.set(t)
				buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
				say := func(text string) {
					t.Helper()
					pkt := buffer[:copy(buffer, c.a.next(0, text, false))]
					rtpPort{c.la}.Receive(pkt, c.a.stream.Remote, time.Second)
					c.b.hears(text)
				}
				c.a.sequence = tt.last - 2
				say("old")
				say("old still")
				c.a.rekey(suite)
				set(t, c.la, c.a.stream)
				c.a.seal.SetROC(c.a.ssrc, tt.roc)
				c.a.sequence = tt.first - 1
				say("new")
				say("new still")
				if st := c.la.Stats(); st.AuthFailed+st.Replayed+st.Dropped > 0 {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// The box's own stream never comes under a new key shortly before its sequence numbers roll over: a peer that misses the first packets, or
// one that counts roll-overs on where the box begins anew, would never open another.
func TestNoNewKeyShortlyBeforeTheRollOver(t *testing.T) {
	const suite = "AES_CM_128_HMAC_SHA1_80"
	for last, stays := range map[uint16]bool{65535: false, 65000: false, 40000: true} {
		c := newCall(t, newRelay(t, config()), suite, suite)
		c.set(t)
		buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
		say := func(text string) {
			t.Helper()
			pkt := buffer[:copy(buffer, c.b.next(0, text, false))]
			rtpPort{c.lb}.Receive(pkt, c.b.stream.Remote, time.Second)
		}
		c.la.tx.adopt(c.la.endpoint)
		c.la.tx.sequence = last - 1
		say("old")
		before := c.a.hears("old")
		if before.SequenceNumber != last {
			t.Fatalf("the stream is at %d, want %d", before.SequenceNumber, last)
		}
		c.a.rekey(suite)
		set(t, c.la, c.a.stream)
		say("new")
		after := c.a.hears("new")
		if goesOn := after.SSRC == before.SSRC && after.SequenceNumber == before.SequenceNumber+1; goesOn != stays {
			t.Errorf("after %d: the stream goes on: %t, want %t (%v)", last, goesOn, stays, after)
		}
		if after.SSRC != before.SSRC && after.SequenceNumber >= 1<<15+1 {
			t.Errorf("the new stream begins at %d, not far from its roll-over", after.SequenceNumber)
		}
		c.session.Close()
	}
}

// Hold music rolls over, too.
func TestNewKeyAfterAPromptRolledOver(t *testing.T) {
	const suite = "AES_CM_128_HMAC_SHA1_80"
	s := newStage(t, "", suite)
	frames := newFrames(t, "PCMU", 1)
	startPlay(t, s.lb, newPrompt(t, frames), PlayOptions{Loop: true})
	next := func() *pionrtp.Packet {
		s.tickUntilSent(t)
		return s.b.hearsFrame(frames, 0)
	}
	for _, rollsOver := range []bool{false, true} {
		before := next()
		for rollsOver && before.SequenceNumber != 0 {
			s.lb.tx.sequence += min(30_000, 65535-s.lb.tx.sequence) // as after some minutes
			before = next()
		}
		s.b.rekey(suite)
		set(t, s.lb, s.b.stream)
		if after := next(); (after.SSRC != before.SSRC) != rollsOver {
			t.Errorf("rolled over: %t; %v under the old key, %v under the new one", rollsOver, before, after)
		}
	}
}

// A re-INVITE that fails brings the key before back: what it had seen still counts, and it stays when the other one's time is over.
func TestOldKeyComesBack(t *testing.T) {
	const suite = "AEAD_AES_128_GCM"
	c := newCall(t, run(t, config()), suite, suite)
	c.set(t)
	recorded := c.a.next(0, "recorded", false)
	c.a.send(c.la, recorded)
	c.b.hears("recorded")
	key, seal := c.a.stream.Recv, c.a.seal
	c.a.stream.Recv, c.a.seal = newKey(t, suite)
	set(t, c.la, c.a.stream)
	c.a.say(c.la, "new")
	c.b.hears("new")
	c.a.stream.Recv, c.a.seal = key, seal
	set(t, c.la, c.a.stream)
	c.a.say(c.la, "old")
	c.b.hears("old")
	c.session.look(c.relay.now() + keyGrace)
	c.a.say(c.la, "old still")
	c.b.hears("old still")
	c.a.send(c.la, recorded)
	eventually(t, "replay refused", func() bool { return c.la.Stats().Replayed == 1 })
}
