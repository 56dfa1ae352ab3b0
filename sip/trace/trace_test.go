package trace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	boxAddr   = netip.MustParseAddrPort("10.0.0.5:5061")
	alice     = netip.MustParseAddrPort("10.0.0.31:40001")
	bob       = netip.MustParseAddrPort("10.0.0.32:40002")
	sbc       = netip.MustParseAddrPort("10.0.1.60:5061")
	noon      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	boxOnTrun = netip.MustParseAddrPort("10.0.1.5:5061")
)

func request(method, user, callID, from, to string) string {
	return fmt.Sprintf("%s sip:%s@branch.example SIP/2.0\r\nFrom: \"A\" <sip:%s@branch.example>;tag=1\r\nTo: <sip:%s@branch.example>\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n", method, user, from, to, callID, method)
}

func answer(status int, reason, callID, from, to, method string) string {
	return fmt.Sprintf("SIP/2.0 %d %s\r\nf: <sip:%s@branch.example>;tag=1\r\nt: sip:%s@branch.example;tag=2\r\ni: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n", status, reason, from, to, callID, method)
}

func access(out bool, remote netip.AddrPort, at int, data string) Message {
	return Message{At: noon.Add(time.Duration(at) * time.Millisecond), Side: "access", Out: out, Local: boxAddr, Remote: remote, Flow: 7, Data: []byte(data)}
}

// a call from alice to bob that bob answers, with a registration in between.
func aCall(l *Log) {
	l.Add(access(false, alice, 0, request("INVITE", "1002", "one@phone", "1001", "1002")))
	l.Link("c1", "one@phone")
	l.Add(access(true, alice, 1, answer(100, "Trying", "one@phone", "1001", "1002", "INVITE")))
	l.Add(access(false, bob, 2, request("REGISTER", "", "reg@phone", "1002", "1002")))
	l.Link("c1", "two-of-the-box")
	l.Add(access(true, bob, 3, request("INVITE", "1002", "two-of-the-box", "1001", "1002")))
	l.Add(access(false, bob, 4, answer(200, "OK", "two-of-the-box", "1001", "1002", "INVITE")))
	l.Add(access(true, alice, 5, answer(200, "OK", "one@phone", "1001", "1002", "INVITE")))
}

func TestCallIsAllItsLegs(t *testing.T) {
	l := New(Options{})
	aCall(l)
	for id, want := range map[string]int{"c1": 5, "one@phone": 3, "two-of-the-box": 2, "reg@phone": 1, "nothing": 0, "": 0} {
		got := l.Call(id)
		if len(got) != want {
			t.Errorf("%q: %d messages, want %d", id, len(got), want)
		}
		for i, m := range got {
			if i > 0 && m.At.Before(got[i-1].At) {
				t.Errorf("%q: out of order", id)
			}
		}
	}
	list := l.Calls(10)
	if len(list) != 1 || list[0] != (Summary{Call: "c1", At: noon, Last: noon.Add(5 * time.Millisecond), From: "1001", To: "1002", Messages: 5, Status: 200}) {
		t.Errorf("%+v", list)
	}
}

