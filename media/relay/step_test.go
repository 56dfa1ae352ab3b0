package relay

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
	"holdfast/media/udp"
)

// stepper puts sealed packets of one phone straight into its leg, as the loop would; what comes out goes to a real socket.
type stepper struct {
	port   udp.Receiver
	sealer *srtp.Sealer
	from   netip.AddrPort
	clear  []byte // RTP, before sealing
	buffer []byte
	now    time.Duration
	seq    uint16
	opened func() uint64
}

func newStepper(t testing.TB, suiteA, suiteB string) *stepper {
	t.Helper()
	c := newCall(t, newRelay(t, config()), suiteA, suiteB)
	t.Cleanup(c.session.Close)
	c.set(t)
	return stepperOf(t, c, suiteA)
}

func stepperOf(t testing.TB, c *call, suiteA string) *stepper {
	t.Helper()
	s := &stepper{
		port: rtpPort{c.la}, from: c.a.stream.Remote, now: time.Second,
		clear: make([]byte, 172), buffer: make([]byte, udp.MaxPacket+udp.TailRoom),
		opened: func() uint64 { return c.lb.Stats().TxPackets + c.lb.Stats().SendErrors },
	}
	(&rtp.Header{SSRC: c.a.ssrc}).Put(s.clear)
	if suiteA != "" {
		var err error
		if s.sealer, err = srtp.NewSealer(suiteA, c.a.stream.Recv.Key, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// load makes the next packet in the buffer.
func (s *stepper) load(t testing.TB) []byte {
	s.seq++
	s.now += 20 * time.Millisecond
	binary.BigEndian.PutUint16(s.clear[2:], s.seq)
	binary.BigEndian.PutUint32(s.clear[4:], uint32(s.seq)*160)
	pkt := s.buffer[:copy(s.buffer, s.clear)]
	if s.sealer != nil {
		var err error
		if pkt, err = s.sealer.RTP(pkt); err != nil {
			t.Fatal(err)
		}
	}
	return pkt
}

func TestStepAllocatesNothing(t *testing.T) {
	for _, suites := range [][2]string{
		{"", ""}, {"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"}, {"AEAD_AES_128_GCM", "AES_256_CM_HMAC_SHA1_32"}, {"", "AES_CM_128_HMAC_SHA1_32"},
		{"AEAD_AES_128_GCM", "AEAD_AES_256_GCM"},
	} {
		if racing && strings.Contains(suites[0]+suites[1], "SHA1") {
			continue
		}
		s := newStepper(t, suites[0], suites[1])
		if n := testing.AllocsPerRun(500, func() { s.port.Receive(s.load(t), s.from, s.now) }); n != 0 {
			t.Errorf("%v: %v allocations", suites, n)
		}
		if got := s.opened(); got != 501 {
			t.Errorf("%v: %d packets came out", suites, got)
		}
	}
}

func TestControlStepAllocatesNothing(t *testing.T) {
	suite := "AES_CM_128_HMAC_SHA1_80"
	if racing {
		suite = "AEAD_AES_128_GCM"
	}
	c := newCall(t, newRelay(t, config()), suite, "AEAD_AES_256_GCM")
	defer c.session.Close()
	c.set(t)
	sealer, err := srtp.NewSealer(c.a.stream.Recv.Suite, c.a.stream.Recv.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear, err := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: c.a.ssrc, Reports: []rtcp.ReceptionReport{{SSRC: 1}}}, name(c.a.ssrc, "alice")})
	if err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	port := rtcpPort{c.la}
	if n := testing.AllocsPerRun(200, func() {
		pkt, err := sealer.RTCP(buffer[:copy(buffer, clear)])
		if err != nil {
			t.Fatal(err)
		}
		port.Receive(pkt, c.a.stream.RemoteRTCP, time.Second)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if st := c.la.Stats(); st.AuthFailed+st.Dropped+st.Replayed != 0 || c.relay.Counts().TxPackets != 201 {
		t.Errorf("%+v, %+v", st, c.relay.Counts())
	}
}

// BenchmarkStep includes sealing the test's own packet and the kernel's sendto.
func BenchmarkStep(b *testing.B) {
	for _, bb := range []struct{ name, from, to string }{
		{"plain", "", ""},
		{"AES-CM to AES-CM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
		{"AES-CM to GCM", "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"},
		{"GCM to GCM", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"},
	} {
		b.Run(bb.name, func(b *testing.B) { newStepper(b, bb.from, bb.to).bench(b) })
	}
	b.Run("AES-CM shared", func(b *testing.B) { newSharedStepper(b, "AES_CM_128_HMAC_SHA1_80").bench(b) })
	b.Run("GCM shared", func(b *testing.B) { newSharedStepper(b, "AEAD_AES_128_GCM").bench(b) })
}

func (s *stepper) bench(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s.port.Receive(s.load(b), s.from, s.now)
	}
}

// FuzzStep: whatever arrives at a leg, nothing panics, and nothing that was not sealed for it gets through.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4}, false)
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, true)
	f.Add([]byte{0xbf, 0x80, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0xff, 0xff}, false)
	r := newRelay(f, config())
	sealed, plain := newCall(f, r, "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"), newCall(f, r, "", "AES_CM_128_HMAC_SHA1_80")
	sealed.set(f)
	plain.set(f)
	buffer := make([]byte, udp.MaxPacket+udp.TailRoom)
	f.Fuzz(func(t *testing.T, pkt []byte, control bool) {
		if len(pkt) > udp.MaxPacket {
			return
		}
		for _, c := range []*call{sealed, plain} {
			sent := c.lb.Stats().TxPackets
			var port udp.Receiver = rtpPort{c.la}
			if control {
				port = rtcpPort{c.la}
			}
			port.Receive(buffer[:copy(buffer, pkt)], c.a.stream.Remote, time.Second)
			if got := c.lb.Stats().TxPackets; got != sent && (c == sealed || len(pkt) < rtp.FixedSize) {
				t.Error("it got through")
			}
		}
	})
}
