package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"

	"holdfast/media/srtp"
)

func TestPlainPassesBothWays(t *testing.T) {
	c := newCall(t, run(t, config()), "", "")
	c.b.stream.Audio = Payload{8, 8000}
	c.a.stream.CN, c.b.stream.CN = true, true
	c.set(t)
	for i := range 5 {
		c.a.say(c.la, fmt.Sprint("a", i))
		pkt := c.b.hears(fmt.Sprint("a", i))
		if pkt.PayloadType != 8 {
			t.Errorf("payload type %d, want 8", pkt.PayloadType)
		}
		if pkt.SSRC == c.a.ssrc {
			t.Error("the source's SSRC shows")
		}
		c.b.say(c.lb, fmt.Sprint("b", i))
		if pkt := c.a.hears(fmt.Sprint("b", i)); pkt.PayloadType != 0 {
			t.Errorf("payload type %d, want 0", pkt.PayloadType)
		}
	}
	c.a.send(c.la, c.a.next(13, "noise", false))
	if pkt := c.b.hears("noise"); pkt.PayloadType != 13 {
		t.Errorf("comfort noise has payload type %d", pkt.PayloadType)
	}
	// A payload type that was not negotiated, then one that was: only the second arrives.
	c.a.send(c.la, c.a.next(99, "what?", false))
	c.a.say(c.la, "after")
	c.b.hears("after")
	if st := c.la.Stats(); st.RxPackets != 8 || st.Dropped != 1 || st.RxLost != 0 {
		t.Errorf("stats %+v", st)
	}
	// A packet is counted as sent after it is sent.
	eventually(t, "sent counted", func() bool { return c.la.Stats().TxPackets == 5 && c.lb.Stats().TxPackets == 7 })
}