// TestLadder: who called stands left of the box and who was called right, and nothing of a message reaches a terminal
// that it could speak to.
func TestLadder(t *testing.T) {
	l := New(Options{})
	aCall(l)
	trunk := Message{At: noon.Add(6 * time.Millisecond), Side: "trunk", Out: true, Local: boxOnTrun, Remote: sbc,
		Data: []byte("INVITE sip:+12125550100@sbc SIP/2.0\r\nCall-ID: three\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\x1b[31m\r\n")}
	l.Link("c1", "three")
	l.Add(trunk)
	got := NewLadder("c1", l.Call("c1"), func(m Message) string {
		if m.Side == "trunk" {
			return "sbc-a"
		}
		return ""
	})
	if len(got.Participants) != 4 || got.Participants[0].Name != "1001" || got.Participants[1].Side != "box" || got.Participants[2].Name != "1002" || got.Participants[3].Name != "sbc-a" {
		t.Fatalf("%+v", got.Participants)
	}
	var arrows []string
	for _, a := range got.Arrows {
		arrows = append(arrows, fmt.Sprintf("%d>%d %s %s", a.From, a.To, a.Label, a.Note))
		if strings.ContainsAny(a.Text, "\x1b\r") {
			t.Errorf("%q", a.Text)
		}
	}
	want := "0>1 INVITE 1002 |1>0 100 Trying |1>2 INVITE 1002 |2>1 200 OK |1>0 200 OK |1>3 INVITE +12125550100 SDP"
	if s := strings.Join(arrows, "|"); s != want {
		t.Errorf("\ngot  %s\nwant %s", s, want)
	}
	text := got.Text(80, time.UTC)
	for _, line := range []string{
		"Call c1, 2026-03-01 12:00:00 UTC, 6 messages",
		"12:00:00.000  │── INVITE 1002 ─────▶│                     │                     │",
		"12:00:00.006  │                     │── INVITE +12125550100 [SDP] ─────────────▶│",
	} {
		if !strings.Contains(text, line) {
			t.Logf("%s", text)
			t.Errorf("no line %q", line)
		}
	}
	if none := NewLadder("x", nil, nil); len(none.Arrows) != 0 || !strings.Contains(none.Text(80, time.UTC), "Nothing") {
		t.Errorf("%+v", none)
	}
}

// TestBounds: memory stays what it was, registrations do not push out calls, and the newest are kept.
func TestBounds(t *testing.T) {
	l := New(Options{Bytes: leastBytes})
	for n := range 5000 {
		id := fmt.Sprintf("call-%d", n)
		l.Link(fmt.Sprint("c", n), id)
		l.Add(access(false, alice, n, request("INVITE", "1002", id, "1001", "1002")))
		for range 5 {
			l.Add(access(false, bob, n, request("REGISTER", "", "reg", "1002", "1002")))
		}
	}
	s := l.Stats()
	if s.Bytes > leastBytes || s.Messages < 100 {
		t.Errorf("%+v", s)
	}
	if len(l.Call("c4999")) != 1 || len(l.Call("c4970")) != 1 || len(l.Call("c1")) != 0 {
		t.Error("not the newest calls are kept")
	}
	if n := len(l.links.calls); n > len(l.links.row) {
		t.Errorf("%d links", n)
	}
	if len(l.links.calls) != len(l.links.legs) {
		t.Errorf("%d Call-IDs of %d calls", len(l.links.calls), len(l.links.legs))
	}
	l.Add(access(false, alice, 0, "INVITE "+strings.Repeat("x", 100000)))
	for _, m := range l.Call("call-4999") {
		if !strings.HasPrefix(string(m.Data), "INVITE") {
			t.Errorf("%q", m.Data)
		}
	}
	for n := range 1000 { // a call that forks without end
		l.Link("forks", fmt.Sprint("fork-", n))
	}
	if n := len(l.links.legs["forks"]); n != legsMost {
		t.Errorf("%d legs", n)
	}
}

