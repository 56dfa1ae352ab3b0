package srtp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"holdfast/media/rtp"
)

func newPair(t testing.TB, suite string, mki []byte) (*Sealer, *Opener, []byte) {
	t.Helper()
	s, err := ParseSuite(suite)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, s.Key+s.Salt)
	rand.Read(key)
	return sealer(t, suite, key, mki), opener(t, suite, key, mki), key
}

func sealer(t testing.TB, suite string, key, mki []byte) *Sealer {
	t.Helper()
	s, err := NewSealer(suite, key, mki)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func opener(t testing.TB, suite string, key, mki []byte) *Opener {
	t.Helper()
	o, err := NewOpener(suite, key, mki)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func media(ssrc uint32, seq uint16, payload int) []byte {
	pkt := make([]byte, rtp.FixedSize+payload, rtp.FixedSize+payload+Overhead)
	(&rtp.Header{PayloadType: 96, Sequence: seq, Timestamp: uint32(seq) * 160, SSRC: ssrc}).Put(pkt)
	for i := range payload {
		pkt[rtp.FixedSize+i] = byte(i) ^ byte(seq)
	}
	return pkt
}

func control(ssrc uint32) []byte {
	return rtp.Report{SSRC: ssrc, Sender: true, Info: rtp.SenderInfo{NTP: 1 << 40, Packets: 7}}.Append(make([]byte, 0, 300), "somebody")
}

func mustSeal(t testing.TB, s *Sealer, pkt []byte) []byte {
	t.Helper()
	out, err := s.RTP(withRoom(pkt))
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	return out
}

func eachSuite(t *testing.T, f func(t *testing.T, suite string)) {
	for _, s := range suites {
		t.Run(s.Name, func(t *testing.T) { f(t, s.Name) })
	}
}

func TestRoundTrip(t *testing.T) {
	for _, mki := range [][]byte{nil, {1}, []byte("1234"), bytes.Repeat([]byte{9}, MaxMKI)} {
		eachSuite(t, func(t *testing.T, suite string) {
			s, o, _ := newPair(t, suite, mki)
			for seq := range 300 {
				want := media(7, uint16(seq+65400), seq) // crosses the roll-over
				sealed := mustSeal(t, s, want)
				if seq > 8 && bytes.Contains(sealed, want[rtp.FixedSize:]) {
					t.Fatal("the payload is not encrypted")
				}
				if got, err := o.RTP(sealed); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("packet %d: %x, %v", seq, got, err)
				}
				c := control(7)
				sealed, err := s.RTCP(withRoom(c))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := o.RTCP(sealed); err != nil || !bytes.Equal(got, c) {
					t.Fatalf("RTCP %d: %x, %v", seq, got, err)
				}
			}
			if s.ROC(7) != 1 || o.ROC(7) != 1 {
				t.Errorf("roll-over counts %d and %d, want 1", s.ROC(7), o.ROC(7))
			}
		})
	}
}

// Any flipped bit, and any cut, must be refused and must leave no trace.
func TestForgeriesChangeNothing(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, o, _ := newPair(t, suite, []byte("mki"))
		mustOpen := func(pkt []byte) {
			t.Helper()
			if _, err := o.RTP(pkt); err != nil {
				t.Fatal(err)
			}
		}
		mustOpen(mustSeal(t, s, media(1, 100, 40)))
		before := o.known
		sealed := mustSeal(t, s, media(1, 101, 40))
		sealedRTCP, err := s.RTCP(control(1))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(sealed) {
			forged := bytes.Clone(sealed)
			forged[bit/8] ^= 1 << (bit % 8)
			if _, err := o.RTP(forged); err == nil {
				t.Fatalf("accepted with bit %d flipped", bit)
			}
		}
		for n := range len(sealed) {
			if _, err := o.RTP(bytes.Clone(sealed[:n])); err == nil {
				t.Fatalf("accepted when cut to %d bytes", n)
			}
		}
		for bit := range 8 * len(sealedRTCP) {
			forged := bytes.Clone(sealedRTCP)
			forged[bit/8] ^= 1 << (bit % 8)
			if _, err := o.RTCP(forged); err == nil {
				t.Fatalf("RTCP accepted with bit %d flipped", bit)
			}
		}
		for n := range len(sealedRTCP) {
			if _, err := o.RTCP(bytes.Clone(sealedRTCP[:n])); err == nil {
				t.Fatalf("RTCP accepted when cut to %d bytes", n)
			}
		}
		if o.known != before {
			t.Error("a forgery changed the state")
		}
		mustOpen(sealed)
		if _, err := o.RTCP(sealedRTCP); err != nil {
			t.Error(err)
		}
	})
}

