package relay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// sharing makes a call of two phones that have each other's keys.
func sharing(t testing.TB, r *Relay, suite string) *call {
	t.Helper()
	c := &call{relay: r, session: r.Open("test", Options{}), a: newPhone(t, suite), b: newPhone(t, suite)}
	c.la, c.lb = addLeg(t, c.session, Access), addLeg(t, c.session, Access)
	c.session.Connect(c.la, c.lb)
	c.share()
	return c
}

// share gives each phone the other's key.
func (c *call) share() {
	for _, p := range [][2]*phone{{c.a, c.b}, {c.b, c.a}} {
		p[0].stream.Send, p[0].stream.Shared = p[1].stream.Recv, true
		p[0].open = contextOf(p[0].t, p[0].stream.Send)
	}
}

func sharedConfig() Config {
	cfg := config()
	cfg.SharedKeys = true
	return cfg
}

func TestSharedKeysPassVerbatim(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32", "AEAD_AES_128_GCM"} {
		t.Run(suite, func(t *testing.T) {
			c := sharing(t, run(t, sharedConfig()), suite)
			defer c.session.Close()
			c.set(t)
			if !c.la.Shared() || !c.lb.Shared() {
				t.Fatal("not shared")
			}
			for i := range 5 {
				pkt := c.a.next(0, fmt.Sprint("voice ", i), false)
				c.a.send(c.la, pkt)
				if got := read(t, c.b.rtp); !bytes.Equal(got, pkt) {
					t.Fatalf("%x arrived as %x", pkt, got)
				}
				c.b.say(c.lb, "and back")
				if got := c.a.hears("and back"); got.SSRC != c.b.ssrc {
					t.Errorf("SSRC %x, want the peer's %x", got.SSRC, c.b.ssrc)
				}
			}
			digit := c.a.next(101, "\x05\x80\x03\x20", false)
			c.a.send(c.la, digit)
			if got := read(t, c.b.rtp); !bytes.Equal(got, digit) {
				t.Errorf("an event changed: %x", got)
			}
			if e := <-c.session.Events(); e.Digit != '5' {
				t.Errorf("event %+v", e)
			}
			// What is not authentic, not fresh or not negotiated goes nowhere.
			recorded := c.a.next(0, "recorded", false)
			c.a.send(c.la, recorded)
			read(t, c.b.rtp)
			forged := bytes.Clone(c.a.next(0, "forged", false))
			forged[15] ^= 1
			for _, bad := range [][]byte{recorded, forged, forged[:14], c.a.next(77, "what?", false)} {
				c.a.send(c.la, bad)
			}
			c.a.say(c.la, "after")
			c.b.hears("after")
			if st := c.la.Stats(); st.Replayed != 1 || st.AuthFailed+st.Dropped != 3 || st.RxPackets != 9 {
				t.Errorf("%+v", st)
			}
			if st := c.lb.Stats(); st.TxPackets != 8 && st.TxPackets != 7 { // counted after it is sent
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestSharedKeysPassReports(t *testing.T) {
	c := sharing(t, run(t, sharedConfig()), "AES_CM_128_HMAC_SHA1_80")
	defer c.session.Close()
	c.set(t)
	c.a.say(c.la, "voice")
	c.b.hears("voice")
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.SenderReport{SSRC: c.a.ssrc, NTPTime: 0x1122334455667788, PacketCount: 1})
	got, err := c.b.open.DecryptRTCP(nil, read(t, c.b.ctl), nil)
	if err != nil {
		t.Fatal(err)
	}
	packets, err := rtcp.Unmarshal(got)
	if sr, ok := packets[0].(*rtcp.SenderReport); err != nil || !ok || sr.SSRC != c.a.ssrc || sr.NTPTime != 0x1122334455667788 {
		t.Fatalf("%v, %v", packets, err)
	}
	c.b.report(c.b.ctl, rtcpPortOf(c.lb), &rtcp.ReceiverReport{SSRC: c.b.ssrc, Reports: []rtcp.ReceptionReport{
		{SSRC: c.a.ssrc, FractionLost: 64, LastSenderReport: 0x33445566},
	}})
	read(t, c.a.ctl)
	eventually(t, "learnt from reports", func() bool { st := c.lb.Stats(); return st.PeerLost == 0.25 && st.RTT > 0 })
	c.b.stream.ToPeer = false
	set(t, c.lb, c.b.stream)
	c.a.report(c.a.ctl, rtcpPortOf(c.la), &rtcp.ReceiverReport{SSRC: c.a.ssrc})
	eventually(t, "nothing for a peer on hold", func() bool { return c.relay.Counts().Drops["held"] == 1 })
}

// The box has nothing to say under a shared key: it takes a key of its own first.
func TestSharedKeysAreNotTheBoxes(t *testing.T) {
	c := sharing(t, run(t, sharedConfig()), "AES_CM_128_HMAC_SHA1_80")
	defer c.session.Close()
	c.set(t)
	if c.la.keys.send != nil || c.lb.keys.send != nil {
		t.Fatal("there is a sealer")
	}
	if _, err := c.la.Play(newPrompt(t, newFrames(t, "PCMU", 3)), PlayOptions{}); !errors.Is(err, ErrShared) {
		t.Errorf("a prompt: %v", err)
	}
	third := newPhone(t, "AES_CM_128_HMAC_SHA1_80")
	lt := addLeg(t, c.session, Access)
	set(t, lt, third.stream)
	c.session.Connect(c.la, lt)
	third.say(lt, "nobody hears")
	third.report(third.ctl, rtcpPortOf(lt), &rtcp.SenderReport{SSRC: third.ssrc})
	eventually(t, "both dropped", func() bool { return c.relay.Counts().Drops["unkeyed"] == 2 })
	c.a.say(c.la, "but is heard")
	third.hears("but is heard")

	same := c.a.stream
	same.Shared = false
	if err := c.la.Set(same); !errors.Is(err, ErrShared) {
		t.Errorf("sealing under the other peer's key: %v", err)
	}
	c.a.stream.Shared = false
	c.a.stream.Send, c.a.open = newKey(t, "AES_CM_128_HMAC_SHA1_80")
	set(t, c.la, c.a.stream)
	if c.la.Shared() {
		t.Error("still shared")
	}
	third.say(lt, "now")
	c.a.hears("now")
}

func TestSharingIsRefused(t *testing.T) {
	suite := "AES_CM_128_HMAC_SHA1_80"
	for name, tt := range map[string]func(t *testing.T) error{
		"not allowed": func(t *testing.T) error {
			c := sharing(t, newRelay(t, config()), suite)
			return c.la.Set(c.a.stream)
		},
		"towards a trunk": func(t *testing.T) error {
			c := newCall(t, newRelay(t, sharedConfig()), suite, suite)
			c.share()
			return c.lb.Set(c.b.stream)
		},
		"from a trunk": func(t *testing.T) error {
			c := newCall(t, newRelay(t, sharedConfig()), suite, suite)
			c.share()
			return c.la.Set(c.a.stream)
		},
		"forking": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			addLeg(t, c.session, Access)
			return c.lb.Set(c.b.stream)
		},
		"while a prompt plays": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			if _, err := c.la.Play(newPrompt(t, newFrames(t, "PCMU", 3)), PlayOptions{Loop: true}); err != nil {
				t.Fatal(err)
			}
			return c.la.Set(c.a.stream)
		},
		"the box has sealed with it": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			own := c.b.stream
			own.Shared = false
			set(t, c.lb, own)
			return c.lb.Set(c.b.stream)
		},
		"a peer's key as the box's own": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			set(t, c.lb, c.b.stream)
			own := c.a.stream
			own.Shared = false
			return c.la.Set(own)
		},
		"the other peer's key as the box's own, before that peer is set": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			set(t, c.la, c.a.stream)
			own := c.a.stream
			own.Shared = false
			return c.la.Set(own)
		},
		"the box's own key as a peer's": func(t *testing.T) error {
			c := newCall(t, newRelay(t, config()), suite, suite)
			set(t, c.la, c.a.stream)
			c.b.stream.Recv = c.a.stream.Send
			return c.lb.Set(c.b.stream)
		},
		"one key for both ways": func(t *testing.T) error {
			c := newCall(t, newRelay(t, config()), suite, suite)
			c.a.stream.Send = c.a.stream.Recv
			return c.la.Set(c.a.stream)
		},
		"one key for both ways, shared": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			c.a.stream.Send = c.a.stream.Recv
			return c.la.Set(c.a.stream)
		},
		"plain RTP": func(t *testing.T) error {
			c := sharing(t, newRelay(t, sharedConfig()), suite)
			c.a.stream.Recv, c.a.stream.Send = Crypto{}, Crypto{}
			return c.la.Set(c.a.stream)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt(t); !errors.Is(err, ErrShared) {
				t.Errorf("%v", err)
			}
		})
	}
}

