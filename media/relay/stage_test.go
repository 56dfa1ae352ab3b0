package relay

import (
	"strings"
	"testing"
	"time"

	"holdfast/media/udp"
)

// Hold music ends by itself when the holder sends some of its own; not for what the holder sent before it knew.
func TestYield(t *testing.T) {
	c := newCall(t, run(t, config()), "", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	frames := newFrames(t, "PCMU", 2)
	began := time.Now()
	n := startPlay(t, c.lb, newPrompt(t, frames), PlayOptions{Loop: true, Yield: true})
	c.a.say(c.la, "on its way")
	last := c.b.hearsFrame(frames, 0)
	c.a.send(c.la, c.a.next(101, digit(160, false), true)) // a key is no audio
	for string(last.Payload) != "its own music" {
		c.a.say(c.la, "its own music")
		pkt := c.b.hear()
		follows(t, last, pkt)
		last = pkt
	}
	if took := time.Since(began); took < yieldsAfter {
		t.Errorf("it made way after %v", took)
	}
	e := nextEvent(t, c.session)
	if e.Digit != 0 {
		e = nextEvent(t, c.session)
	}
	if e.Done != n {
		t.Errorf("event %+v", e)
	}
	c.a.say(c.la, "more")
	for string(last.Payload) != "more" {
		pkt := c.b.hear()
		follows(t, last, pkt)
		last = pkt
	}
}

// stage is a call on a relay that does not run: the test is its clock.
type stage struct {
	*call
	now time.Duration
}

func newStage(t testing.TB, suiteA, suiteB string) *stage {
	t.Helper()
	c := newCall(t, newRelay(t, config()), suiteA, suiteB)
	t.Cleanup(func() { c.session.Close(); c.relay.closeLoops() })
	c.set(t)
	return &stage{c, time.Second}
}

// tick lets so many ticks pass and says how many packets b was sent, and whether there is more to do.
func (s *stage) tick(n int) (sent int, more bool) { // every 5 ms, whether it wants to or not
	before := s.lb.Stats().TxPackets
	for range n {
		s.now += tickPeriod
		more = s.lb.w.Tick(s.now) != 0
	}
	return int(s.lb.Stats().TxPackets - before), more
}

// tickUntilSent lets time pass until b is sent a packet.
func (s *stage) tickUntilSent(t testing.TB) {
	t.Helper()
	for range 100 {
		if sent, _ := s.tick(1); sent != 0 {
			return
		}
	}
	t.Fatal("nothing is played")
}

// say is what a says now.
func (s *stage) say(text string) {
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	rtpPort{s.la}.Receive(buffer[:copy(buffer, s.a.next(0, text, false))], s.a.stream.Remote, s.now)
}

func TestPlayAllocatesNothing(t *testing.T) {
	for _, suite := range suites {
		if racing && strings.Contains(suite, "SHA1") {
			continue
		}
		s := newStage(t, "", suite)
		startPlay(t, s.lb, newPrompt(t, newFrames(t, "PCMU", 7)), PlayOptions{Loop: true})
		s.tick(4)
		before := s.lb.Stats().TxPackets
		if n := testing.AllocsPerRun(100, func() { s.tick(4) }); n != 0 {
			t.Errorf("%s: %v allocations", suite, n)
		}
		if sent := s.lb.Stats().TxPackets - before; sent != 101 {
			t.Errorf("%s: %d packets in 404 ticks", suite, sent)
		}
	}
}

func TestStandsStillOnHold(t *testing.T) {
	s := newStage(t, "", "")
	frames := newFrames(t, "PCMU", 4)
	n := startPlay(t, s.lb, newPrompt(t, frames), PlayOptions{})
	s.tick(4) // of four ticks one has a frame
	if sent, _ := s.tick(4); sent != 1 {
		t.Fatalf("%d frames in 20 ms", sent)
	}
	first, second := s.b.hearsFrame(frames, 0), s.b.hearsFrame(frames, 1)
	if second.Timestamp-first.Timestamp != 160 {
		t.Errorf("frame after %d", second.Timestamp-first.Timestamp)
	}
	held := s.b.stream
	held.ToPeer = false
	set(t, s.lb, held)
	if sent, more := s.tick(100); sent != 0 || more {
		t.Errorf("%d frames to a peer on hold, ticks needed: %t", sent, more)
	}
	set(t, s.lb, s.b.stream)
	if sent, _ := s.tick(8); sent != 2 {
		t.Errorf("%d frames after the hold", sent)
	}
	third := s.b.hearsFrame(frames, 2)
	if d := third.Timestamp - second.Timestamp; !third.Marker || d < 4000 || d > 4500 { // half a second later
		t.Errorf("after the hold: %d, %v", d, third)
	}
	s.tick(4)
	if e := nextEvent(t, s.session); e.Done != n {
		t.Errorf("event %+v", e)
	}
	if _, more := s.tick(1); more {
		t.Error("ticks go on after the end")
	}
}

// A thread that was stopped for long goes on at once and does not make up for it.
func TestLateTicks(t *testing.T) {
	s := newStage(t, "", "")
	startPlay(t, s.lb, newPrompt(t, newFrames(t, "PCMU", 100)), PlayOptions{Loop: true})
	s.tick(8)
	s.now += 25 * time.Millisecond
	if sent, _ := s.tick(1); sent < 1 || sent > 2 {
		t.Errorf("%d frames after 30 ms", sent)
	}
	s.tick(8)
	s.now += 10 * time.Second
	if sent, _ := s.tick(1); sent != 1 {
		t.Errorf("%d frames after 10 s", sent)
	}
}
