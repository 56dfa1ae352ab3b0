package relay

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"
	pion "github.com/pion/srtp/v2"

	"holdfast/media/srtp"
	"holdfast/media/udp"
)

const patience = 20 * time.Second

// loopback is an address of this process alone: what else is tested on the machine at the same time takes no port from it.
var loopback = func() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(128 + pid>>16&63), byte(pid >> 8), byte(pid)})
}()

// testPorts begins a range of its own for each test, below the kernel's ephemeral ports.
var testPorts uint16 = 12000

func config() Config {
	if testPorts += 40; testPorts > 28000 {
		testPorts = 12000
	}
	return Config{
		AccessAddr: loopback, TrunkAddr: loopback, PortMin: testPorts, PortMax: testPorts + 39,
		Drain: time.Minute, Silence: time.Minute, Reserved: 2, DSCP: 46, Workers: 2,
	}
}

// newRelay makes a relay that does not run: packets are put into it by hand.
func newRelay(t testing.TB, cfg Config) *Relay {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run makes a relay that runs until the test ends.
func run(t testing.TB, cfg Config) *Relay {
	t.Helper()
	r := newRelay(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return r
}

func addLeg(t testing.TB, s *Session, side Side) *Leg {
	t.Helper()
	l, err := s.AddLeg(side)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func set(t testing.TB, l *Leg, s Stream) {
	t.Helper()
	if err := l.Set(s); err != nil {
		t.Fatal(err)
	}
}

// phone is a peer: two sockets and, with a suite, pion's SRTP in both directions.
type phone struct {
	t        testing.TB
	rtp, ctl *net.UDPConn
	stream   Stream // what the box is told about this phone
	seal     *pion.Context
	open     *pion.Context
	ssrc     uint32
	sequence uint16
	stamp    uint32
}

func newPhone(t testing.TB, suite string) *phone {
	t.Helper()
	// Far from the roll-over, as RFC 3711 §3.3.1 asks: a test that loses packets, or reads them as they are, would now and then lose just
	// those that tell pion of it. What is to be said about the roll-over sets sequence.
	p := &phone{t: t, ssrc: random32(), sequence: uint16(random32()) >> 1, stamp: random32()}
	p.rtp, p.ctl = listen(t), listen(t)
	p.stream = Stream{
		Remote: addrOf(p.rtp), RemoteRTCP: addrOf(p.ctl), Audio: Payload{0, 8000}, Event: Payload{101, 8000}, ToPeer: true, FromPeer: true,
	}
	if suite != "" {
		p.rekey(suite)
	} else {
		p.stream.FixedSource = true
	}
	return p
}

// rekey gives the phone and its stream fresh keys; the box does not know before Set.
func (p *phone) rekey(suite string) {
	p.t.Helper()
	p.stream.Recv, p.seal = newKey(p.t, suite)
	p.stream.Send, p.open = newKey(p.t, suite)
}

func newKey(t testing.TB, suite string) (Crypto, *pion.Context) {
	t.Helper()
	info, err := srtp.ParseSuite(suite)
	if err != nil {
		t.Fatal(err)
	}
	c := Crypto{Suite: suite, Key: make([]byte, info.Key+info.Salt)}
	rand.Read(c.Key)
	return c, contextOf(t, c)
}

// contextOf is pion's context under a key.
func contextOf(t testing.TB, crypto Crypto) *pion.Context {
	t.Helper()
	info, err := srtp.ParseSuite(crypto.Suite)
	if err != nil {
		t.Fatal(err)
	}
	key := crypto.Key
	profile := map[string]pion.ProtectionProfile{
		"AES_CM_128_HMAC_SHA1_80": pion.ProtectionProfileAes128CmHmacSha1_80,
		"AES_CM_128_HMAC_SHA1_32": pion.ProtectionProfileAes128CmHmacSha1_32,
		"AES_256_CM_HMAC_SHA1_80": pion.ProtectionProfileAes256CmHmacSha1_80,
		"AES_256_CM_HMAC_SHA1_32": pion.ProtectionProfileAes256CmHmacSha1_32,
		"AEAD_AES_128_GCM":        pion.ProtectionProfileAeadAes128Gcm,
		"AEAD_AES_256_GCM":        pion.ProtectionProfileAeadAes256Gcm,
	}[crypto.Suite]
	c, err := pion.CreateContext(key[:info.Key], key[info.Key:], profile, pion.SRTPReplayProtection(64), pion.SRTCPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listen(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// next makes the phone's next packet, sealed if it seals.
func (p *phone) next(payloadType uint8, payload string, marker bool) []byte {
	p.t.Helper()
	p.sequence++
	p.stamp += 160
	return p.packet(payloadType, payload, marker)
}

func (p *phone) packet(payloadType uint8, payload string, marker bool) []byte {
	p.t.Helper()
	pkt := &pionrtp.Packet{
		Header: pionrtp.Header{
			Version: 2, Marker: marker, PayloadType: payloadType, SequenceNumber: p.sequence, Timestamp: p.stamp, SSRC: p.ssrc,
		},
		Payload: []byte(payload),
	}
	b, err := pkt.Marshal()
	if err != nil {
		p.t.Fatal(err)
	}
	if p.seal != nil {
		if b, err = p.seal.EncryptRTP(nil, b, nil); err != nil {
			p.t.Fatal(err)
		}
	}
	return b
}

func (p *phone) say(to *Leg, payload string) { p.send(to, p.next(p.stream.Audio.Type, payload, false)) }

func (p *phone) send(to *Leg, pkt []byte) { sendFrom(p.t, p.rtp, to.Local(), pkt) }

func sendFrom(t testing.TB, c *net.UDPConn, to netip.AddrPort, pkt []byte) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(pkt, to); err != nil {
		t.Fatal(err)
	}
}

// hear waits for a packet.
func (p *phone) hear() *pionrtp.Packet {
	p.t.Helper()
	b := read(p.t, p.rtp)
	if p.open != nil {
		var err error
		if b, err = p.open.DecryptRTP(nil, b, nil); err != nil {
			p.t.Fatalf("what arrived does not open: %v", err)
		}
	}
	pkt := &pionrtp.Packet{}
	if err := pkt.Unmarshal(b); err != nil {
		p.t.Fatal(err)
	}
	return pkt
}

func (p *phone) hears(payload string) *pionrtp.Packet {
	p.t.Helper()
	pkt := p.hear()
	if string(pkt.Payload) != payload {
		p.t.Fatalf("heard %q, want %q", pkt.Payload, payload)
	}
	return pkt
}

func read(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, 3000)
	c.SetReadDeadline(time.Now().Add(patience))
	n, _, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatalf("nothing arrived: %v", err)
	}
	return b[:n]
}

// call is two phones connected through a relay that runs.
type call struct {
	relay   *Relay
	session *Session
	a, b    *phone
	la, lb  *Leg
}

func newCall(t testing.TB, r *Relay, suiteA, suiteB string) *call {
	t.Helper()
	c := &call{relay: r, session: r.Open("test", Options{}), a: newPhone(t, suiteA), b: newPhone(t, suiteB)}
	c.la, c.lb = addLeg(t, c.session, Access), addLeg(t, c.session, Trunk)
	c.session.Connect(c.la, c.lb)
	return c
}

func (c *call) set(t testing.TB) {
	t.Helper()
	set(t, c.la, c.a.stream)
	set(t, c.lb, c.b.stream)
}

// eventually waits until what another goroutine does has happened.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// newPorts is a fresh allocator in which nothing rests. Pairs still in use fail to bind and are skipped.
func newPorts(t testing.TB, cfg Config) *udp.Ports {
	t.Helper()
	p, err := udp.NewPorts(cfg.PortMin, cfg.PortMax, cfg.Drain, cfg.Reserved, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