// TestWrap holds every message of a ring that has gone round against what was put in.
func TestWrap(t *testing.T) {
	r := newRing(1000)
	var want [][]byte
	for n := range 500 {
		msg := bytes.Repeat([]byte{byte(n)}, n*37%300)
		r.add(entry{flow: uint64(n)}, msg)
		want = append(want, msg)
		seen, used := 0, 0
		r.each(func(e entry, data []byte) {
			if !bytes.Equal(data, want[e.flow]) {
				t.Fatalf("message %d after %d is %v", e.flow, n, data)
			}
			seen++
			used += len(data)
		})
		if seen != r.count || used != r.used || used > 1000 || seen == 0 {
			t.Fatalf("%d messages of %d bytes", seen, used)
		}
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	l := New(Options{Bytes: leastBytes})
	m := access(false, alice, 0, request("INVITE", "1002", "id", "1001", "1002"))
	l.Link("c1", "id")
	l.Add(m)
	if n := testing.AllocsPerRun(1000, func() { l.Add(m) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTapSeesNoSecret(t *testing.T) {
	var heard []string
	l := New(Options{Tap: func(m Message) { heard = append(heard, m.Call+" "+string(m.Data)) }})
	l.Link("c9", "id")
	l.Add(access(false, alice, 0, "INVITE sip:x SIP/2.0\r\nCall-ID: id\r\nAuthorization: Digest response=abcdef\r\n\r\n"))
	if len(heard) != 1 || strings.Contains(heard[0], "abcdef") || !strings.HasPrefix(heard[0], "c9 INVITE") {
		t.Errorf("%q", heard)
	}
}

func TestConcurrentUse(t *testing.T) {
	l := New(Options{Bytes: leastBytes})
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for k := range 500 {
				id := fmt.Sprint(n, "-", k)
				l.Link(fmt.Sprint("c", n), id)
				l.Add(access(k%2 == 0, alice, k, request("INVITE", "1", id, "1", "2")))
				if k%50 == 0 {
					l.Call(fmt.Sprint("c", n))
					l.Calls(10)
					l.Stats()
				}
			}
		})
	}
	all.Wait()
}

// TestPcap reads the capture back by the format's own rules; tshark reads one in make interop.
func TestPcap(t *testing.T) {
	l := New(Options{})
	aCall(l)
	msgs := l.Call("c1")
	msgs = append(msgs, Message{At: noon, Side: "trunk", Out: true, Local: boxOnTrun, Remote: sbc, Data: bytes.Repeat([]byte("x"), 70000)})
	var file bytes.Buffer
	if err := WritePcap(&file, msgs); err != nil {
		t.Fatal(err)
	}
	var kinds []uint32
	packets := 0
	for data := file.Bytes(); len(data) > 0; {
		kind, length := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		if length%4 != 0 || int(length) > len(data) || binary.LittleEndian.Uint32(data[length-4:]) != length {
			t.Fatalf("block %d of kind %x: length %d", len(kinds), kind, length)
		}
		kinds = append(kinds, kind)
		if kind == enhancedPacket {
			m := msgs[packets]
			packets++
			ip := data[28 : 28+binary.LittleEndian.Uint32(data[20:])]
			us := uint64(binary.LittleEndian.Uint32(data[12:]))<<32 | uint64(binary.LittleEndian.Uint32(data[16:]))
			if !time.UnixMicro(int64(us)).Equal(m.At) || binary.LittleEndian.Uint32(data[8:]) != map[string]uint32{"access": 0, "trunk": 1}[m.Side] {
				t.Errorf("packet %d: time or interface", packets)
			}
			var sum uint32
			for i := 0; i < 20; i += 2 {
				sum += uint32(binary.BigEndian.Uint16(ip[i:]))
			}
			if sum = sum&0xffff + sum>>16; sum != 0xffff || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
				t.Errorf("packet %d: checksum %x", packets, sum)
			}
			src, _ := netip.AddrFromSlice(ip[12:16])
			if port := binary.BigEndian.Uint16(ip[20:]); (netip.AddrPortFrom(src, port) == m.Local) != m.Out || !bytes.Equal(ip[28:], m.Data[:len(ip)-28]) {
				t.Errorf("packet %d: %v:%d", packets, src, port)
			}
		}
		data = data[length:]
	}
	if packets != len(msgs) || kinds[0] != sectionHeader || kinds[1] != interfaceBlock || kinds[2] != interfaceBlock {
		t.Errorf("%x", kinds)
	}
}

func BenchmarkAdd(b *testing.B) {
	l := New(Options{})
	m := access(false, alice, 0, top+wire(`Authorization: Digest username="1001", realm="r", nonce="n", uri="sip:h", response="0123456789abcdef0123456789abcdef", cnonce="c", nc=00000001, qop=auth`,
		"Via: SIP/2.0/TLS 10.0.0.31:5061;branch=z9hG4bKabcdef", "From: <sip:1001@branch.example>;tag=abc", "To: <sip:1002@branch.example>", "CSeq: 1 INVITE", "Contact: <sip:1001@10.0.0.31:5061>",
		"Content-Type: application/sdp", "Content-Length: 300", "", "v=0", "o=- 1 1 IN IP4 10.0.0.31", "s=-", "c=IN IP4 10.0.0.31", "t=0 0", "m=audio 20000 RTP/SAVP 96 0 8 101",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "a=rtpmap:96 opus/48000/2", "a=rtpmap:101 telephone-event/8000", "a=sendrecv", ""))
	b.SetBytes(int64(len(m.Data)))
	b.ReportAllocs()
	for b.Loop() {
		l.Add(m)
	}
}