// Contributing sources and extensions stay behind; padding goes through.
func TestHeaderIsRewritten(t *testing.T) {
	c := newCall(t, run(t, config()), "", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	pkt := &pionrtp.Packet{Header: pionrtp.Header{
		Version: 2, SSRC: 5, SequenceNumber: 9, CSRC: []uint32{1, 2, 3}, Extension: true, ExtensionProfile: 0x1234, Padding: true, PaddingSize: 4,
	}, Payload: []byte("voice")}
	if err := pkt.SetExtension(0, []byte("leak")); err != nil {
		t.Fatal(err)
	}
	b, err := pkt.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c.a.send(c.la, b)
	got := c.b.hear()
	if len(got.CSRC) != 0 || got.Extension || string(got.Payload) != "voice" {
		t.Errorf("arrived as %v", got)
	}
}

func TestEveryPairOfSuites(t *testing.T) {
	suites := []string{
		"", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32",
		"AEAD_AES_128_GCM", "AEAD_AES_256_GCM",
	}
	cfg := config()
	r := run(t, cfg)
	for _, x := range suites {
		for _, y := range suites {
			t.Run(x+"→"+y, func(t *testing.T) {
				// Ports rest after use: let each pair have what the one before gave back.
				r.mu.Lock()
				r.ports = newPorts(t, cfg)
				r.mu.Unlock()
				c := newCall(t, r, x, y)
				defer c.session.Close()
				c.set(t)
				for i := range 3 {
					c.a.say(c.la, fmt.Sprint("to b ", i))
					c.b.hears(fmt.Sprint("to b ", i))
					c.b.say(c.lb, fmt.Sprint("to a ", i))
					c.a.hears(fmt.Sprint("to a ", i))
				}
				if st := c.la.Stats(); st.AuthFailed+st.Dropped+st.Replayed != 0 || st.RxPackets != 3 {
					t.Errorf("stats %+v", st)
				}
			})
		}
	}
}

func TestGarbageAndForgeries(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM")
	// Before anything is negotiated.
	c.a.say(c.la, "too early")
	eventually(t, "early packet counted", func() bool { return c.la.Stats().Dropped == 1 })
	c.set(t)
	c.a.say(c.la, "one")
	c.b.hears("one")

	recorded := c.a.next(0, "recorded", false)
	c.a.send(c.la, recorded)
	c.b.hears("recorded")
	forged := bytes.Clone(c.a.next(0, "forged", false))
	forged[20] ^= 1
	bad := [][]byte{
		{}, {0x80}, bytes.Repeat([]byte{0}, 100), bytes.Repeat([]byte{0xff}, 500), []byte("\x16\xfe\xfd a DTLS record that is long enough"),
		forged[:11], forged[:20], recorded, forged, append(bytes.Clone(forged), make([]byte, 1400)...), make([]byte, 5000),
		{0x9f, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0xff, 0xff}, {0x80, 200, 0, 1, 0, 0, 0, 1},
	}
	before := c.relay.Counts().RxPackets
	for _, b := range bad {
		sendFrom(t, c.a.rtp, c.la.Local(), b)
		sendFrom(t, c.a.ctl, netip.AddrPortFrom(loopback, c.la.Local().Port()+1), b)
	}
	eventually(t, "all received", func() bool { return c.relay.Counts().RxPackets == before+2*uint64(len(bad)) })
	c.a.say(c.la, "still here")
	c.b.hears("still here") // and nothing before it
	st := c.la.Stats()
	if st.RxPackets != 3 || st.AuthFailed < 2 || st.Replayed != 1 {
		t.Errorf("stats %+v", st)
	}
	if n := c.relay.Counts().Drops["oversized"]; n != 2 {
		t.Errorf("%d oversized", n)
	}
}

func TestHold(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	c.a.say(c.la, "before")
	first := c.b.hears("before")
	c.b.stream.ToPeer = false
	set(t, c.lb, c.b.stream)
	for range 5 {
		c.a.say(c.la, "into the void")
	}
	c.b.say(c.lb, "music") // the other direction goes on
	c.a.hears("music")
	eventually(t, "all received", func() bool { return c.la.Stats().RxPackets == 6 })
	c.b.stream.ToPeer = true
	set(t, c.lb, c.b.stream)
	c.a.say(c.la, "after")
	again := c.b.hears("after") // pion would refuse it if keys or indexes had started over
	if again.SSRC != first.SSRC || again.SequenceNumber != first.SequenceNumber+1 || !again.Marker {
		t.Errorf("before hold %v, after %v", first, again)
	}
	if st := c.la.Stats(); st.Dropped != 0 || c.relay.Counts().Drops["held"] != 5 {
		t.Errorf("stats %+v, %v", st, c.relay.Counts())
	}
}

// The peer of leg a is transferred from b to c and back: it must hear one stream.
func TestStreamGoesOnWhenTheSourceChanges(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
	c.set(t)
	other := newPhone(t, "AES_256_CM_HMAC_SHA1_80")
	lo := addLeg(t, c.session, Access)
	set(t, lo, other.stream)

	var heard []*pionrtp.Packet
	talk := func(p *phone, l *Leg) {
		for i := range 3 {
			p.say(l, fmt.Sprint(i))
			heard = append(heard, c.a.hears(fmt.Sprint(i)))
		}
	}
	talk(c.b, c.lb)
	c.session.Connect(c.la, lo)
	talk(other, lo)
	c.b.say(c.lb, "nobody listens")
	eventually(t, "dropped", func() bool { return c.relay.Counts().Drops["unconnected"] == 1 })
	c.session.Connect(c.la, c.lb)
	talk(c.b, c.lb)
	for i, pkt := range heard[1:] {
		last := heard[i]
		if pkt.SSRC != last.SSRC || pkt.SequenceNumber != last.SequenceNumber+1 {
			t.Errorf("packet %d: %v after %v", i+1, pkt, last)
		}
		if d := int32(pkt.Timestamp - last.Timestamp); d <= 0 || d > 8000*5 {
			t.Errorf("packet %d: timestamp moves by %d", i+1, d)
		}
		if want := i == 2 || i == 5; pkt.Marker != want {
			t.Errorf("packet %d: marker %t", i+1, pkt.Marker)
		}
	}
	c.session.Connect(c.la, nil)
	c.b.say(c.lb, "nobody listens")
	eventually(t, "dropped", func() bool { return c.relay.Counts().Drops["unconnected"] == 2 })
	c.session.Connect(c.la, c.lb) // the same source again: what nobody heard was no loss
	c.b.say(c.lb, "again")
	if pkt, last := c.a.hears("again"), heard[len(heard)-1]; pkt.SSRC != last.SSRC || pkt.SequenceNumber != last.SequenceNumber+1 || !pkt.Marker {
		t.Errorf("%v after %v", pkt, last)
	}
}

func TestKeyChangeWithoutAGap(t *testing.T) {
	for _, pair := range [][2]string{
		{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"}, {"AEAD_AES_128_GCM", "AEAD_AES_128_GCM"},
		{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"}, {"AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_32"},
	} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			c := newCall(t, run(t, config()), pair[0], "AES_CM_128_HMAC_SHA1_80")
			c.set(t)
			c.a.say(c.la, "old")
			c.b.hears("old")
			c.b.say(c.lb, "old")
			old := c.a.hears("old")

			before := c.la.keys
			oldSeal := c.a.seal
			c.a.rekey(pair[1])
			newSeal := c.a.seal
			set(t, c.la, c.a.stream)
			if _, err := before.send.RTP(make([]byte, 12, 200)); !errors.Is(err, srtp.ErrWiped) {
				t.Errorf("the old sending key is still there: %v", err)
			}
			with := func(seal any, text string) {
				t.Helper()
				c.a.seal = newSeal
				if seal == "old" {
					c.a.seal = oldSeal
				}
				c.a.say(c.la, text)
				c.b.hears(text)
			}
			with("old", "on its way 1")
			with("old", "on its way 2")
			with("new", "new 1")
			with("old", "on its way 3")
			with("new", "new 2")
			c.b.say(c.lb, "new")
			if pkt := c.a.hears("new"); pkt.SSRC != old.SSRC || pkt.SequenceNumber != old.SequenceNumber+1 {
				t.Errorf("%v after %v", pkt, old)
			}
			if st := c.la.Stats(); st.AuthFailed != 0 || st.RxPackets != 6 {
				t.Errorf("stats %+v", st)
			}
			// After the grace the old key is worth nothing.
			c.session.look(c.relay.now() + keyGrace)
			if _, err := before.recv.RTP(make([]byte, 100)); !errors.Is(err, srtp.ErrWiped) {
				t.Errorf("the old receiving key is still there: %v", err)
			}
			c.a.seal = oldSeal
			c.a.say(c.la, "too late")
			eventually(t, "refused", func() bool { return c.la.Stats().AuthFailed == 1 })
			with("new", "new 3")

			stale := c.a.stream
			stale.Send = newPhone(t, pair[1]).stream.Send
			set(t, c.la, stale)
			if err := c.la.Set(c.a.stream); !errors.Is(err, ErrKeyReused) {
				t.Errorf("an old sending key came back: %v", err)
			}
		})
	}
}

