package rtp

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	pionrtcp "github.com/pion/rtcp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	const fixed = "80e0123411223344aabbccdd"
	for _, tt := range []struct {
		name, pkt string
		want      Header // Size 0: an error
	}{
		{"plain", fixed, Header{Marker: true, PayloadType: 96, Sequence: 0x1234, Timestamp: 0x11223344, SSRC: 0xaabbccdd, Size: 12}},
		{"with padding", "a000" + fixed[4:] + "01", Header{Padding: true, Sequence: 0x1234, Timestamp: 0x11223344, SSRC: 0xaabbccdd, Size: 12}},
		{"sources", "8200" + fixed[4:] + "0000000100000002ff", Header{Sequence: 0x1234, Timestamp: 0x11223344, SSRC: 0xaabbccdd, Size: 20}},
		{"extension", "9000" + fixed[4:] + "bede000111223344ff", Header{Sequence: 0x1234, Timestamp: 0x11223344, SSRC: 0xaabbccdd, Size: 20}},
		{"empty extension", "9000" + fixed[4:] + "bede0000", Header{Sequence: 0x1234, Timestamp: 0x11223344, SSRC: 0xaabbccdd, Size: 16}},
		{"nothing", "", Header{}}, {"short", fixed[:22], Header{}}, {"version 1", "40" + fixed[2:], Header{}}, {"version 3", "c0" + fixed[2:], Header{}},
		{"sources missing", "8100" + fixed[4:] + "000000", Header{}}, {"extension missing", "9000" + fixed[4:], Header{}},
		{"extension cut", "9000" + fixed[4:] + "bede000111", Header{}}, {"extension too long", "9000" + fixed[4:] + "bedeffff11223344", Header{}},
		{"all sources, extension missing", "9f00" + fixed[4:] + "00", Header{}},
	} {
		var h Header
		err := h.Parse(unhex(t, tt.pkt))
		if (err != nil) != (tt.want.Size == 0) || err == nil && h != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, h, err)
		}
	}
}

func TestPayload(t *testing.T) {
	head := "80000001000000020000000a"
	for _, tt := range []struct {
		name, pkt, want string
		ok              bool
	}{
		{"none", head, "", true}, {"some", head + "0102", "0102", true}, {"padded", "a0" + head[2:] + "0102000002", "010200", true},
		{"nothing but padding", "a0" + head[2:] + "000003", "", true}, {"padding of 0", "a0" + head[2:] + "0100", "", false},
		{"too much padding", "a0" + head[2:] + "0103", "", false}, {"padding without room", "a0" + head[2:], "", false},
	} {
		pkt := unhex(t, tt.pkt)
		var h Header
		if err := h.Parse(pkt); err != nil {
			t.Fatal(err)
		}
		got, err := h.Payload(pkt)
		if (err == nil) != tt.ok || hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, %v", tt.name, got, err)
		}
	}
	if _, err := (&Header{Size: 12}).Payload(nil); err == nil {
		t.Error("payload of another packet: no error")
	}
}

func TestClassify(t *testing.T) {
	long := make([]byte, 12)
	for _, tt := range []struct {
		first, second byte
		size          int
		want          Class
	}{
		{0x80, 0, 12, Media}, {0x80, 0, 11, Other}, {0x80, 0xe0, 12, Media}, {0xbf, 127, 12, Media}, {0x80, 191, 12, Media}, {0x80, 224, 12, Media},
		{0x80, 192, 8, Control}, {0x81, 200, 8, Control}, {0x80, 223, 12, Control}, {0x80, 200, 7, Other},
		{0, 1, 12, Other}, {22, 0xfe, 12, Other}, {127, 200, 12, Other}, {192, 0, 12, Other}, {255, 255, 12, Other}, {0, 0, 0, Other},
	} {
		long[0], long[1] = tt.first, tt.second
		if got := Classify(long[:tt.size]); got != tt.want {
			t.Errorf("%#x %d, %d bytes: %d, want %d", tt.first, tt.second, tt.size, got, tt.want)
		}
	}
}

