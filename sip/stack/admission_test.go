package stack

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// tcp opens a bare connection.
func (b *box) tcp() net.Conn { return b.tcpFrom(1) }

// from is a dialler that leaves from 127.0.0.n.
func from(n byte) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}, Timeout: patience}
}

func (b *box) tcpFrom(n byte) net.Conn {
	b.t.Helper()
	c, err := from(n).Dial("tcp4", b.Addr(Access).String())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// tcpClosed waits for the stack to close a bare connection.
func tcpClosed(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("connection still open")
	}
}

func TestHandshakeDeadline(t *testing.T) {
	b := start(t, Options{Limits: Limits{HandshakeTimeout: 2 * time.Second}}) // enough for a good one on a machine that stands still for a while
	good := b.dial()
	silent, partial, noise := b.tcp(), b.tcp(), b.tcp()
	partial.Write([]byte{22, 3, 1, 2, 0, 1}) // the start of a ClientHello
	io.WriteString(noise, request("REGISTER"))
	tcpClosed(t, noise)
	good.works()
	tcpClosed(t, silent)
	tcpClosed(t, partial)
	good.works()
	eventually(t, "three failures counted", func() bool { return b.Counters().HandshakeFailures.Load() == 3 })
	eventually(t, "places given back", func() bool { return b.listeners[0].places() == 1 })
}

func TestHandshakeSlots(t *testing.T) {
	b := start(t, Options{Limits: Limits{Handshakes: 8, HandshakeTimeout: time.Minute}})
	good := b.dial()
	good.works()
	one, two := b.tcp(), b.tcp()
	eventually(t, "one source's share taken", func() bool { return b.listeners[0].shaking() == 2 })
	tcpClosed(t, b.tcp())
	b.dialFrom(2).works() // another source is not locked out
	eventually(t, "that is done", func() bool { return b.listeners[0].shaking() == 2 })
	for i := range byte(3) {
		b.tcpFrom(3 + i)
		b.tcpFrom(3 + i)
	}
	eventually(t, "all taken", func() bool { return b.listeners[0].shaking() == 8 })
	tcpClosed(t, b.tcpFrom(9))
	good.works()
	one.Close()
	eventually(t, "one is free", func() bool { return b.listeners[0].shaking() == 7 })
	b.dialFrom(9).works()
	two.Close()
	if n := b.Counters().RefusedConns.Load(); n != 2 {
		t.Errorf("%d refused, want 2", n)
	}
}

func TestCaps(t *testing.T) {
	for name, lim := range map[string]Limits{"global": {Connections: 3}, "per source": {PerSource: 3}} {
		t.Run(name, func(t *testing.T) {
			b := start(t, Options{Limits: lim})
			ps := []*peer{b.dial(), b.dial(), b.dial()}
			if _, err := b.tryDial(Access, b.config()); err == nil {
				t.Fatal("a fourth connection was let in")
			}
			for _, p := range ps {
				p.works()
			}
			// Another address still gets in, unless the house is full.
			d := tls.Dialer{Config: b.config(), NetDialer: from(9)}
			c, err := d.Dial("tcp4", b.Addr(Access).String())
			if (err == nil) != (lim.PerSource == 3) {
				t.Errorf("another source: %v", err)
			}
			if err == nil {
				c.Close()
			}
			ps[0].Close()
			eventually(t, "a place is free", func() bool { return b.listeners[0].places() == 2 })
			b.dial().works()
		})
	}
}

func TestAcceptRate(t *testing.T) {
	l := newListener(New(Options{Limits: Limits{AcceptRate: 10}}), Access, nil, nil)
	a, other, now := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), time.Unix(0, 0)
	count := func(addr netip.Addr) (n int) {
		for range 30 {
			if _, ok := l.admit(addr, now); ok {
				l.settled(addr)
				l.release(addr)
				n++
			}
		}
		return n
	}
	if n := count(a); n != 10 {
		t.Errorf("%d at once, want the burst of 10", n)
	}
	if n := count(other); n != 10 {
		t.Errorf("%d of another source, want 10", n)
	}
	now = now.Add(500 * time.Millisecond)
	if n := count(a); n != 5 {
		t.Errorf("%d after half a second, want 5", n)
	}
	now = now.Add(time.Hour)
	if n := count(a); n != 10 {
		t.Errorf("%d after an hour, want 10", n)
	}
}

// Addresses that have come and gone are forgotten.
func TestSourcesBounded(t *testing.T) {
	l := newListener(New(Options{Limits: Limits{Connections: 100}}), Access, nil, nil)
	now := time.Unix(0, 0)
	for i := range 3 * sourcesKept {
		now = now.Add(time.Millisecond)
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if _, ok := l.admit(addr, now); !ok {
			t.Fatal("refused")
		}
		l.settled(addr)
		l.release(addr)
		if n := len(l.sources); n > sourcesKept+100 {
			t.Fatalf("%d addresses kept", n)
		}
	}
	if l.total != 0 {
		t.Errorf("%d places taken", l.total)
	}
}

