package relay

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"

	"holdfast/media/prompt"
	"holdfast/media/udp"
)

var suites = []string{
	"", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32",
	"AEAD_AES_128_GCM", "AEAD_AES_256_GCM",
}

// newFrames makes n frames of a codec that is 8 bits at 8000 Hz; each begins with its number.
func newFrames(t testing.TB, codec string, n int) *prompt.Frames {
	t.Helper()
	var payloads [][]byte
	for i := range n {
		p := bytes.Repeat([]byte(codec[len(codec)-1:]), 160)
		p[0], p[1] = byte(i), byte(i>>8)
		payloads = append(payloads, p)
	}
	f, err := prompt.New(codec, 8000, 160, payloads)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newPrompt(t testing.TB, frames ...*prompt.Frames) *prompt.Prompt {
	t.Helper()
	p, err := prompt.NewPrompt("test", frames...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func startPlay(t testing.TB, l *Leg, p *prompt.Prompt, o PlayOptions) uint64 {
	t.Helper()
	n, err := l.Play(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hearsFrame waits for the next packet and checks that it is frame i of f.
func (p *phone) hearsFrame(f *prompt.Frames, i int) *pionrtp.Packet {
	p.t.Helper()
	pkt := p.hear()
	if !bytes.Equal(pkt.Payload, f.Frame(i)) {
		p.t.Fatalf("heard %q, want frame %d", pkt.Payload[:min(8, len(pkt.Payload))], i)
	}
	return pkt
}

// follows checks that a packet is the next of its stream.
func follows(t testing.TB, before, pkt *pionrtp.Packet) {
	t.Helper()
	if pkt.SSRC != before.SSRC || pkt.SequenceNumber != before.SequenceNumber+1 {
		t.Fatalf("%d of %x follows %d of %x", pkt.SequenceNumber, pkt.SSRC, before.SequenceNumber, before.SSRC)
	}
}

func nextEvent(t testing.TB, s *Session) Event {
	t.Helper()
	select {
	case e := <-s.Events():
		return e
	case <-time.After(patience):
		t.Fatal("no event")
		return Event{}
	}
}

// A person, then a prompt, then the person, then music: one stream for the far end, which is pion with replay protection.
func TestPlayUnderEverySuite(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			s := newStage(t, "AES_CM_128_HMAC_SHA1_80", suite)
			s.say("person")
			s.b.hears("person")
			s.now += 20 * time.Millisecond
			s.say("person again")
			last := s.b.hears("person again")

			frames := newFrames(t, "PCMU", 5)
			began := s.now
			n := startPlay(t, s.lb, newPrompt(t, frames), PlayOptions{})
			for i := range frames.Len() {
				s.tickUntilSent(t)
				pkt := s.b.hearsFrame(frames, i)
				follows(t, last, pkt)
				if pkt.Marker != (i == 0) || pkt.PayloadType != 0 {
					t.Errorf("frame %d: %v", i, pkt)
				}
				if d := pkt.Timestamp - last.Timestamp; i > 0 && d != 160 || i == 0 && (d < 160 || d > 4*160) {
					t.Errorf("frame %d lies %d after what was before it", i, d)
				}
				last = pkt
			}
			if took := s.now - began; took < 4*20*time.Millisecond || took > 5*20*time.Millisecond {
				t.Errorf("5 frames were sent within %v", took)
			}
			s.tick(4)
			if e := nextEvent(t, s.session); e != (Event{Leg: s.lb, Done: n}) {
				t.Errorf("event %+v", e)
			}

			s.say("and on")
			pkt := s.b.hears("and on")
			follows(t, last, pkt)
			if d := pkt.Timestamp - last.Timestamp; d != 160 || !pkt.Marker {
				t.Errorf("the person lies %d after the prompt, marker %t", d, pkt.Marker)
			}
			last = pkt

			music := newFrames(t, "PCMU", 3)
			m := startPlay(t, s.lb, newPrompt(t, music), PlayOptions{Loop: true})
			if m <= n {
				t.Errorf("play %d after %d", m, n)
			}
			for i := range 10 {
				s.tickUntilSent(t)
				pkt := s.b.hearsFrame(music, i%3)
				follows(t, last, pkt)
				if d := pkt.Timestamp - last.Timestamp; i > 0 && d != 160 || pkt.Marker != (i == 0) {
					t.Errorf("music frame %d lies %d after the one before, marker %t", i, d, pkt.Marker)
				}
				last = pkt
			}
			s.lb.StopPlay()
			s.say("back")
			follows(t, last, s.b.hears("back"))
			if sent, more := s.tick(8); sent != 0 || more {
				t.Errorf("%d frames after the end, ticks needed: %t", sent, more)
			}
			if st := s.lb.Stats(); st.SendErrors != 0 || st.TxPackets != 19 {
				t.Errorf("stats %+v", st)
			}
			select {
			case e := <-s.session.Events():
				t.Errorf("event %+v", e) // what was stopped does not end by itself
			default:
			}
		})
	}
}

// While a prompt is played the connected leg is not heard, but its keys are.
func TestNothingIsMixed(t *testing.T) {
	c := newCall(t, run(t, config()), "", "")
	c.set(t)
	frames := newFrames(t, "PCMU", 1)
	startPlay(t, c.lb, newPrompt(t, frames), PlayOptions{Loop: true})
	c.b.hearsFrame(frames, 0)
	for range 3 {
		c.a.say(c.la, "over the prompt")
	}
	c.a.send(c.la, c.a.next(101, digit(160, true), true))
	if e := nextEvent(t, c.session); e.Digit != '5' || e.Leg != c.la || e.For != 20*time.Millisecond {
		t.Errorf("event %+v", e)
	}
	eventually(t, "four packets are covered", func() bool { return c.relay.Counts().Drops["covered"] == 4 })
	if st := c.la.Stats(); st.Dropped != 0 || st.RxPackets != 4 {
		t.Errorf("it is not the peer's fault: %+v", st)
	}
	c.b.say(c.lb, "the other way") // is not concerned
	c.a.hears("the other way")
}

// One phone holds the other: the held one hears music in the same stream, the holder nothing, and both go on afterwards.
func TestHoldMusic(t *testing.T) {
	c := newCall(t, run(t, config()), "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_32")
	c.set(t)
	c.a.say(c.la, "wait a moment")
	last := c.b.hears("wait a moment")
	holder := c.a.stream
	holder.ToPeer, holder.FromPeer = false, false
	set(t, c.la, holder)
	music := newFrames(t, "PCMU", 3)
	startPlay(t, c.lb, newPrompt(t, music), PlayOptions{Loop: true})
	for i := range 4 {
		pkt := c.b.hearsFrame(music, i%3)
		follows(t, last, pkt)
		last = pkt
	}
	c.b.say(c.lb, "into the void")
	eventually(t, "the holder is spared", func() bool { return c.relay.Counts().Drops["held"] == 1 })
	c.lb.StopPlay()
	set(t, c.la, c.a.stream)
	c.a.say(c.la, "back again")
	for string(last.Payload) != "back again" {
		pkt := c.b.hear()
		follows(t, last, pkt)
		if int32(pkt.Timestamp-last.Timestamp) < 160 {
			t.Errorf("%d after what was before it", int32(pkt.Timestamp-last.Timestamp))
		}
		last = pkt
	}
	c.b.say(c.lb, "good")
	c.a.hears("good")
}

func TestPlayBeforeSet(t *testing.T) {
	r := newRelay(t, config())
	s := r.Open("test", Options{})
	defer func() { s.Close(); r.closeLoops() }()
	l, b := addLeg(t, s, Access), newPhone(t, "")
	frames := newFrames(t, "PCMA", 2)
	n := startPlay(t, l, newPrompt(t, frames), PlayOptions{})
	if l.w.Tick(time.Second) != 0 {
		t.Error("something to do without a peer")
	}
	b.stream.Audio = Payload{8, 8000}
	set(t, l, b.stream)
	for now := time.Second; now < time.Second+80*time.Millisecond; now += tickPeriod {
		l.w.Tick(now)
	}
	b.hearsFrame(frames, 0)
	b.hearsFrame(frames, 1)
	if e := nextEvent(t, s); e.Done != n || e.Leg != l {
		t.Errorf("event %+v", e)
	}
}

// The program's own prompts, over SRTP: every frame arrives as it was encoded, and the end comes when the last one has been heard.
func TestDefaultPrompts(t *testing.T) {
	set, err := prompt.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, codec := range []struct {
		name  string
		audio Payload
	}{{"opus", Payload{96, 48000}}, {"PCMU", Payload{0, 8000}}, {"PCMA", Payload{8, 8000}}, {"G729", Payload{18, 8000}}} {
		t.Run(codec.name, func(t *testing.T) {
			s := newStage(t, "", "AES_256_CM_HMAC_SHA1_80")
			s.b.stream.Audio, s.b.stream.Codec = codec.audio, codec.name
			if err := s.lb.Set(s.b.stream); err != nil {
				t.Fatal(err)
			}
			p := set.Prompt(prompt.NotInService)
			frames := p.For(codec.name, codec.audio.Clock)
			began := s.now
			n := startPlay(t, s.lb, p, PlayOptions{})
			var last *pionrtp.Packet
			for i := 0; i < frames.Len(); {
				if sent, _ := s.tick(1); sent == 0 {
					continue
				}
				pkt := s.b.hearsFrame(frames, i)
				if last != nil {
					follows(t, last, pkt)
					if d := pkt.Timestamp - last.Timestamp; d != frames.Step() {
						t.Fatalf("frame %d lies %d after the one before", i, d)
					}
				}
				last = pkt
				i++
			}
			for len(s.session.Events()) == 0 {
				s.tick(1)
			}
			if e := nextEvent(t, s.session); e.Done != n {
				t.Errorf("event %+v", e)
			}
			if took := s.now - began; took < p.Duration() || took > p.Duration()+5*tickPeriod {
				t.Errorf("%v of prompt took %v", p.Duration(), took)
			}
		})
	}
}

// A re-INVITE changes the codec: the prompt goes on where it was, in the same stream, and ends where it does not exist.
func TestCodecChangeWhilePlaying(t *testing.T) {
	s := newStage(t, "", "AEAD_AES_128_GCM")
	mu, a := newFrames(t, "PCMU", 50), newFrames(t, "PCMA", 50)
	p := newPrompt(t, mu, a)
	n := startPlay(t, s.lb, p, PlayOptions{Loop: true})
	s.tick(4 * 10)
	var last *pionrtp.Packet
	for i := range 10 {
		last = s.b.hearsFrame(mu, i)
	}
	s.b.stream.Audio = Payload{8, 8000}
	set(t, s.lb, s.b.stream)
	s.tick(4 * 10)
	for i := range 10 {
		pkt := s.b.hearsFrame(a, 10+i)
		follows(t, last, pkt)
		if pkt.PayloadType != 8 || pkt.Timestamp-last.Timestamp != 160 {
			t.Errorf("frame %d: %v", i, pkt)
		}
		last = pkt
	}
	s.b.stream.Audio, s.b.stream.Codec = Payload{96, 48000}, "opus"
	set(t, s.lb, s.b.stream)
	if sent, more := s.tick(20); sent != 0 || more {
		t.Errorf("%d frames in a codec that there is not, ticks needed: %t", sent, more)
	}
	if e := nextEvent(t, s.session); e.Done != n {
		t.Errorf("event %+v", e)
	}
	if _, err := s.lb.Play(p, PlayOptions{}); !errors.Is(err, ErrNoEncoding) {
		t.Errorf("error %v", err)
	}
	s.b.stream.Codec = ""
	set(t, s.lb, s.b.stream)
	if _, err := s.lb.Play(p, PlayOptions{}); !errors.Is(err, ErrNoEncoding) { // a dynamic type without a name
		t.Errorf("error %v", err)
	}
}

// A new key while music plays: no gap, no change of stream.
func TestKeyChangeWhilePlaying(t *testing.T) {
	s := newStage(t, "", "AES_CM_128_HMAC_SHA1_80")
	frames := newFrames(t, "PCMU", 100)
	startPlay(t, s.lb, newPrompt(t, frames), PlayOptions{})
	s.tick(4 * 5)
	var last *pionrtp.Packet
	for i := range 5 {
		last = s.b.hearsFrame(frames, i)
	}
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"} {
		s.b.rekey(suite)
		set(t, s.lb, s.b.stream)
		from := int(s.lb.Stats().TxPackets)
		s.tick(4 * 5)
		for i := range 5 {
			pkt := s.b.hearsFrame(frames, from+i)
			follows(t, last, pkt)
			if pkt.Timestamp-last.Timestamp != 160 {
				t.Errorf("frame %d after %d", from+i, pkt.Timestamp-last.Timestamp)
			}
			last = pkt
		}
	}
}

// An end for which the call has no room is reported later.
func TestDoneIsNotLost(t *testing.T) {
	s := newStage(t, "", "")
	for range eventRoom {
		s.la.tell(Event{Leg: s.la, Digit: '1'})
	}
	n := startPlay(t, s.lb, newPrompt(t, newFrames(t, "PCMU", 1)), PlayOptions{})
	if _, more := s.tick(12); !more {
		t.Error("the ticks have stopped")
	}
	for range eventRoom {
		nextEvent(t, s.session)
	}
	s.tick(1)
	if e := nextEvent(t, s.session); e.Done != n {
		t.Errorf("event %+v", e)
	}
	s.session.look(s.now)
	if s.lb.play != nil || len(s.lb.w.players.now()) != 0 {
		t.Error("what has ended is not forgotten")
	}
	if r := s.la.route.Load(); r.cover != nil {
		t.Error("the connected leg is still covered")
	}
}

func TestPlayAfterTheEnd(t *testing.T) {
	s := newStage(t, "", "")
	p := newPrompt(t, newFrames(t, "PCMU", 1))
	startPlay(t, s.lb, p, PlayOptions{Loop: true})
	s.tick(4)
	s.lb.Close()
	if sent, more := s.tick(8); sent != 0 || more {
		t.Errorf("%d frames to a closed leg", sent)
	}
	if _, err := s.lb.Play(p, PlayOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
	s.lb.StopPlay()
	if _, err := s.la.Play(nil, PlayOptions{}); err == nil {
		t.Error("nothing is played, and no error")
	}
	startPlay(t, s.la, p, PlayOptions{Loop: true})
	s.session.Close()
	if len(s.la.w.players.now()) != 0 {
		t.Error("a closed session's legs are still looked after")
	}
}

// Prompts and persons take turns in one stream, and no index is sealed twice.
func TestPromptsNeverReuseAnIndex(t *testing.T) {
	crypto, _ := newKey(t, "AEAD_AES_128_GCM")
	s := newStage(t, "", "")
	s.b.stream.Recv, _ = newKey(t, "AEAD_AES_128_GCM")
	s.b.stream.Send = crypto
	set(t, s.lb, s.b.stream)
	p := newPrompt(t, newFrames(t, "PCMU", 3))
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	for i := range 3000 {
		switch i % 7 {
		case 0:
			startPlay(t, s.lb, p, PlayOptions{Loop: i%2 == 0})
		case 3:
			s.lb.StopPlay()
		}
		for j := range 5 {
			s.a.sequence += uint16(j % 3)
			pkt := s.a.next(0, fmt.Sprint(i), false)
			rtpPort{s.la}.Receive(buffer[:copy(buffer, pkt)], s.a.stream.Remote, s.now)
			s.tick(3)
			for len(s.session.Events()) > 0 {
				<-s.session.Events()
			}
		}
	}
	// The sealer itself refuses an index that it has used, so that a slip would show as a packet that could not be sealed.
	drops := s.relay.Counts().Drops
	if drops["unsealed"]+drops["late"] != 0 || drops["covered"] == 0 || s.lb.Stats().TxPackets < 12000 {
		t.Errorf("%v, %d packets", drops, s.lb.Stats().TxPackets)
	}
}

// Everything at once, for the race detector.
func TestPlayFromManySides(t *testing.T) {
	r := run(t, config())
	p := newPrompt(t, newFrames(t, "PCMU", 2))
	var all sync.WaitGroup
	for range 4 {
		c := newCall(t, r, "", "AEAD_AES_128_GCM")
		c.set(t)
		all.Go(func() {
			for i := range 60 {
				c.lb.Play(p, PlayOptions{Loop: i%3 == 0, Yield: i%5 == 0})
				c.la.Play(p, PlayOptions{})
				sendFrom(t, c.a.rtp, c.la.Local(), c.a.next(0, "x", false))
				if i%4 == 0 {
					c.lb.StopPlay()
				}
				if i%10 == 0 {
					c.session.Connect(c.la, nil)
					c.session.Connect(c.la, c.lb)
				}
				for len(c.session.Events()) > 0 {
					<-c.session.Events()
				}
				time.Sleep(time.Millisecond)
			}
			c.session.Close()
		})
	}
	all.Wait()
	eventually(t, "no player is left", func() bool {
		for _, w := range r.workers {
			if len(w.players.now()) != 0 {
				return false
			}
		}
		return true
	})
}

// BenchmarkFrame is one frame of a prompt: taken, numbered, sealed and sent.
func BenchmarkFrame(b *testing.B) {
	for _, suite := range []string{"", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		b.Run("suite "+suite, func(b *testing.B) {
			s := newStage(b, "", suite)
			startPlay(b, s.lb, newPrompt(b, newFrames(b, "PCMU", 50)), PlayOptions{Loop: true})
			b.ReportAllocs()
			for b.Loop() {
				s.now += 20 * time.Millisecond
				s.lb.w.Tick(s.now)
			}
		})
	}
}