func TestScaleEvents(t *testing.T) {
	for _, tt := range []struct {
		from, to uint32
		in, want string
	}{
		{8000, 48000, "058a00a0", "058a03c0"}, {48000, 8000, "058a03c0", "058a00a0"}, {8000, 8000, "058affff", "058affff"},
		{8000, 48000, "058a2aab", "058affff"}, {8000, 48000, "058a2aaa", "058afffc"}, {8000, 48000, "058affff", "058affff"},
		{48000, 8000, "058a0001", "058a0001"}, {48000, 8000, "058a0000", "058a0000"}, {48000, 8000, "058affff", "058a2aab"},
		{8000, 16000, "010000a0020001400300", "010001400200028003" + "00"}, {8000, 16000, "0100", "0100"},
	} {
		b := unhex(t, tt.in)
		ScaleEvents(b, tt.from, tt.to)
		if got := hex.EncodeToString(b); got != tt.want {
			t.Errorf("%s from %d to %d: %s, want %s", tt.in, tt.from, tt.to, got, tt.want)
		}
	}
	e, err := ParseEvent(unhex(t, "058a00a0"))
	if err != nil || e != (Event{Code: 5, End: true, Volume: 10, Duration: 160}) {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := ParseEvent([]byte{1, 2, 3}); err == nil {
		t.Error("short event: no error")
	}
}

func TestReportsAgainstPion(t *testing.T) {
	for _, want := range []Report{
		{SSRC: 7},
		{SSRC: 7, Sender: true, Info: SenderInfo{NTP: 0x0102030405060708, Timestamp: 9, Packets: 10, Octets: 11}},
		{SSRC: 7, About: true, Block: Block{SSRC: 5, FractionLost: 128, Lost: 0xfffffe, Highest: 0x10002, Jitter: 3, LSR: 4, DLSR: 6}},
		{SSRC: 1, Sender: true, Info: SenderInfo{NTP: 1}, About: true, Block: Block{SSRC: 5, Lost: 1}},
	} {
		for n := range 40 {
			name := "0123456789012345678901234567890123456789"[:n]
			b := want.Append(nil, name)
			if len(b) > MaxReport || len(b)%4 != 0 {
				t.Fatalf("%d bytes", len(b))
			}
			packets, err := pionrtcp.Unmarshal(b)
			if err != nil || len(packets) != 2 {
				t.Fatalf("name of %d bytes: %v, %v", n, packets, err)
			}
			sdes := packets[1].(*pionrtcp.SourceDescription)
			if sdes.Chunks[0].Source != want.SSRC || sdes.Chunks[0].Items[0].Text != name[:min(n, 32)] {
				t.Fatalf("name of %d bytes: %v", n, sdes)
			}
			again, err := pionrtcp.Marshal(packets)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("pion writes %x, we %x: %v", again, b, err)
			}
			if got, err := ParseReport(b, want.Block.SSRC); err != nil || got != want {
				t.Fatalf("%+v came back as %+v, %v", want, got, err)
			}
		}
	}
}

func TestParseReport(t *testing.T) {
	block := "00000005" + "40000003" + "00010002" + "00000007" + "00000008" + "00000009"
	other := "00000006" + block[8:]
	for _, tt := range []struct {
		name, pkt string
		ok, about bool
		ssrc      uint32
	}{
		{"empty receiver report", "80c9000100000001", true, false, 1},
		{"about another", "81c9000700000001" + other, true, false, 1},
		{"second block", "82c9000d00000001" + other + block, true, true, 1},
		{"second packet", "80c9000100000001" + "81c9000700000002" + block, true, true, 1},
		{"extension of the profile", "81c9000800000001" + block + "ffffffff", true, true, 1},
		{"feedback only", "81cd000200000001000000020000000000"[:24], true, false, 1},
		{"nothing", "", false, false, 0}, {"short", "80c90001000000", false, false, 0}, {"version", "40c9000100000001", false, false, 0},
		{"block missing", "81c9000100000001", false, false, 0}, {"block cut", "81c9000600000001" + block[:40], false, false, 0},
		{"too long", "80c9000200000001", false, false, 0}, {"sender part missing", "80c8000100000001", false, false, 0},
		{"rest", "80c9000100000001" + "80", false, false, 0}, {"bad second packet", "80c9000100000001" + "80caffff", false, false, 0},
	} {
		rep, err := ParseReport(unhex(t, tt.pkt), 5)
		if (err == nil) != tt.ok || rep.About != tt.about || rep.SSRC != tt.ssrc {
			t.Errorf("%s: %+v, %v", tt.name, rep, err)
		}
		if rep.About && rep.Block != (Block{5, 64, 3, 0x10002, 7, 8, 9}) {
			t.Errorf("%s: %+v", tt.name, rep.Block)
		}
	}
}