func TestSameKeyKeepsItsState(t *testing.T) {
	c := newCall(t, run(t, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	recorded := c.a.next(0, "once", false)
	c.a.send(c.la, recorded)
	c.b.hears("once")
	c.set(t) // a session refresh (RFC 4028)
	c.a.send(c.la, recorded)
	eventually(t, "replay refused", func() bool { return c.la.Stats().Replayed == 1 })
	c.a.say(c.la, "again")
	c.b.hears("again") // pion's replay window would refuse an index sealed twice
}

func TestPortsRunOut(t *testing.T) {
	cfg := config()
	cfg.PortMax = cfg.PortMin + 7 // four pairs, two of them reserved
	cfg.Drain = time.Hour
	r := run(t, cfg)
	s := r.Open("ordinary", Options{})
	first := addLeg(t, s, Access)
	second := addLeg(t, s, Access)
	if first.Local() == second.Local() || first.Local().Port()%2 != 0 {
		t.Errorf("ports %v and %v", first.Local(), second.Local())
	}
	if _, err := s.AddLeg(Access); !errors.Is(err, ErrNoPorts) {
		t.Fatalf("third leg: %v", err)
	}
	e := r.Open("emergency", Options{Emergency: true})
	addLeg(t, e, Access)
	last := addLeg(t, e, Trunk)
	if _, err := e.AddLeg(Trunk); !errors.Is(err, ErrNoPorts) {
		t.Fatalf("fifth leg: %v", err)
	}
	s.Close()
	s.Close()
	if _, err := r.Open("ordinary", Options{}).AddLeg(Access); !errors.Is(err, ErrNoPorts) {
		t.Errorf("ports were used again without a pause: %v", err)
	}
	if n := r.Counts(); n.PortsUsed != 2 || n.PortsDrained != 2 || n.PortsFree != 0 || n.Sessions != 2 {
		t.Errorf("%+v", n)
	}
	if l := addLeg(t, e, Trunk); l.Local() == last.Local() { // an emergency does not wait
		t.Errorf("%v is in use twice", l.Local())
	}
}

func TestPortsThatOthersHoldAreSkipped(t *testing.T) {
	cfg := config()
	cfg.Reserved = 0
	r := run(t, cfg)
	taken := run(t, cfg) // another program with the same range
	s, o := r.Open("a", Options{}), taken.Open("b", Options{})
	for range 10 {
		addLeg(t, o, Access)
		addLeg(t, s, Access)
	}
	if _, err := s.AddLeg(Access); !errors.Is(err, ErrNoPorts) {
		t.Errorf("%v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	r := newRelay(t, config())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	c := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.set(t)
	branch := addLeg(t, c.session, Access)
	branch.Close()
	branch.Close()
	if err := branch.Set(c.a.stream); !errors.Is(err, ErrClosed) {
		t.Errorf("Set after Close: %v", err)
	}
	c.session.Connect(c.la, branch) // is left alone
	c.a.say(c.la, "still connected")
	c.b.hears("still connected")
	keys := c.la.keys
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, open := <-c.session.Events(); open {
		t.Error("events are not closed")
	}
	if _, err := c.session.AddLeg(Access); !errors.Is(err, ErrClosed) {
		t.Errorf("AddLeg after Close: %v", err)
	}
	if _, err := keys.recv.RTP(make([]byte, 100)); err == nil || !strings.Contains(err.Error(), "wiped") {
		t.Errorf("the key is still there: %v", err)
	}
	if st := c.la.Stats(); st.RxPackets != 1 {
		t.Errorf("stats after Close: %+v", st)
	}
	if n := r.Counts(); n.Sessions != 0 || n.PortsUsed != 0 {
		t.Errorf("%+v", n)
	}
	s := r.Open("late", Options{})
	if _, err := s.AddLeg(Access); !errors.Is(err, ErrClosed) {
		t.Errorf("AddLeg after Run: %v", err)
	}
	s.Close()
}

func TestBadStreams(t *testing.T) {
	r := newRelay(t, config())
	l := addLeg(t, r.Open("x", Options{}), Access)
	good := newPhone(t, "AES_CM_128_HMAC_SHA1_80").stream
	at := netip.MustParseAddrPort
	for name, spoil := range map[string]func(*Stream){
		"no remote":          func(s *Stream) { s.Remote = netip.AddrPort{} },
		"unspecified remote": func(s *Stream) { s.Remote = at("0.0.0.0:4000") },
		"port 0":             func(s *Stream) { s.Remote = at("127.0.0.1:0") },
		"multicast":          func(s *Stream) { s.Remote = at("224.0.0.9:4000") },
		"broadcast":          func(s *Stream) { s.Remote = at("255.255.255.255:4000") },
		"other family":       func(s *Stream) { s.Remote = at("[::1]:4000") },
		"itself":             func(s *Stream) { s.Remote = l.Local() },
		"RTCP multicast":     func(s *Stream) { s.RemoteRTCP = at("224.0.0.9:4001") },
		"RTCP above the top": func(s *Stream) { s.Remote = at("127.0.0.1:65535"); s.RemoteRTCP = netip.AddrPort{} },
		"half encrypted":     func(s *Stream) { s.Send = Crypto{} },
		"unknown suite":      func(s *Stream) { s.Recv.Suite = "NULL_HMAC_SHA1_80" },
		"short key":          func(s *Stream) { s.Send.Key = s.Send.Key[1:] },
		"no clock":           func(s *Stream) { s.Audio.Clock = 0 },
		"payload type":       func(s *Stream) { s.Audio.Type = 128 },
		"looks like RTCP":    func(s *Stream) { s.Audio.Type, s.Mux = 72, true },
		"event type":         func(s *Stream) { s.Event.Type = 200 },
		"event is audio":     func(s *Stream) { s.Event.Type = s.Audio.Type },
	} {
		s := good
		spoil(&s)
		if err := l.Set(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		if l.route.Load() != nil {
			t.Fatalf("%s: has an effect", name)
		}
	}
	held := good
	held.ToPeer, held.Remote = false, at("0.0.0.0:0")
	set(t, l, held)
	set(t, l, good)
}

func TestBadConfig(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no access address": func(c *Config) { c.AccessAddr = netip.Addr{} },
		"any trunk address": func(c *Config) { c.TrunkAddr = netip.IPv4Unspecified() },
		"no ports":          func(c *Config) { c.PortMin, c.PortMax = 0, 0 },
		"ports backwards":   func(c *Config) { c.PortMin, c.PortMax = 3000, 2000 },
		"one port":          func(c *Config) { c.PortMin, c.PortMax = 3000, 3000 },
		"all reserved":      func(c *Config) { c.Reserved = 20 },
		"negative drain":    func(c *Config) { c.Drain = -1 },
		"negative silence":  func(c *Config) { c.Silence = -1 },
		"DSCP":              func(c *Config) { c.DSCP = 64 },
		"workers":           func(c *Config) { c.Workers = -1 },
	} {
		cfg := config()
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A peer that answered with payload types of its own gets those, and sends with the offer's (RFC 3264 §5.1).
func TestReceivesWithOtherPayloadTypes(t *testing.T) {
	c := newCall(t, run(t, config()), "", "AES_CM_128_HMAC_SHA1_80")
	c.b.stream.Audio, c.b.stream.RecvAudio = Payload{97, 8000}, Payload{96, 8000}
	c.set(t)
	c.a.say(c.la, "to b")
	if pkt := c.b.hears("to b"); pkt.PayloadType != 97 {
		t.Errorf("payload type %d, want 97", pkt.PayloadType)
	}
	c.b.send(c.lb, c.b.next(97, "wrong", false))
	c.b.send(c.lb, c.b.next(96, "to a", false))
	if pkt := c.a.hears("to a"); pkt.PayloadType != 0 {
		t.Errorf("payload type %d, want 0", pkt.PayloadType)
	}
	c.b.stream.RecvAudio.Clock = 16000
	if err := c.lb.Set(c.b.stream); err == nil {
		t.Error("two clocks for one codec were accepted")
	}
}
