package relay

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"holdfast/media/udp"
)

func TestSilence(t *testing.T) {
	const limit = 30 * time.Second
	var s silence
	look := func(now, heard time.Duration) (silent bool, length time.Duration, ok bool) {
		silent, length, ok = s.due(now, heard, limit)
		if ok {
			s.done(silent, now, heard)
		}
		return
	}
	expect := func(now, heard time.Duration, wantOK, wantSilent bool, wantLength time.Duration) {
		t.Helper()
		silent, length, ok := look(now, heard)
		if ok != wantOK || ok && (silent != wantSilent || length != wantLength) {
			t.Fatalf("at %v: %t %v %t", now, silent, length, ok)
		}
	}
	s.arm(10*time.Second, true)
	expect(39*time.Second, 0, false, false, 0)
	expect(40*time.Second, 0, true, true, limit) // never heard
	expect(41*time.Second, 0, false, false, 0)   // once
	expect(51*time.Second, 50*time.Second, true, false, 40*time.Second)
	expect(79*time.Second, 50*time.Second, false, false, 0)
	expect(80*time.Second, 50*time.Second, true, true, limit)
	s.arm(90*time.Second, false) // held
	expect(time.Hour, 50*time.Second, false, false, 0)
	s.arm(time.Hour, true) // resumed: the time on hold does not count
	expect(time.Hour+29*time.Second, 50*time.Second, false, false, 0)
	expect(time.Hour+30*time.Second, 50*time.Second, true, true, limit)
	if _, _, ok := s.due(2*time.Hour, 0, 0); ok {
		t.Error("reported though it is switched off")
	}
}

func TestSilenceIsReported(t *testing.T) {
	cfg := config()
	cfg.Silence = 150 * time.Millisecond
	c := newCall(t, run(t, cfg), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.b.stream.FromPeer = false
	c.set(t)
	wait := func() Event {
		t.Helper()
		select {
		case e := <-c.session.Events():
			return e
		case <-time.After(patience):
			t.Fatal("no event")
			return Event{}
		}
	}
	if e := wait(); e.Leg != c.la || !e.Silent || e.For < cfg.Silence {
		t.Errorf("%+v", e)
	}
	// What does not authenticate does not break the silence; what does, does.
	forger := newPhone(t, "AES_CM_128_HMAC_SHA1_80")
	forger.say(c.la, "psst")
	eventually(t, "forgery counted", func() bool { return c.la.Stats().AuthFailed == 1 })
	c.session.look(c.relay.now())
	select {
	case e := <-c.session.Events():
		t.Fatalf("a forgery was heard: %+v", e)
	default:
	}
	c.a.say(c.la, "I am back")
	if e := wait(); e.Leg != c.la || e.Silent || e.For < cfg.Silence {
		t.Errorf("%+v", e)
	}
	if e := wait(); e.Leg != c.la || !e.Silent {
		t.Errorf("%+v", e)
	}
}

// Events that the call does not fetch wait; none is lost for good.
func TestSilenceWaitsForRoom(t *testing.T) {
	r := newRelay(t, config())
	c := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	defer c.session.Close()
	c.b.stream.FromPeer = false
	c.set(t)
	for range eventRoom {
		c.session.events <- Event{}
	}
	later := r.now() + 2*time.Minute
	c.session.look(later)
	for range eventRoom {
		if e := <-c.session.Events(); e.Silent {
			t.Fatal("where did this find room?")
		}
	}
	c.session.look(later)
	if e := <-c.session.Events(); e.Leg != c.la || !e.Silent {
		t.Errorf("%+v", e)
	}
}

// A peer that sends reports and no audio, as one that suppresses silence, is not silent.
func TestReportsBreakTheSilence(t *testing.T) {
	c := newCall(t, newRelay(t, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	defer c.session.Close()
	c.set(t)
	before := c.la.heard.Load()
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	receive := func(p *phone, now time.Duration) {
		pkt := buffer[:copy(buffer, p.sealReport(&rtcp.ReceiverReport{SSRC: p.ssrc}))]
		rtcpPort{c.la}.Receive(pkt, p.stream.RemoteRTCP, now)
	}
	forger := newPhone(t, "AES_CM_128_HMAC_SHA1_80")
	forger.stream.RemoteRTCP = c.a.stream.RemoteRTCP
	receive(forger, time.Minute)
	if c.la.heard.Load() != before {
		t.Error("a forged report was heard")
	}
	receive(c.a, 2*time.Minute)
	if got := time.Duration(c.la.heard.Load()); got != 2*time.Minute {
		t.Errorf("last heard at %v", got)
	}
}
