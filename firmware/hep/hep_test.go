package hep

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/sip/trace"
)

func message(out bool) trace.Message {
	return trace.Message{At: time.Unix(1772366400, 123456000), Side: "access", Out: out, Local: netip.MustParseAddrPort("10.0.0.5:5061"), Remote: netip.MustParseAddrPort("10.0.0.31:40000"),
		Call: "7-abc", Data: []byte("INVITE sip:1002@h SIP/2.0\r\n\r\n")}
}

// decode reads a packet by the specification's own words.
func decode(t *testing.T, b []byte) map[uint16][]byte {
	t.Helper()
	if string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("%q", b[:6])
	}
	chunks := make(map[uint16][]byte)
	for b = b[6:]; len(b) > 0; {
		vendor, kind, length := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:])
		if vendor != 0 || length < 6 || int(length) > len(b) {
			t.Fatalf("chunk %d of vendor %d: %d of %d bytes", kind, vendor, length, len(b))
		}
		chunks[kind] = b[6:length]
		b = b[length:]
	}
	return chunks
}

func TestEncode(t *testing.T) {
	for _, out := range []bool{false, true} {
		m := message(out)
		m.UDP = out
		over := map[bool]byte{false: 6, true: 17}[m.UDP]
		c := decode(t, encode(m, 2001, "branch-7"))
		src, dst := chunkSource, chunkDestination
		srcPort, dstPort := chunkSourcePort, chunkDestPort
		if out {
			src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
		}
		for kind, want := range map[uint16][]byte{
			chunkFamily: {2}, chunkProtocol: {over}, uint16(src): {10, 0, 0, 31}, uint16(dst): {10, 0, 0, 5}, uint16(srcPort): {40000 >> 8, 40000 & 255}, uint16(dstPort): {5061 >> 8, 5061 & 255},
			chunkSeconds: {0x69, 0xa4, 0x2a, 0x40}, chunkMicros: {0, 1, 0xe2, 0x40}, chunkPayloadType: {1}, chunkCaptureID: {0, 0, 7, 0xd1}, chunkPayload: m.Data, chunkCorrelation: []byte("7-abc"), chunkNode: []byte("branch-7"),
		} {
			if !bytes.Equal(c[kind], want) {
				t.Errorf("out %v: chunk %x is %x, want %x", out, kind, c[kind], want)
			}
		}
		if len(c) != 13 {
			t.Errorf("%d chunks", len(c))
		}
	}
	m := message(true)
	m.Data = bytes.Repeat([]byte("x"), 65507)
	m.Call = ""
	if b := encode(m, 1, strings.Repeat("n", 999)); len(b) > 65507 || len(decode(t, b)[chunkPayload]) != longest {
		t.Errorf("%d bytes", len(b))
	}
}

func TestExporter(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := New(Options{Address: c.LocalAddr().String(), Transport: "udp", CaptureID: 7, Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	l := trace.New(trace.Options{Bytes: 1, Tap: e.Send})
	done := make(chan error, 1)
	go func() { done <- e.Run(t.Context()) }()
	m := message(false)
	m.Data = []byte("REGISTER sip:h SIP/2.0\r\nCall-ID: a\r\nAuthorization: Digest response=5ecre7\r\n\r\n")
	l.Add(m)
	b := make([]byte, 2000)
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _, err := c.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	if p := string(decode(t, b[:n])[chunkPayload]); !strings.HasPrefix(p, "REGISTER") || strings.Contains(p, "5ecre7") {
		t.Errorf("%q", p)
	}
	for _, o := range []Options{{}, {Address: "h:1"}, {Address: "h", Transport: "tcp"}} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}
