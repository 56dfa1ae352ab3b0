package relay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
	"holdfast/media/udp"
)

var update = flag.Bool("update", false, "make testdata anew")

// captured is the SDES key of the phone in the capture. It protects nothing but the test.
var captured = Crypto{Suite: "AES_CM_128_HMAC_SHA1_80", Key: []byte("0123456789abcdef0123456789abcd")}

// A captured call goes through a leg, packet by packet with the times of the capture, and what comes out must be what it always was.
// The capture is made, not recorded: everything that real networks and phones do to a stream, in one call (see newCapture).
func TestReplayOfACapture(t *testing.T) {
	file, golden := filepath.Join("testdata", "call.pcap"), filepath.Join("testdata", "call.golden")
	if *update {
		if err := os.WriteFile(file, newCapture(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packets, err := readCapture(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	replay(t, packets, &out)
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		got, lines := bytes.Split(out.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
		for i := range max(len(got), len(lines)) {
			if i >= len(got) || i >= len(lines) || !bytes.Equal(got[i], lines[i]) {
				t.Fatalf("line %d differs; all that came out:\n%s", i+1, out.Bytes())
			}
		}
	}
}

// replay puts packets into a leg and writes what its partner's phone hears. Numbers that are random are given relative to the first.
func replay(t *testing.T, packets []datagram, w io.Writer) {
	c := newCall(t, newRelay(t, config()), "", "AEAD_AES_128_GCM")
	defer c.session.Close()
	c.a.stream.Recv, c.a.stream.Send = captured, Crypto{Suite: captured.Suite, Key: bytes.Repeat([]byte{7}, 30)}
	c.a.stream.FixedSource, c.a.stream.CN, c.b.stream.CN = false, true, true
	c.b.stream.Event.Type = 96
	c.a.stream.Remote = packets[0].from
	c.a.stream.RemoteRTCP = netip.AddrPortFrom(packets[0].from.Addr(), packets[0].from.Port()+1)
	c.set(t)
	var first *pionrtp.Packet
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	for i, d := range packets {
		before := c.lb.Stats().TxPackets
		drops, sent := c.relay.Counts().Drops, c.relay.Counts().TxPackets
		pkt := buffer[:copy(buffer, d.data)]
		var port udp.Receiver = rtpPort{c.la}
		if d.to.Port()%2 == 1 {
			port = rtcpPort{c.la}
		}
		port.Receive(pkt, d.from, d.at)
		fmt.Fprintf(w, "%d %.3f s, %d bytes:", i+1, d.at.Seconds(), len(d.data))
		switch {
		case c.lb.Stats().TxPackets != before:
			out := c.b.hear()
			if first == nil {
				first = out
			}
			end := out.Payload[:min(8, len(out.Payload))]
			fmt.Fprintf(w, " stream %d seq %+d time %+d type %d marker %t, %d bytes %x", out.SSRC-first.SSRC, int16(out.SequenceNumber-first.SequenceNumber),
				int32(out.Timestamp-first.Timestamp), out.PayloadType, out.Marker, len(out.Payload), end)
		case c.relay.Counts().TxPackets != sent:
			plain, err := c.b.open.DecryptRTCP(nil, read(t, c.b.ctl), nil)
			if err != nil {
				t.Fatal(err)
			}
			list, err := rtcp.Unmarshal(plain)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				switch p := p.(type) {
				case *rtcp.SenderReport:
					fmt.Fprintf(w, " report of stream %d at %x: time %+d, %d packets", p.SSRC-first.SSRC, p.NTPTime, int32(p.RTPTime-first.Timestamp), p.PacketCount)
				case *rtcp.ReceiverReport:
					fmt.Fprintf(w, " receiver report, %d blocks", len(p.Reports))
				}
			}
		}
		for name, n := range c.relay.Counts().Drops {
			if n != drops[name] {
				fmt.Fprintf(w, " %s", name)
			}
		}
		fmt.Fprintln(w)
	}
	st := c.la.Stats()
	fmt.Fprintf(w, "received %d, lost %d, jitter %v, forged %d, replayed %d, dropped %d\n", st.RxPackets, st.RxLost, st.RxJitter, st.AuthFailed, st.Replayed, st.Dropped)
	for {
		select {
		case e := <-c.session.Events():
			fmt.Fprintf(w, "digit %c for %v\n", e.Digit, e.For)
		default:
			return
		}
	}
}

// datagram is one packet of a capture.
type datagram struct {
	at       time.Duration
	from, to netip.AddrPort
	data     []byte
}

// readCapture reads a pcap file with IPv4 and UDP in raw packets (link type 101).
func readCapture(r io.Reader) ([]datagram, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	if len(b) < 24 || le.Uint32(b) != 0xa1b2c3d4 || le.Uint32(b[20:]) != 101 {
		return nil, errors.New("not a pcap file of raw packets, with microseconds, in little-endian order")
	}
	var list []datagram
	for b = b[24:]; len(b) > 0; {
		if len(b) < 16 || len(b)-16 < int(le.Uint32(b[8:])) {
			return nil, io.ErrUnexpectedEOF
		}
		at := time.Duration(le.Uint32(b))*time.Second + time.Duration(le.Uint32(b[4:]))*time.Microsecond
		ip := b[16 : 16+le.Uint32(b[8:])]
		b = b[16+len(ip):]
		if len(ip) < 28 || ip[0] != 0x45 || ip[9] != 17 {
			return nil, errors.New("not UDP in IPv4")
		}
		be := binary.BigEndian
		list = append(list, datagram{
			at:   at,
			from: netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), be.Uint16(ip[20:])),
			to:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), be.Uint16(ip[22:])),
			data: ip[28:],
		})
	}
	return list, nil
}

