package sdp

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParseCrypto(t *testing.T) {
	k := func(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }
	for _, c := range []struct {
		in, suite string
		life      uint64
		mki       string
	}{
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30), AES128SHA80, 0, ""},
		{"2 AES_CM_128_HMAC_SHA1_32 inline:" + k(30) + "|2^20", AES128SHA32, 1 << 20, ""},
		{"3 AES_256_CM_HMAC_SHA1_80 INLINE:" + k(46) + "|1048576|1:4", AES256SHA80, 1 << 20, "\x00\x00\x00\x01"},
		{"4 AES_CM_256_HMAC_SHA1_32 inline:" + k(46) + "|66:2", AES256SHA32, 0, "\x00\x42"},
		{"5 aead_aes_128_gcm inline:" + k(28), AES128GCM, 0, ""},
		{"6 AEAD_AES_256_GCM inline:" + strings.TrimRight(k(44), "="), AES256GCM, 0, ""},
		{"7 AES_CM_128_HMAC_SHA1_80  inline:" + k(30) + "  WSH=128 -EXTRA=1", AES128SHA80, 0, ""},
		{"999999999 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|2^48", AES128SHA80, 1 << 48, ""},
	} {
		got, err := parseCrypto(c.in)
		if err != nil || got.Suite != c.suite || got.Lifetime != c.life || string(got.MKI) != c.mki || len(got.Key) != KeyLen(c.suite) {
			t.Errorf("%q: %v %x, %v", c.in, got, got.MKI, err)
			continue
		}
		line, err := got.line()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseCrypto(line)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(got) || !bytes.Equal(again.Key, got.Key) || !bytes.Equal(again.MKI, got.MKI) {
			t.Errorf("%q became %q: %v", c.in, line, err)
		}
	}
	for _, in := range []string{
		"", "1", "1 AES_CM_128_HMAC_SHA1_80", "x AES_CM_128_HMAC_SHA1_80 inline:" + k(30), "-1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30),
		"1234567890 AES_CM_128_HMAC_SHA1_80 inline:" + k(30),
		"1 F8_128_HMAC_SHA1_80 inline:" + k(30), "1 NULL inline:" + k(30),
		"1 AES_CM_128_HMAC_SHA1_80 uri:" + k(30), "1 AES_CM_128_HMAC_SHA1_80 in", "1 AES_CM_128_HMAC_SHA1_80 inline:",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(29), "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(31), "1 AES_256_CM_HMAC_SHA1_80 inline:" + k(30),
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("*", 40),
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + ";inline:" + k(30) + "|1:4",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|2^49", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|0", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|281474976710657", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|1:4|2^20", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|2^20|2^20",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|2^20|1:4|x", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|256:1",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|1:0", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|1:129", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + "|a:4",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + " KDR=1", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + " UNENCRYPTED_SRTP",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + " UNAUTHENTICATED_SRTP", "1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + " FEC_KEY=inline:x",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + k(30) + " EXTRA",
	} {
		if c, err := parseCrypto(in); err == nil {
			t.Errorf("%q accepted: %v", in, c)
		}
	}
}

func TestRepeatedTagAndBound(t *testing.T) {
	lines := []string{"a=crypto:1 NULL inline:" + key30, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key30, "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" + key30}
	d, err := Parse(with("m=audio 4000 RTP/SAVP 0", lines...))
	if err != nil || len(d.Crypto) != 1 || d.Crypto[0].Suite != AES128SHA80 {
		t.Errorf("%v, %v", d.Crypto, err)
	}
	lines = nil
	for i := range maxCrypto + 5 {
		lines = append(lines, fmt.Sprintf("a=crypto:%d AES_CM_128_HMAC_SHA1_80 inline:%s", i, key30))
	}
	if d, err = Parse(with("m=audio 4000 RTP/SAVP 0", lines...)); err != nil || len(d.Crypto) != maxCrypto {
		t.Errorf("%d lines kept, %v", len(d.Crypto), err)
	}
}

func TestOfferAndAnswerKeys(t *testing.T) {
	offer, err := NewKeys(DefaultSuites(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, c := range offer {
		if c.Tag != i+1 || len(c.Key) != KeyLen(c.Suite) || seen[string(c.Key)] {
			t.Errorf("offered %v", c)
		}
		seen[string(c.Key)] = true
	}
	offer[1].Spelling = "AES_CM_256_HMAC_SHA1_80"
	chosen, ok := SelectCrypto(offer[1:])
	if !ok || chosen.Tag != 2 {
		t.Fatalf("selected %v", chosen)
	}
	answer, err := chosen.Answer(rand.Reader)
	if err != nil || answer.Tag != 2 || bytes.Equal(answer.Key, chosen.Key) {
		t.Fatalf("answer %v, %v", answer, err)
	}
	if line, _ := answer.line(); !strings.HasPrefix(line, "2 AES_CM_256_HMAC_SHA1_80 inline:") {
		t.Errorf("answer %q does not repeat the offer's spelling", line)
	}
	ours, theirs, ok := MatchCrypto(offer, []Crypto{answer})
	if !ok || !bytes.Equal(ours.Key, offer[1].Key) || !bytes.Equal(theirs.Key, answer.Key) {
		t.Errorf("match: %v %v %v", ours, theirs, ok)
	}
	swapped := answer
	swapped.Suite = AES128SHA32
	unknown := answer
	unknown.Tag = 99
	for _, bad := range [][]Crypto{nil, {swapped}, {unknown}} {
		if _, _, ok := MatchCrypto(offer, bad); ok {
			t.Errorf("%v accepted", bad)
		}
	}
	if _, ok := SelectCrypto(nil); ok {
		t.Error("selected from nothing")
	}
	if _, err := NewKey("NULL", rand.Reader); err == nil {
		t.Error("key for an unknown suite")
	}
	if _, err := NewKey(AES128GCM, bytes.NewReader(nil)); err == nil {
		t.Error("key without randomness")
	}
	answer.Wipe()
	if !bytes.Equal(answer.Key, make([]byte, 46)) {
		t.Error("not wiped")
	}
}

// A description in a log must not give keys away.
func TestKeysStayOutOfLogs(t *testing.T) {
	d, err := Parse(baresip)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(key30)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "d", d, "c", d.Crypto[0])
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "d", d, "c", d.Crypto[0])
	fmt.Fprintf(&log, "%v %+v %#v %s", d, d, d, d.Crypto)
	b, _ := json.Marshal(d)
	log.Write(b)
	for _, secret := range []string{key30, string(raw), fmt.Sprint(raw)[1:20], fmt.Sprintf("%#v", raw)[7:30]} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q in %s", secret, log.String())
		}
	}
}