func TestReplayAndOrder(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, o, _ := newPair(t, suite, nil)
		var sent [][]byte
		for seq := range 300 {
			sent = append(sent, mustSeal(t, s, media(1, uint16(65300+seq), 20)))
		}
		open := func(n int) error { _, err := o.RTP(bytes.Clone(sent[n])); return err }
		for _, step := range []struct {
			n    int
			want error
		}{
			{10, nil}, {10, ErrReplayed}, {5, nil}, {5, ErrReplayed}, {0, nil}, {240, nil}, // over the roll-over
			{235, nil}, {235, ErrReplayed}, {113, nil}, {112, ErrReplayed}, {10, ErrReplayed}, {299, nil}, {241, nil}, {299, ErrReplayed},
		} {
			if err := open(step.n); !errors.Is(err, step.want) {
				t.Fatalf("packet %d: %v, want %v", step.n, err, step.want)
			}
		}
		c, err := s.RTCP(control(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.RTCP(bytes.Clone(c)); err != nil {
			t.Fatal(err)
		}
		if _, err := o.RTCP(c); !errors.Is(err, ErrReplayed) {
			t.Fatalf("RTCP replay: %v", err)
		}
	})
}

// No index is sealed twice, in whatever order sequence numbers come.
func TestSealerNeverRepeats(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, _, _ := newPair(t, suite, nil)
		type use struct {
			roc uint32
			seq uint16
		}
		used := map[use]bool{}
		var noise [2]byte
		seq := uint16(65000)
		for range 20000 {
			rand.Read(noise[:])
			try := seq + uint16(noise[0])%200 - 150
			_, err := s.RTP(media(1, try, 4))
			if err != nil {
				if !errors.Is(err, ErrReused) {
					t.Fatal(err)
				}
				continue
			}
			var roc uint32
			if st := s.known[0].rtp; uint16(st.top) < try && uint16(st.top) < 1000 {
				roc = uint32(st.top>>16) - 1
			} else {
				roc = uint32(st.top >> 16)
			}
			if u := (use{roc, try}); used[u] {
				t.Fatalf("index %v sealed twice", u)
			} else {
				used[u] = true
			}
			if int16(try-seq) > 0 {
				seq = try
			}
		}
		if len(used) < 5000 {
			t.Fatalf("only %d packets sealed", len(used))
		}
	})
}

func TestSealerLimits(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, o, _ := newPair(t, suite, nil)
		pkt := media(1, 1, 10)
		if _, err := s.RTP(pkt[:len(pkt):len(pkt)]); !errors.Is(err, ErrRoom) {
			t.Errorf("no room: %v", err)
		}
		if _, err := s.RTP(pkt[:11]); !errors.Is(err, ErrMalformed) {
			t.Errorf("short: %v", err)
		}
		c := control(1)
		if _, err := s.RTCP(c[:len(c):len(c)]); !errors.Is(err, ErrRoom) {
			t.Errorf("no room for RTCP: %v", err)
		}
		for ssrc := range uint32(maxSealed) {
			mustSeal(t, s, media(ssrc, 1, 10))
		}
		if _, err := s.RTP(media(99, 1, 10)); !errors.Is(err, ErrSources) {
			t.Errorf("fifth SSRC: %v", err)
		}
		s.known[0].rtcp = encrypted
		if _, err := s.RTCP(control(0)); !errors.Is(err, ErrExhausted) {
			t.Errorf("RTCP index used up: %v", err)
		}
		s.known[0].rtp = window{started: true, top: 1<<48 - 1}
		if _, err := s.RTP(media(0, 0, 10)); !errors.Is(err, ErrExhausted) {
			t.Errorf("index used up: %v", err)
		}
		s.Wipe()
		o.Wipe()
		if _, err := s.RTP(media(0, 5, 10)); !errors.Is(err, ErrWiped) {
			t.Errorf("wiped: %v", err)
		}
		if _, err := s.RTCP(control(0)); !errors.Is(err, ErrWiped) {
			t.Errorf("wiped RTCP: %v", err)
		}
		if _, err := o.RTP(media(0, 5, 10)); !errors.Is(err, ErrWiped) {
			t.Errorf("wiped opener: %v", err)
		}
		if _, err := o.RTCP(control(0)); !errors.Is(err, ErrWiped) {
			t.Errorf("wiped opener, RTCP: %v", err)
		}
		s.Wipe() // again does nothing
	})
}

func TestOpenerForgetsTheOldestSource(t *testing.T) {
	s, o, key := newPair(t, "AES_CM_128_HMAC_SHA1_80", nil)
	_ = s
	for ssrc := range uint32(maxOpened) {
		if _, err := o.RTP(mustSeal(t, sealer(t, "AES_CM_128_HMAC_SHA1_80", key, nil), media(ssrc, 1, 10))); err != nil {
			t.Fatal(err)
		}
	}
	fresh := sealer(t, "AES_CM_128_HMAC_SHA1_80", key, nil)
	if _, err := o.RTP(mustSeal(t, fresh, media(0, 2, 10))); err != nil { // 0 is heard again: 1 is now the oldest
		t.Fatal(err)
	}
	if _, err := o.RTP(mustSeal(t, fresh, media(100, 1, 10))); err != nil {
		t.Fatal(err)
	}
	if o.find(1) != nil || o.find(0) == nil || o.find(100) == nil {
		t.Error("the wrong source was forgotten")
	}
}