// newCapture makes a call as it is captured beside the phone: G.711 with a lost, a late and two doubled packets, silence with comfort
// noise, a digit, a jump of the clock, a new SSRC, RTCP, a change of the phone's port, and strangers.
func newCapture(t *testing.T) []byte {
	sealer, err := srtp.NewSealer(captured.Suite, captured.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	file := le.AppendUint32(nil, 0xa1b2c3d4)
	file = le.AppendUint32(le.AppendUint16(le.AppendUint16(file, 2), 4), 0)
	file = le.AppendUint32(le.AppendUint32(le.AppendUint32(file, 0), 65535), 101)
	at, port := time.Second, uint16(40000)
	add := func(data []byte, control uint16) {
		file = le.AppendUint32(file, uint32(at/time.Second))
		file = le.AppendUint32(file, uint32(at%time.Second/time.Microsecond))
		n := uint32(28 + len(data))
		file = le.AppendUint32(le.AppendUint32(file, n), n)
		ip := append([]byte{0x45, 0xb8, byte(n >> 8), byte(n), 0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 9, 127, 0, 0, 1}, 0, 0, 0, 0, 0, 0, 0, 0)
		be.PutUint16(ip[20:], port+control)
		be.PutUint16(ip[22:], 20000+control)
		be.PutUint16(ip[24:], uint16(8+len(data)))
		file = append(append(file, ip...), data...)
	}
	h := rtp.Header{SSRC: 0x11223344, Sequence: 65533, Timestamp: 1000}
	packet := func(kind uint8, marker bool, payload []byte) []byte {
		h.PayloadType, h.Marker = kind, marker
		b := make([]byte, rtp.FixedSize, 300)
		h.Put(b)
		b, err := sealer.RTP(append(b, payload...))
		if err != nil {
			t.Fatal(err)
		}
		h.Sequence++
		return b
	}
	voice := func(text string) []byte {
		at += 20 * time.Millisecond
		b := packet(0, false, bytes.Repeat([]byte(text), 160/len(text)))
		h.Timestamp += 160
		return b
	}
	report := func() []byte {
		b := rtp.Report{SSRC: h.SSRC, Sender: true, Info: rtp.SenderInfo{NTP: 0xe0000000_00000000 + uint64(at), Timestamp: h.Timestamp, Packets: 9, Octets: 1440}}.Append(nil, "phone")
		b, err := sealer.RTCP(append(make([]byte, 0, 300), b...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for i := range 6 { // over the roll-over of the sequence number
		add(voice("abcdefgh"), 0)
		if i == 2 {
			voice("lost....")
		}
	}
	late, next := voice("late...."), voice("next....")
	add(next, 0)
	add(late, 0)
	add(late, 0)
	add(next, 0)
	add(report(), 1)
	at += 20 * time.Millisecond
	add(packet(13, false, []byte{60}), 0)
	h.Timestamp += 20 * 160
	at += 400 * time.Millisecond
	add(voice("speaking"), 0)
	for i := range 5 { // the digit 7
		at += 20 * time.Millisecond
		end := byte(0)
		if i >= 2 {
			end = 0x80
		}
		add(packet(101, i == 0, []byte{7, 10 | end, byte(min(i+1, 3) * 160 >> 8), byte(min(i+1, 3) * 160)}), 0)
	}
	h.Timestamp += 480
	add(voice("speaking"), 0)
	h.Timestamp += 1 << 30
	add(voice("jumped.."), 0)
	add([]byte("GET / HTTP/1.0\r\n\r\n"), 0)
	forged := voice("forged..")
	forged[30] ^= 1
	add(forged, 0)
	add(forged[:14], 0)
	h.SSRC, h.Sequence = 0x55667788, 100
	add(voice("another."), 0)
	port = 40100
	add(voice("moved..."), 0)
	add(voice("moved..."), 0)
	port = 40200
	add(voice("refused."), 0) // a second move, too soon
	port = 40100
	at += 20 * time.Millisecond
	add(packet(77, false, []byte("of no type")), 0)
	add(voice("the end."), 0)
	add(report(), 1)
	return file
}
