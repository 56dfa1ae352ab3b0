package voice

import (
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// pair negotiates two streams over their SDP texts.
func pair(t *testing.T, a, b Config) (*Stream, *Stream) {
	t.Helper()
	a.IP, b.IP = loopback, loopback
	sa, err := Open(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sa.Close)
	sb, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sb.Close)
	negotiate(t, sa, sb, "sendrecv")
	return sa, sb
}

func negotiate(t *testing.T, from, to *Stream, dir string) {
	t.Helper()
	offer, err := ParseDescription(from.Offer(dir).Marshal())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := to.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err = ParseDescription(answer.Marshal()); err != nil {
		t.Fatal(err)
	}
	if err := from.Accept(answer); err != nil {
		t.Fatal(err)
	}
}

// until polls a stream's ear; the deadline only bounds a failure.
func until(t *testing.T, s *Stream, what string, ok func(Heard) bool) Heard {
	t.Helper()
	var h Heard
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if h = s.Heard(); ok(h) {
			return h
		}
	}
	t.Fatalf("%s: %+v", what, h)
	return h
}

func TestEverySuiteCarriesTones(t *testing.T) {
	for _, suite := range []string{
		"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32",
		"AEAD_AES_128_GCM", "AEAD_AES_256_GCM",
	} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t,
				Config{Codecs: []string{"pcmu"}, Suites: []string{suite}, Hz: 440},
				Config{Codecs: []string{"pcmu"}, Suites: []string{suite}, Hz: 700})
			a.Listen() // what came before the answer could not be opened
			b.Listen()
			tone := func(hz float64) func(Heard) bool {
				return func(h Heard) bool { return math.Abs(h.Hz-hz) <= 5 && h.Share > 0.9 && h.Reports > 0 }
			}
			ha, hb := until(t, a, "a hears b", tone(700)), until(t, b, "b hears a", tone(440))
			if ha.Failed+hb.Failed > 0 || a.Suite() != suite {
				t.Errorf("failed %d and %d, suite %s", ha.Failed, hb.Failed, a.Suite())
			}
		})
	}
}

func TestOpusDigitsAndHold(t *testing.T) {
	a, b := pair(t,
		Config{Codecs: []string{"opus", "pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}, Recording: RecordingA, EventClock: 48000},
		Config{Codecs: []string{"pcmu", "opus"}, Suites: []string{"AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"}, Recording: RecordingB})
	if a.Codec() != "opus" || b.Codec() != "opus" {
		t.Fatalf("codecs %s %s, want the offer's first", a.Codec(), b.Codec())
	}
	until(t, a, "a hears recording B", func(h Heard) bool { return h.OpusGood > 20 && h.OpusBad == 0 && h.Recording == RecordingB })
	until(t, b, "b hears recording A", func(h Heard) bool { return h.OpusGood > 20 && h.OpusBad == 0 && h.Recording == RecordingA })
	if err := a.Dial("1#"); err != nil {
		t.Fatal(err)
	}
	until(t, b, "b hears digits", func(h Heard) bool { return h.Digits == "1#" })

	negotiate(t, a, b, "inactive")
	for end := time.Now().Add(30 * time.Second); ; { // what is in flight may still come
		a.Listen()
		b.Listen()
		time.Sleep(200 * time.Millisecond)
		ha, hb := a.Heard(), b.Heard()
		if ha.Packets+hb.Packets == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("packets while inactive: %d and %d", ha.Packets, hb.Packets)
		}
	}
	negotiate(t, b, a, "sendrecv") // with the same keys and the sequence going on
	until(t, a, "a hears again", func(h Heard) bool { return h.OpusGood > 5 && h.OpusBad == 0 })
	until(t, b, "b hears again", func(h Heard) bool { return h.OpusGood > 5 && h.OpusBad == 0 })
}

func TestAnswerRefuses(t *testing.T) {
	s, err := Open(Config{IP: loopback, Codecs: []string{"pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good := newKey(1, "AES_CM_128_HMAC_SHA1_80")
	pcmu := []Codec{{0, "pcmu", 8000}}
	for name, d := range map[string]Description{
		"plain RTP":     {Profile: "RTP/AVP", Codecs: pcmu},
		"no codec":      {Profile: "RTP/SAVP", Codecs: []Codec{{18, "g729", 8000}}, Crypto: []Crypto{good}},
		"no crypto":     {Profile: "RTP/SAVP", Codecs: pcmu},
		"another suite": {Profile: "RTP/SAVP", Codecs: pcmu, Crypto: []Crypto{newKey(1, "AEAD_AES_256_GCM")}},
	} {
		if _, err := s.Answer(d); !errors.Is(err, ErrNoCommon) {
			t.Errorf("%s: %v, want ErrNoCommon", name, err)
		}
	}
	short := good
	short.Key = short.Key[:10]
	if _, err := s.Answer(Description{Profile: "RTP/SAVP", Codecs: pcmu, Crypto: []Crypto{short}}); err == nil {
		t.Error("a key of 10 bytes was taken")
	}
}

func TestParseDescriptionBad(t *testing.T) {
	for name, body := range map[string]string{
		"empty":       "",
		"no equals":   "v=0\r\nnonsense\r\n",
		"ipv6":        "v=0\r\nc=IN IP6 ::1\r\nm=audio 4000 RTP/SAVP 0\r\n",
		"no audio":    "v=0\r\nc=IN IP4 127.0.0.1\r\nm=video 4000 RTP/SAVP 96\r\n",
		"bad port":    "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 70000 RTP/SAVP 0\r\n",
		"bad key":     "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:??\r\n",
		"bad mapping": "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/SAVP 96\r\na=rtpmap:96 opus\r\n",
		"no address":  "v=0\r\nm=audio 4000 RTP/SAVP 0\r\n",
	} {
		if _, err := ParseDescription([]byte(body)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