func TestReception(t *testing.T) {
	var r Reception
	if r.Lost() != 0 || r.Jitter().Duration() != 0 {
		t.Error("an empty reception has losses or jitter")
	}
	now := 100 * time.Hour
	get := func(ssrc uint32, seqs ...uint16) {
		for _, s := range seqs {
			now += 20 * time.Millisecond
			r.Packet(&Header{SSRC: ssrc, Sequence: s, Timestamp: uint32(now.Milliseconds() * 8)}, 8000, now)
		}
	}
	get(1, 65533, 65534, 0, 2, 1, 5) // 65535, 3 and 4 are missing
	if r.Lost() != 3 {
		t.Errorf("lost %d", r.Lost())
	}
	if ext, ok := r.Extend(1, 65534); !ok || ext != 65534 {
		t.Errorf("extended %d", ext)
	}
	if ext, ok := r.Extend(1, 6); !ok || ext != 65536+6 {
		t.Errorf("extended %d", ext)
	}
	if _, ok := r.Extend(2, 6); ok {
		t.Error("extended a stream that is not there")
	}
	get(1, 3, 65535, 3, 3) // late ones make up for losses; repetitions must not give a negative number
	if r.Lost() != 0 {
		t.Errorf("lost %d", r.Lost())
	}
	get(2, 1000, 1002)   // another stream
	get(2, 30000, 30001) // a restart
	get(2, 29999)        // before its beginning
	get(2, 25000, 25002) // a restart further back than packets come late
	if r.Lost() != 2 {
		t.Errorf("lost %d", r.Lost())
	}
	if j := r.Jitter().Duration(); j != 0 {
		t.Errorf("jitter %v of an even stream", j)
	}
	for i := range 500 { // every other packet 8 ms late
		late := time.Duration(i%2) * 8 * time.Millisecond
		r.Packet(&Header{SSRC: 2, Sequence: uint16(30002 + i), Timestamp: uint32((now.Milliseconds() + int64(i+1)*20) * 8)}, 8000, now+time.Duration(i+1)*20*time.Millisecond+late)
		r.Packet(&Header{SSRC: 2, Sequence: uint16(30002 + i)}, 0, now) // events do not count
	}
	if j := r.Jitter().Duration(); j < 7*time.Millisecond || j > 8*time.Millisecond {
		t.Errorf("jitter %v", j)
	}
	r.Packet(&Header{SSRC: 2, Sequence: 30502}, 48000, now)
	if j := r.Jitter().Duration(); j != 0 {
		t.Errorf("jitter %v after a change of clock", j)
	}
}

func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		of   Jitter
		want time.Duration
	}{
		{0, 0}, {80, 0}, {8000 << 32, 0}, {8000<<32 | 80, 10 * time.Millisecond}, {1<<32 | (1<<32 - 1), (1<<32 - 1) * time.Second}, {48000<<32 | 1, 20833},
	} {
		if got := tt.of.Duration(); got != tt.want {
			t.Errorf("%#x: %v", uint64(tt.of), got)
		}
	}
}

// FuzzParse: no packet makes anything panic or reach outside of it, and what is written is read back.
func FuzzParse(f *testing.F) {
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3})
	f.Add([]byte{0xbf, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 1, 1, 1, 1, 5})
	f.Add([]byte{0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		var h Header
		if h.Parse(pkt) != nil {
			return
		}
		if h.Size < FixedSize || h.Size > len(pkt) {
			t.Fatalf("header of %d in a packet of %d bytes", h.Size, len(pkt))
		}
		body, err := h.Payload(pkt)
		if err == nil && len(body) > len(pkt)-h.Size {
			t.Fatal("the payload reaches outside")
		}
		out := make([]byte, FixedSize)
		h.Put(out)
		var again Header
		err = again.Parse(out)
		h.Size = FixedSize
		if err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

// FuzzParseReport: no compound makes it panic, and what is understood can be written and read back.
func FuzzParseReport(f *testing.F) {
	f.Add(Report{SSRC: 1, Sender: true, About: true, Block: Block{SSRC: 5}}.Append(nil, "name"), uint32(5))
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, uint32(0))
	f.Add([]byte{0x9f, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint32(5))
	f.Fuzz(func(t *testing.T, pkt []byte, about uint32) {
		rep, err := ParseReport(pkt, about)
		if err != nil {
			return
		}
		if again, err := ParseReport(rep.Append(nil, "x"), about); err != nil || again != rep {
			t.Fatalf("%+v came back as %+v, %v", rep, again, err)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	pkt := Report{SSRC: 1, Sender: true, About: true, Block: Block{SSRC: 5}}.Append(nil, "somebody")
	buf := make([]byte, 0, MaxReport)
	var r Reception
	media := make([]byte, 172)
	(&Header{SSRC: 1}).Put(media)
	if n := testing.AllocsPerRun(100, func() {
		rep, err := ParseReport(pkt, 5)
		if err != nil {
			t.Fatal(err)
		}
		buf = rep.Append(buf[:0], "somebody else")
		var h Header
		if err := h.Parse(media); err != nil {
			t.Fatal(err)
		}
		r.Packet(&h, 8000, time.Second)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