// While a call that shares keys is being transferred others join the session; both legs may be set as they are, and get no other peer's key.
func TestSharedKeysStayWhileOthersJoin(t *testing.T) {
	suite := "AES_CM_128_HMAC_SHA1_80"
	c := sharing(t, run(t, sharedConfig()), suite)
	defer c.session.Close()
	c.set(t)
	outside := newPhone(t, suite)
	lt := addLeg(t, c.session, Trunk)
	set(t, lt, outside.stream)
	c.set(t)
	c.a.say(c.la, "as before")
	c.b.hears("as before")
	other := c.b.stream
	other.Send = outside.stream.Recv
	if err := c.lb.Set(other); !errors.Is(err, ErrShared) {
		t.Errorf("the trunk's key: %v", err)
	}
	own := outside.stream
	own.Send, own.Shared = c.a.stream.Recv, true
	if err := lt.Set(own); !errors.Is(err, ErrShared) {
		t.Errorf("a phone's key for the trunk: %v", err)
	}
	c.session.Connect(c.la, lt) // a phone whose key is another phone's hears nothing of the trunk
	outside.say(lt, "nobody hears")
	eventually(t, "dropped", func() bool { return c.relay.Counts().Drops["unkeyed"] == 1 })
}

// Whatever signalling does, in any order: no key is used by two to seal the same index of the same SSRC. Every packet that a phone sends
// or receives is noted; where two have key, SSRC and index in common they must be one packet, byte for byte. And since SSRCs are random,
// so that a mistake would rarely show: what arrives under a key that some phone seals with must be what that phone has sealed.
func TestSharedKeysSealNothingTwice(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		t.Run(suite, func(t *testing.T) {
			for seed := range uint64(3) {
				sealedOnce(t, run(t, sharedConfig()), suite, rand.New(rand.NewPCG(seed, 1)))
			}
		})
	}
}

