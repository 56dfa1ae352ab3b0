package sdp

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestMarshal(t *testing.T) {
	d, err := Parse(polycom)
	if err != nil {
		t.Fatal(err)
	}
	g, err := Agree(d.Codecs, OfferTo(d.Codecs, nil), []Codec{{0, PCMU, 8000, 1, ""}, {127, Event, 8000, 1, "0-16"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.Crypto[0].Answer(bytes.NewReader(make([]byte, 30)))
	if err != nil {
		t.Fatal(err)
	}
	l := Local{Addr: ap("192.0.2.5:30000"), SessionID: 7, Version: 8, Profile: d.Profile, Crypto: []Crypto{key}, Codecs: g.A.Codecs(),
		Direction: d.Direction.Reverse(), Ptime: 20, Mux: true, Lines: d.Lines, Index: d.Index}
	got, err := l.Marshal()
	want := body("v=0", "o=- 7 8 IN IP4 192.0.2.5", "s=-", "c=IN IP4 192.0.2.5", "t=0 0", "m=audio 0 RTP/AVP 9",
		"m=audio 30000 RTP/SAVP 0 127", "a=crypto:10 AES_CM_128_HMAC_SHA1_80 inline:"+strings.Repeat("A", 40),
		"a=rtpmap:0 PCMU/8000", "a=rtpmap:127 telephone-event/8000", "a=fmtp:127 0-16", "a=ptime:20", "a=sendrecv", "a=rtcp-mux")
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
	other := l
	other.Version = 9
	if !l.Equal(other) {
		t.Error("differs by its version only")
	}
	other.Direction = SendOnly
	if l.Equal(other) {
		t.Error("a hold is no change")
	}
}

func TestMarshalRefuses(t *testing.T) {
	good := Local{Addr: ap("192.0.2.5:30000"), Profile: "RTP/AVP", Codecs: DefaultOffer()}
	if _, err := good.Marshal(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Local){
		"no address":   func(l *Local) { l.Addr = netip.AddrPort{} },
		"no port":      func(l *Local) { l.Addr = ap("192.0.2.5:0") },
		"unspecified":  func(l *Local) { l.Addr = ap("0.0.0.0:30000") },
		"ipv6":         func(l *Local) { l.Addr = ap("[::1]:30000") },
		"no profile":   func(l *Local) { l.Profile = "" },
		"profile":      func(l *Local) { l.Profile = "rtp/avp" },
		"no codecs":    func(l *Local) { l.Codecs = nil },
		"index":        func(l *Local) { l.Index = 1 },
		"index beyond": func(l *Local) { l.Lines, l.Index = []MediaLine{{}}, 1 },
		"key":          func(l *Local) { l.Crypto = []Crypto{{Tag: 1, Suite: AES128SHA80, Key: []byte("short")}} },
		"suite":        func(l *Local) { l.Crypto = []Crypto{{Tag: 1, Suite: "NULL"}} },
	} {
		l := good
		spoil(&l)
		if b, err := l.Marshal(); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// FuzzParse: no input panics, and what is understood survives being written and read again.
func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{linphone, baresip, polycom, sipp, with("m=audio 4000 RTP/SAVPF 13 96", "c=IN IP4 0.0.0.0", "a=rtcp:1 IN IP4 1.2.3.4", "m=image 0 udptl t38")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Parse(b)
		if err != nil {
			return
		}
		if len(d.Lines) > maxMedia || len(d.Crypto) > maxCrypto || len(d.Codecs) > maxFormats || d.Remote.Port() == 0 || !d.Remote.Addr().Is4() {
			t.Fatalf("out of bounds: %+v", d)
		}
		if g, err := Agree(d.Codecs, OfferTo(d.Codecs, nil), OfferTo(d.Codecs, nil)); err == nil && (!g.A.Audio.Audio() || renumbered(g)) {
			t.Fatalf("agreed on %+v", g)
		}
		types := map[uint8]bool{}
		for _, c := range OfferTo(d.Codecs, []Codec{{96, Event, 8000, 1, ""}, {101, Opus, 48000, 2, ""}}) {
			if types[c.Type] {
				t.Fatalf("payload type %d offered twice", c.Type)
			}
			types[c.Type] = true
		}
		if len(d.Codecs) == 0 {
			return
		}
		l := Local{Addr: d.Remote, SessionID: d.SessionID, Version: d.Version, Profile: d.Profile, Crypto: d.Crypto, Codecs: d.Codecs,
			Direction: d.Direction, Ptime: d.Ptime, Mux: d.Mux, Lines: d.Lines, Index: d.Index}
		if l.Addr.Addr().IsUnspecified() {
			l.Addr = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), d.Remote.Port())
		}
		out, err := l.Marshal()
		if err != nil {
			t.Fatalf("%v\n%+v", err, d)
		}
		e, err := Parse(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		d.Remote, d.RTCP, d.MaxPtime = l.Addr, netip.AddrPort{}, 0
		d.Lines[d.Index] = e.Lines[e.Index]
		if !reflect.DeepEqual(d, e) {
			t.Fatalf("%+v\n%+v\n%s", d, e, out)
		}
	})
}