func TestMutualTLS(t *testing.T) {
	refused := errors.New("unknown trunk")
	b := start(t, Options{Authorize: func(c *Conn) error {
		if c.Side() == Trunk && c.PeerCertificate().Subject.CommonName != "sbc.test" {
			return refused
		}
		return nil
	}}, Access, Trunk)
	with := func(certs ...tls.Certificate) *tls.Config {
		cfg := b.config()
		cfg.Certificates = certs
		return cfg
	}
	sbc, err := b.tryDial(Trunk, with(b.ca.issue(t, "sbc.test")))
	if err != nil {
		t.Fatal(err)
	}
	sbc.works()
	if c := b.Conns()[0]; !c.Authenticated() || c.Side() != Trunk || c.PeerCertificate() == nil || c.Remote().String() != sbc.LocalAddr().String() ||
		c.Local() != b.Addr(Trunk) || c.Contact() != b.Addr(Trunk) {
		t.Errorf("%+v", c)
	}
	foreign := newAuthority(t, "elsewhere")
	old := with(b.ca.issue(t, "sbc.test"))
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for name, cfg := range map[string]*tls.Config{
		"no certificate":            with(),
		"certificate of another CA": with(foreign.issue(t, "sbc.test")),
		"another name":              with(b.ca.issue(t, "other.test")),
		"TLS 1.1":                   old,
	} {
		p, err := b.tryDial(Trunk, cfg)
		if err != nil {
			continue
		}
		io.WriteString(p.Conn, request("OPTIONS")) // with TLS 1.3 the client is done before the server has checked it
		if got := p.closed(); got != "" {
			t.Errorf("%s: received %q", name, got)
		}
	}
	sbc.works()
	n := b.Counters()
	eventually(t, "every failed handshake is counted", func() bool { return n.HandshakeFailures.Load() >= 3 })
	if n.HandshakeFailures.Load() != 3 || n.Unauthorized.Load() != 1 || n.Accepted.Load() != 1 || n.Requests.Load() != 2 {
		t.Errorf("%d handshakes failed, %d unauthorized, %d accepted, %d requests", n.HandshakeFailures.Load(), n.Unauthorized.Load(), n.Accepted.Load(), n.Requests.Load())
	}
	phone := b.dial()
	phone.works()
	eventually(t, "two places taken", func() bool { return b.listeners[0].places() == 1 && b.listeners[1].places() == 1 })
}

// Dial reaches an SBC that knows the box, and no other.
func TestDial(t *testing.T) {
	sbc := start(t, Options{}, Trunk)
	b := start(t, Options{Limits: Limits{HandshakeTimeout: 2 * time.Second}}, Trunk)
	cfg := &tls.Config{RootCAs: sbc.ca.pool, ServerName: "box.test", Certificates: []tls.Certificate{sbc.ca.issue(t, "box.test")}}
	c, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Authenticated() || c.Side() != Trunk || c.Contact() != b.Addr(Trunk) || c.PeerCertificate() == nil {
		t.Errorf("%+v", c)
	}
	_, got := call(t, c, outgoing(sip.OPTIONS))
	wantStatus(t, got, 200)
	// The same connection carries requests the other way (RFC 5923).
	_, got = call(t, sbc.Conns()[0], outgoing(sip.OPTIONS))
	wantStatus(t, got, 200)

	wrong := cfg.Clone()
	wrong.ServerName = "other.test"
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), wrong, nil); err == nil {
		t.Error("another name was accepted")
	}
	wrong = cfg.Clone()
	wrong.RootCAs = b.ca.pool
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), wrong, nil); err == nil {
		t.Error("another CA was accepted")
	}
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if _, err := b.Dial(t.Context(), mute.Addr().String(), cfg, nil); err == nil {
		t.Error("a mute server was accepted")
	}
	b.stop()
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), cfg, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Dial after the end: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	s := New(Options{})
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, addr := range []string{"[::1]:0", taken.Addr().String()} {
		if err := s.Listen(Access, netip.MustParseAddrPort(addr), &tls.Config{}); err == nil {
			t.Errorf("listening on %s", addr)
		}
	}
	if s.Addr(Access).IsValid() {
		t.Error("an address without a listener")
	}
	// An address may come later: a cable that is plugged in, a conflict that ends.
	if err := s.Listen(Access, netip.MustParseAddrPort("192.0.2.1:5061"), &tls.Config{}); err != nil {
		t.Error(err)
	}
	for _, l := range s.listeners {
		l.l.Close()
	}
}

func TestQuiet(t *testing.T) {
	s, now, lines := New(Options{}), time.Unix(1000, 0), 0
	for range 3000 {
		now = now.Add(time.Millisecond)
		if !s.quiet(framingLost, now) {
			lines++
		}
	}
	if lines != 3 {
		t.Errorf("%d lines in 3 s", lines)
	}
	if s.quiet(handshakeFailed, now) {
		t.Error("another event is silenced")
	}
}