type sealedIndex struct {
	key   string
	ssrc  uint32
	index uint64 // the roll-over count is 0 all through
}

func sealedOnce(t *testing.T, r *Relay, suite string, random *rand.Rand) {
	c := sharing(t, r, suite)
	defer c.session.Close()
	seen := make(map[sealedIndex][32]byte)
	note := func(key Crypto, pkt []byte) {
		t.Helper()
		i := sealedIndex{string(key.Key), binary.BigEndian.Uint32(pkt[8:]), uint64(binary.BigEndian.Uint16(pkt[2:]))}
		sum := sha256.Sum256(pkt)
		if old, ok := seen[i]; ok && old != sum {
			t.Fatalf("SSRC %x, index %d was sealed twice under one key", i.ssrc, i.index)
		}
		seen[i] = sum
	}
	peers := make(map[string]bool) // keys that phones have sealed with
	third := newPhone(t, suite)
	lt := addLeg(t, c.session, Access)
	lt.Close() // two legs to begin with
	c.a.sequence, c.b.sequence, third.sequence = 100, 200, 300
	phones := []*phone{c.a, c.b, third}
	legs := []*Leg{c.la, c.lb, nil}
	var stood [3]bool // Set has succeeded
	key := func(p *phone) Crypto { return p.stream.Send }
	try := func(i int, s Stream) {
		if legs[i].Set(s) == nil {
			phones[i].stream, stood[i] = s, true
		}
	}
	try(0, c.a.stream)
	try(1, c.b.stream)
	for range 80 {
		i := random.IntN(3)
		if legs[i] == nil {
			legs[i] = addLeg(t, c.session, Access)
		}
		j := (i + 1 + random.IntN(2)) % 3
		s := phones[i].stream
		switch random.IntN(9) {
		case 0: // a key of the box's own
			s.Send, _ = newKey(t, suite)
			s.Shared = false
			try(i, s)
		case 1: // some other phone's
			s.Send, s.Shared = phones[j].stream.Recv, true
			try(i, s)
		case 2: // the same without saying so
			s.Send, s.Shared = phones[j].stream.Recv, false
			try(i, s)
		case 3: // the phone's own key changes, and it begins anew
			recv, seal := newKey(t, suite)
			s.Recv = recv
			if legs[i].Set(s) == nil {
				phones[i].stream, phones[i].seal, stood[i] = s, seal, true
			}
		case 4:
			s.ToPeer = !s.ToPeer
			try(i, s)
		case 5:
			if legs[j] != nil {
				c.session.Connect(legs[i], legs[j])
			}
		case 6:
			_, _ = legs[i].Play(newPrompt(t, newFrames(t, "PCMU", 3)), PlayOptions{})
		case 7:
			legs[i].StopPlay()
		case 8:
			if i == 2 {
				legs[2].Close()
				legs[2], stood[2] = nil, false
			}
		}
		for i, p := range phones {
			if legs[i] == nil || !stood[i] {
				continue
			}
			pkt := p.next(0, "one and the same text, again and again", false)
			note(p.stream.Recv, pkt)
			peers[string(p.stream.Recv.Key)] = true
			p.send(legs[i], pkt)
		}
		for _, p := range phones { // give the relay a moment: what comes later is noted later, under the key of then
			for {
				pkt, ok := readSoon(p)
				if !ok {
					break
				}
				if _, err := contextOf(t, key(p)).DecryptRTP(nil, pkt, nil); err != nil {
					continue // sealed before the last change
				}
				before := len(seen)
				note(key(p), pkt)
				if peers[string(key(p).Key)] && len(seen) != before {
					t.Fatal("the box has sealed under a peer's key")
				}
			}
		}
	}
	if len(seen) < 150 {
		t.Errorf("only %d packets", len(seen))
	}
}

// readSoon gives what arrives within a moment.
func readSoon(p *phone) ([]byte, bool) {
	b := make([]byte, 3000)
	p.rtp.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
	n, _, err := p.rtp.ReadFromUDPAddrPort(b)
	return b[:n], err == nil
}

func TestSharedStepAllocatesNothing(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"} {
		if racing && suite == "AES_CM_128_HMAC_SHA1_80" {
			continue
		}
		s := newSharedStepper(t, suite)
		if n := testing.AllocsPerRun(300, func() { s.port.Receive(s.load(t), s.from, s.now) }); n != 0 {
			t.Errorf("%s: %v allocations", suite, n)
		}
		if got := s.opened(); got != 301 {
			t.Errorf("%s: %d packets came out", suite, got)
		}
	}
}

func newSharedStepper(t testing.TB, suite string) *stepper {
	t.Helper()
	c := sharing(t, newRelay(t, sharedConfig()), suite)
	t.Cleanup(c.session.Close)
	c.set(t)
	return stepperOf(t, c, suite)
}