func TestUnencryptedRTCPIsRefused(t *testing.T) {
	s, o, _ := newPair(t, "AES_CM_128_HMAC_SHA1_80", nil)
	c, err := s.RTCP(control(1))
	if err != nil {
		t.Fatal(err)
	}
	// A correctly authenticated packet whose E bit is off.
	at := len(c) - rtcpTag - 4
	binary.BigEndian.PutUint32(c[at:], 5)
	x := s.t.(*cm)
	copy(c[at+4:], x.hasher.compute(&x.rtcp.mac, c[:at+4], nil)[:rtcpTag])
	if _, err := o.RTCP(c); !errors.Is(err, ErrAuth) {
		t.Errorf("%v", err)
	}
}

// A stream that comes under a new key at a roll-over count other than 0.
func TestRollOverCountOutlivesTheKey(t *testing.T) {
	for _, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
		s, o, _ := newPair(t, suite, nil)
		s.n, s.known[0] = 1, sent{ssrc: 1, rtp: window{started: true, top: 3<<16 | 99}}
		pkt := mustSeal(t, s, media(1, 100, 20))
		if _, err := o.RTP(bytes.Clone(pkt)); !errors.Is(err, ErrAuth) {
			t.Fatal("opened at the wrong roll-over count")
		}
		if _, err := o.RTPFrom(bytes.Clone(pkt), 3); err != nil {
			t.Fatal(err)
		}
		if _, err := o.RTP(mustSeal(t, s, media(1, 101, 20))); err != nil {
			t.Fatal(err)
		}
		if o.ROC(1) != 3 {
			t.Errorf("roll-over count %d", o.ROC(1))
		}
	}
}

func TestTagLengths(t *testing.T) {
	for _, tt := range []struct {
		suite     string
		rtp, rtcp int
	}{
		{"AES_CM_128_HMAC_SHA1_80", 10, 14}, {"AES_CM_128_HMAC_SHA1_32", 4, 14},
		{"AES_256_CM_HMAC_SHA1_80", 10, 14}, {"AES_256_CM_HMAC_SHA1_32", 4, 14},
		{"AEAD_AES_128_GCM", 16, 20}, {"AEAD_AES_256_GCM", 16, 20},
	} {
		s, _, _ := newPair(t, tt.suite, nil)
		pkt, c := media(1, 1, 20), control(1)
		if n := len(mustSeal(t, s, pkt)) - len(pkt); n != tt.rtp {
			t.Errorf("%s: %d bytes more, want %d", tt.suite, n, tt.rtp)
		}
		if out, err := s.RTCP(withRoom(c)); err != nil || len(out)-len(c) != tt.rtcp {
			t.Errorf("%s: RTCP %d bytes more, want %d (%v)", tt.suite, len(out)-len(c), tt.rtcp, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	for _, tt := range []struct {
		name, suite string
		key, mki    int
	}{
		{"no suite", "", 30, 0}, {"unknown suite", "F8_128_HMAC_SHA1_80", 30, 0}, {"lower case", "aes_cm_128_hmac_sha1_80", 30, 0},
		{"no key", "AES_CM_128_HMAC_SHA1_80", 0, 0}, {"short key", "AES_CM_128_HMAC_SHA1_80", 29, 0}, {"long key", "AEAD_AES_128_GCM", 30, 0},
		{"key of another size", "AES_256_CM_HMAC_SHA1_32", 30, 0}, {"long MKI", "AES_CM_128_HMAC_SHA1_80", 30, 129},
	} {
		if _, err := NewOpener(tt.suite, make([]byte, tt.key), make([]byte, tt.mki)); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
		if _, err := NewSealer(tt.suite, make([]byte, tt.key), make([]byte, tt.mki)); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	if s, err := ParseSuite("AES_CM_256_HMAC_SHA1_32"); err != nil || s.Name != "AES_256_CM_HMAC_SHA1_32" {
		t.Errorf("the misspelt name: %v, %v", s, err)
	}
}

func TestWipeLeavesNoKey(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		s, _, _ := newPair(t, suite, nil)
		switch x := s.t.(type) {
		case *cm:
			s.Wipe()
			if x.rtp != (counter{}) || x.rtcp != (counter{}) {
				t.Error("something is left")
			}
		case *gcm:
			s.Wipe()
			for _, k := range []*aead{&x.rtp, &x.rtcp} {
				if k.salt != [12]byte{} || k.iv != [12]byte{} || !reflect.ValueOf(k.cipher).Elem().IsZero() || !reflect.ValueOf(k.block).Elem().IsZero() {
					t.Error("something is left")
				}
			}
		}
	})
}

// The master key is forgotten as soon as the session keys are made of it.
func TestWipeLeavesNoMasterKey(t *testing.T) {
	d, err := newDeriver(bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 14))
	if err != nil {
		t.Fatal(err)
	}
	d.wipe()
	if d.salt != [14]byte{} || !reflect.ValueOf(d.block).Elem().IsZero() {
		t.Error("something is left")
	}
}
