package sdp

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

const key30 = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz" // RFC 4568 §6.1

func body(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n") + "\r\n") }

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// Offers as real user agents write them.
var (
	linphone = body("v=0", "o=alice 3411 1992 IN IP4 192.168.7.21", "s=Talk", "c=IN IP4 192.168.7.21", "t=0 0",
		"a=ice-pwd:7f2a0c6c1e5b9f0a3c8d1e2f", "a=ice-ufrag:ab12cd34",
		"a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics", "a=record:off",
		"m=audio 7078 RTP/SAVP 96 97 98 0 8 18 101 99 100",
		"a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=rtpmap:97 speex/16000", "a=fmtp:97 vbr=on",
		"a=rtpmap:98 speex/8000", "a=fmtp:98 vbr=on", "a=fmtp:18 annexb=yes",
		"a=rtpmap:101 telephone-event/48000", "a=rtpmap:99 telephone-event/16000", "a=rtpmap:100 telephone-event/8000",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30,
		"a=crypto:2 AES_CM_256_HMAC_SHA1_80 inline:"+strings.Repeat("A", 62),
		"a=crypto:3 AEAD_AES_128_GCM inline:"+strings.Repeat("B", 38),
		"a=rtcp-fb:* trr-int 1000",
		"m=video 9078 RTP/SAVP 96", "a=rtpmap:96 VP8/90000")

	baresip = body("v=0", "o=- 1234567890 987654321 IN IP4 10.0.0.7", "s=-", "c=IN IP4 10.0.0.7", "t=0 0", "a=tool:baresip 3.9.0",
		"m=audio 21484 RTP/SAVP 96 0 8 97", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 stereo=1;sprop-stereo=1",
		"a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:97 telephone-event/8000", "a=fmtp:97 0-15",
		"a=rtcp:21485", "a=rtcp-mux",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+key30, "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"+key30,
		"a=label:1", "a=ssrc:123456 cname:sip:bob@10.0.0.7", "a=minptime:20", "a=ptime:20", "a=sendrecv")

	// Polycom offers SRTP first and RTP as a second line; Yealink writes rtpmaps for all, and "G729A"-style phones exist.
	polycom = body("v=0", "o=John Q. Doe 1700000000 1700000001 IN IP4 10.1.1.30", "s=Polycom IP Phone", "c=IN IP4 10.1.1.30", "t=0 0",
		"a=sendrecv", "m=audio 2222 RTP/AVP 9 0 8 18 127", "a=rtpmap:127 telephone-event/8000", "a=sendonly",
		"m=audio 2224 RTP/SAVP 9 0 8 18 127", "a=crypto:10 AES_CM_128_HMAC_SHA1_80 inline:"+key30+"|2^31|1:4 WSH=64",
		"a=rtpmap:9 G722/8000", "a=rtpmap:18 g729a/8000", "a=fmtp:18 annexb=no", "a=rtpmap:127 Telephone-Event/8000", "a=fmtp:127 0-15")

	sipp = []byte("v=0\no=user1 53655765 2353687637 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 6000 RTP/AVP 0\na=rtpmap:0 PCMU/8000\n\n")
)

func TestParseRealOffers(t *testing.T) {
	d, err := Parse(linphone)
	if err != nil {
		t.Fatal(err)
	}
	if d.Remote != ap("192.168.7.21:7078") || d.Mux || !d.Secure() || d.Direction != SendRecv || d.SessionID != 3411 || d.Version != 1992 {
		t.Errorf("linphone: %+v", d)
	}
	if len(d.Codecs) != 9 || d.Codecs[0] != (Codec{96, Opus, 48000, 2, "useinbandfec=1"}) || d.Codecs[5] != (Codec{18, G729, 8000, 1, "annexb=yes"}) ||
		d.Codecs[3] != (Codec{0, PCMU, 8000, 1, ""}) || d.Codecs[6] != (Codec{101, Event, 48000, 1, ""}) {
		t.Errorf("linphone codecs: %+v", d.Codecs)
	}
	if want := []MediaLine{{"audio", "RTP/SAVP", "96"}, {"video", "RTP/SAVP", "96"}}; !reflect.DeepEqual(d.Lines, want) || d.Index != 0 {
		t.Errorf("linphone lines: %+v", d.Lines)
	}
	if len(d.Crypto) != 3 || d.Crypto[1].Suite != AES256SHA80 || d.Crypto[1].Spelling != "AES_CM_256_HMAC_SHA1_80" || len(d.Crypto[1].Key) != 46 || d.Crypto[2].Suite != AES128GCM {
		t.Errorf("linphone crypto: %v", d.Crypto)
	}

	d, err = Parse(baresip)
	if err != nil {
		t.Fatal(err)
	}
	if d.RTCP != ap("10.0.0.7:21485") || !d.Mux || d.Ptime != 20 || len(d.Crypto) != 2 || len(d.Codecs) != 4 || d.Codecs[3] != (Codec{97, Event, 8000, 1, "0-15"}) {
		t.Errorf("baresip: %+v", d)
	}

	d, err = Parse(polycom)
	if err != nil {
		t.Fatal(err)
	}
	if d.Remote != ap("10.1.1.30:2224") || d.Index != 1 || len(d.Lines) != 2 || d.Direction != SendRecv || d.SessionID != 1700000000 {
		t.Errorf("polycom: %+v", d)
	}
	c := d.Crypto[0]
	if c.Tag != 10 || c.Lifetime != 1<<31 || string(c.MKI) != "\x00\x00\x00\x01" || len(c.Key) != 30 {
		t.Errorf("polycom crypto: %v %d %x", c, c.Lifetime, c.MKI)
	}
	if d.Codecs[3] != (Codec{18, G729, 8000, 1, "annexb=no"}) || d.Codecs[4].Name != Event || d.Codecs[0].Name != "G722" {
		t.Errorf("polycom codecs: %+v", d.Codecs)
	}

	d, err = Parse(sipp)
	if err != nil || d.Remote != ap("127.0.0.1:6000") || d.Profile != "RTP/AVP" || d.Secure() || len(d.Codecs) != 1 {
		t.Errorf("sipp: %+v, %v", d, err)
	}
}

// with builds a minimal offer; extra lines follow the audio line.
func with(mline string, extra ...string) []byte {
	return body(append([]string{"v=0", "o=- 1 1 IN IP4 10.0.0.1", "s=-", "c=IN IP4 10.0.0.1", "t=0 0", mline}, extra...)...)
}

func TestDirections(t *testing.T) {
	for _, c := range []struct {
		extra []string
		want  Direction
		hold  bool
	}{
		{nil, SendRecv, false},
		{[]string{"a=sendonly"}, SendOnly, true},
		{[]string{"a=recvonly"}, RecvOnly, false},
		{[]string{"a=inactive"}, Inactive, true},
		{[]string{"c=IN IP4 0.0.0.0"}, SendOnly, true},
		{[]string{"c=IN IP4 0.0.0.0", "a=recvonly"}, Inactive, true},
		{[]string{"c=IN IP4 0.0.0.0", "a=inactive"}, Inactive, true},
	} {
		d, err := Parse(with("m=audio 4000 RTP/AVP 0", c.extra...))
		if err != nil || d.Direction != c.want || d.Hold() != c.hold {
			t.Errorf("%q: %+v, %v, want %v", c.extra, d, err, c.want)
		}
	}
	for d, want := range map[Direction]Direction{SendRecv: SendRecv, SendOnly: RecvOnly, RecvOnly: SendOnly, Inactive: Inactive} {
		if d.Reverse() != want || want.Reverse() != d || d.And(SendRecv) != d || d.And(d.Reverse()) != d.Reverse().And(d) {
			t.Errorf("%v: reverse %v, want %v", d, d.Reverse(), want)
		}
	}
	if SendOnly.And(RecvOnly) != Inactive {
		t.Error("sendonly and recvonly leave something")
	}
	session := body("v=0", "o=- 1 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1", "a=inactive", "m=audio 4000 RTP/AVP 0", "a=sendrecv", "m=audio 4000 RTP/AVP 0")
	if d, err := Parse(session); err != nil || d.Direction != SendRecv {
		t.Errorf("media direction does not override the session's: %+v, %v", d, err)
	}
}

func TestParseBad(t *testing.T) {
	long := make([]string, 600)
	for i := range long {
		long[i] = "a=x"
	}
	media := make([]string, 17)
	for i := range media {
		media[i] = "m=audio 4000 RTP/AVP 0"
	}
	for _, c := range []struct {
		name string
		body []byte
		line int
		is   error
		text string
	}{
		{"empty", nil, 0, nil, "no v= and o="},
		{"too large", []byte(strings.Repeat("x", maxBody+1)), 0, nil, "bytes"},
		{"too many lines", with("m=audio 4000 RTP/AVP 0", long...), 513, nil, "lines"},
		{"too many media", with("a=x", media...), 23, nil, "media lines"},
		{"too many formats", with("m=audio 4000 RTP/AVP" + strings.Repeat(" 0", 65)), 6, nil, "formats"},
		{"not sdp", []byte("hello"), 1, nil, "x=value"},
		{"version", body("v=1"), 1, nil, "v=0"},
		{"version later", body("o=- 1 1 IN IP4 10.0.0.1", "v=0"), 1, nil, "v=0"},
		{"no origin", body("v=0", "s=-", "c=IN IP4 1.2.3.4", "m=audio 4000 RTP/AVP 0"), 0, nil, "o="},
		{"two origins", body("v=0", "o=- 1 1 IN IP4 10.0.0.1", "o=- 1 1 IN IP4 10.0.0.1"), 3, nil, "o="},
		{"short origin", body("v=0", "o=- 1 IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"), 2, nil, "six fields"},
		{"origin id", body("v=0", "o=- x 1 IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"), 2, nil, "session id"},
		{"origin version", body("v=0", "o=- 1 -1 IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"), 2, nil, "session version"},
		{"no media", body("v=0", "o=- 1 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1"), 0, ErrNoAudio, ""},
		{"port zero", with("m=audio 0 RTP/AVP 0"), 0, ErrNoAudio, ""},
		{"dtls", with("m=audio 4000 UDP/TLS/RTP/SAVPF 0"), 0, ErrNoAudio, ""},
		{"video only", with("m=video 4000 RTP/AVP 96"), 0, ErrNoAudio, ""},
		{"port", with("m=audio 65536 RTP/AVP 0"), 6, nil, "port"},
		{"negative port", with("m=audio -1 RTP/AVP 0"), 6, nil, "port"},
		{"short media", with("m=audio 4000"), 6, nil, "three fields"},
		{"format name", with("m=audio 4000 RTP/AVP pcmu"), 6, nil, "payload type"},
		{"format 128", with("m=audio 4000 RTP/AVP 128"), 6, nil, "payload type"},
		{"rtpmap type", with("m=audio 4000 RTP/AVP 96", "a=rtpmap:x opus/48000"), 7, nil, "payload type"},
		{"rtpmap", with("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus"), 6, nil, "rtpmap"},
		{"rtpmap clock", with("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/0"), 6, nil, "rtpmap"},
		{"rtpmap channels", with("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 opus/48000/256"), 6, nil, "rtpmap"},
		{"fmtp type", with("m=audio 4000 RTP/AVP 96", "a=fmtp:200 x=1"), 7, nil, "payload type"},
		{"no connection", body("v=0", "o=- 1 1 IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"), 3, nil, "c="},
		{"two connections", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 10.0.0.1", "c=IN IP4 10.0.0.2"), 8, nil, "second c="},
		{"ipv6", with("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1"), 7, ErrIPv6, ""},
		{"ipv6 as ip4", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 ::ffff:10.0.0.1"), 7, ErrIPv6, ""},
		{"ipv6 rtcp", with("m=audio 4000 RTP/AVP 0", "a=rtcp:4001 IN IP6 ::1"), 7, ErrIPv6, ""},
		{"host name", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"), 7, nil, "IPv4"},
		{"multicast", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1"), 7, nil, "unicast"},
		{"multicast ttl", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), 7, nil, "IPv4"},
		{"broadcast", with("m=audio 4000 RTP/AVP 0", "c=IN IP4 255.255.255.255"), 7, nil, "unicast"},
		{"net type", with("m=audio 4000 RTP/AVP 0", "c=ATM IP4 10.0.0.1"), 7, nil, "form"},
		{"rtcp port", with("m=audio 4000 RTP/AVP 0", "a=rtcp:0"), 7, nil, "RTCP port"},
		{"rtcp empty", with("m=audio 4000 RTP/AVP 0", "a=rtcp"), 7, nil, "a=rtcp"},
		{"control character", with("m=audio 4000 RTP/AVP 0", "a=fmtp:0 a\rb"), 7, nil, "control"},
		{"nul", with("m=audio 4000 RTP/AVP 0", "a=fmtp:0 a\x00b"), 7, nil, "control"},
	} {
		d, err := Parse(c.body)
		var at *SyntaxError
		if !errors.As(err, &at) {
			t.Errorf("%s: %+v, %v: want a SyntaxError", c.name, d, err)
			continue
		}
		if at.Line != c.line || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; want line %d, %v %q", c.name, err, c.line, c.is, c.text)
		}
		if errors.Is(err, ErrIPv6) != (c.is == ErrIPv6) {
			t.Errorf("%s: %v about IPv6", c.name, err)
		}
	}
}

func TestParseTolerates(t *testing.T) {
	for name, b := range map[string][]byte{
		"blank lines":       []byte("\n\nv=0\n\no=- 1 1 IN IP4 10.0.0.1\n\nc=IN IP4 10.0.0.1 \nm=audio 4000 RTP/AVP 0  \n\n"),
		"no final newline":  []byte("v=0\no=- 1 1 IN IP4 10.0.0.1\nc=IN IP4 10.0.0.1\nm=audio 4000 RTP/AVP 0"),
		"huge session id":   body("v=0", "o=- 99999999999999999999999999 1 IN IP4 10.0.0.1", "c=IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"),
		"ipv6 origin":       body("v=0", "o=- 1 1 IN IP6 ::1", "c=IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 0"),
		"ipv6 session":      with("m=audio 4000 RTP/AVP 0", "c=IN IP4 10.0.0.1"),
		"ipv6 alternative":  with("m=audio 4002 RTP/AVP 0", "c=IN IP6 ::1", "m=audio 4000 RTP/AVP 0"),
		"lower-case":        with("m=AUDIO 4000 rtp/avp 0"),
		"port pair":         with("m=audio 4000/2 RTP/AVP 0"),
		"repeated format":   with("m=audio 4000 RTP/AVP 0 0"),
		"rejected video":    with("m=audio 4000 RTP/AVP 0", "m=video 0 RTP/AVP"),
		"latin-1 name":      with("s=B\xfcro", "m=audio 4000 RTP/AVP 0"),
		"secure, no key":    with("m=audio 4002 RTP/SAVP 0", "m=audio 4000 RTP/AVP 0"),
		"other stray lines": with("b=AS:80", "k=clear:x", "z=0 0", "m=audio 4000 RTP/AVP 0", "i=x", "a=", "a=ptime:x"),
	} {
		d, err := Parse(b)
		if err != nil || d.Remote != ap("10.0.0.1:4000") || len(d.Codecs) != 1 || d.Codecs[0].Name != PCMU || d.Ptime != 0 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	d, err := Parse(with("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 OPUS/48000", "a=rtpmap:96 speex/8000"))
	if err != nil || d.Codecs[0] != (Codec{96, Opus, 48000, 2, ""}) {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := Parse(with("m=audio 4000 RTP/AVP 18", "a=ptime:30", "a=maxptime:90", "a=rtcp:53020 IN IP4 10.9.9.9")); err != nil || d.Ptime != 30 || d.MaxPtime != 90 || d.RTCP != ap("10.9.9.9:53020") {
		t.Errorf("%+v, %v", d, err)
	}
}
