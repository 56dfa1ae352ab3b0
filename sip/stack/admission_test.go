package stack

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
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
	b := start(t, Options{Limits: Limits{HandshakeTimeout: 200 * time.Millisecond}})
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
			if l.admit(addr, now) {
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
		if !l.admit(addr, now) {
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

func TestUnauthenticatedIdle(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedIdle: 300 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		if tx.Request().Method == sip.REGISTER {
			tx.Conn().SetAuthenticated()
		}
		tx.Reply(200, "OK")
	}})
	phone, silent, pinging, talking := b.dial(), b.dial(), b.dial(), b.dial()
	phone.send(request("REGISTER"))
	phone.response(200)
	// Neither keepalives nor requests keep a stranger's place.
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for c, text := range map[*peer]string{pinging: "\r\n\r\n", talking: request("OPTIONS")} {
		wg.Go(func() {
			for {
				if _, err := io.WriteString(c.Conn, text); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(60 * time.Millisecond):
				}
			}
		})
	}
	silent.closed()
	pinging.closed()
	talking.closed()
	close(stop)
	wg.Wait()
	phone.works()
	eventually(t, "the phone alone is left", func() bool { return len(b.Conns()) == 1 && b.Conns()[0].Authenticated() })
}

// Authenticating lifts the stranger's deadline in whatever state the read loop is.
func TestAuthenticatedWhileReading(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedIdle: 250 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	silent := b.dial() // its end is the clock
	peers := make([]*peer, 20)
	for i := range peers {
		peers[i] = b.dial()
		r := request("OPTIONS")
		peers[i].send(request("REGISTER") + r[:i*10])
		peers[i].response(200)
		defer func() { peers[i].send(r[i*10:]); peers[i].response(200) }()
	}
	late := b.dial()
	silent.closed()
	late.closed()
}

func TestIdleTimeout(t *testing.T) {
	b := start(t, Options{Limits: Limits{IdleTimeout: 250 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	p := b.dial()
	p.works()
	p.closed()
}

func TestSlowMessage(t *testing.T) {
	b := start(t, Options{Limits: Limits{MessageTimeout: 250 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	good, known, stranger := b.dial(), b.dial(), b.dial()
	known.works()
	var wg sync.WaitGroup
	for _, p := range []*peer{known, stranger} {
		wg.Go(func() { // a byte now and then
			for _, c := range []byte(request("OPTIONS")) {
				if _, err := p.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("a slow message got through")
		})
	}
	good.works()
	known.closed()
	stranger.closed()
	good.works()
	wg.Wait()
	if n := b.Counters().SlowMessages.Load(); n != 2 {
		t.Errorf("%d slow messages, want 2", n)
	}
}

func TestRequestRate(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedRate: 5}})
	good, p := b.dial(), b.dial()
	p.send(strings.Repeat(request("REGISTER"), 1)) // warm
	p.response(200)
	for range 30 {
		p.send(request("REGISTER"))
	}
	answers := map[int]int{}
	for range 30 {
		answers[p.message().(*sip.Response).StatusCode]++
	}
	if answers[200] < 9 || answers[200] > 15 || answers[503] != 30-answers[200] {
		t.Errorf("answers %v; want the burst of 10, then 503", answers)
	}
	good.works()
	if n := b.Counters().RateLimited.Load(); n != uint64(answers[503]) {
		t.Errorf("counted %d", n)
	}
}

// What comes in a flood ends the connection; what a real phone does never comes near.
func TestFloods(t *testing.T) {
	ack := request("ACK")
	for name, text := range map[string]string{
		"garbage":         "a\r\n\r\n",
		"wrong requests":  strings.Replace(request("OPTIONS"), "CSeq: 1", "CSeq: x", 1),
		"requests":        request("OPTIONS"),
		"ACKs":            ack,
		"stray responses": NewResponse(mustRequest(t, request("OPTIONS")), 200, "OK", "x").String(),
		"pings":           "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, Options{OnAck: func(*Conn, *sip.Request) {}})
			good, p := b.dial(), b.dial()
			go io.Copy(io.Discard, p.NetConn()) // reads its answers, at its own pace
			p.SetWriteDeadline(time.Now().Add(patience))
			var err error
			for i := 0; err == nil && i < 100000; i++ {
				_, err = io.WriteString(p.Conn, text)
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the flood went on: %v", err)
			}
			good.works()
			eventually(t, "one connection left", func() bool { return len(b.Conns()) == 1 })
			if n := b.held.Load(); n != 0 {
				t.Errorf("%d bytes held", n)
			}
		})
	}
}

func mustRequest(t *testing.T, text string) *sip.Request {
	t.Helper()
	m, err := sip.ParseMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Request)
}

// A peer that does not read is closed; those who write to it never wait.
func TestPeerDoesNotRead(t *testing.T) {
	for name, o := range map[string]Options{
		"queue full":        {Limits: Limits{QueuedBytes: 1 << 20}},
		"write timeout":     {Limits: Limits{QueuedBytes: 1 << 30, WriteTimeout: 100 * time.Millisecond}},
		"no room for it":    {Limits: Limits{QueuedBytes: 1 << 30, HeldBytes: 1 << 20}},
		"queue full, known": {Limits: Limits{QueuedBytes: 1 << 20, HeldBytes: 1}, OnRequest: func(tx *ServerTx) { tx.Conn().SetAuthenticated(); tx.Reply(200, "OK") }},
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan *Conn, 2)
			o.OnClosed = func(c *Conn) { closed <- c }
			b := start(t, o)
			p := b.dial()
			p.works()
			c := b.Conns()[0]
			good := b.dial()
			msg := outgoing(sip.MESSAGE)
			msg.SetBody(make([]byte, 32<<10))
			var err error
			longest := time.Duration(0)
			for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
				at := time.Now()
				err = c.Write(msg)
				longest = max(longest, time.Since(at))
				if name == "write timeout" {
					time.Sleep(time.Millisecond) // not more than the test has memory for
				}
			}
			if want := map[bool]error{true: ErrConnClosed, false: ErrQueueFull}[name == "write timeout"]; !errors.Is(err, want) {
				t.Errorf("Write: %v, want %v", err, want)
			}
			if longest > time.Second {
				t.Errorf("a Write took %v", longest)
			}
			good.works()
			if got := await(t, "OnClosed", closed); got != c {
				t.Error("another connection was closed")
			}
			good.works()
			if n := b.held.Load(); n != 0 {
				t.Errorf("%d bytes held", n)
			}
		})
	}
}

// Long unfinished messages of strangers share a bounded memory.
func TestHeldInput(t *testing.T) {
	b := start(t, Options{Limits: Limits{HeldBytes: 200 << 10}, OnRequest: func(tx *ServerTx) { tx.Conn().SetAuthenticated(); tx.Reply(200, "OK") }})
	known := b.dial()
	known.works()
	long := strings.Replace(request("OPTIONS"), "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxBody, strings.Repeat("x", maxBody)), 1)
	var strangers []*peer
	for range 10 {
		p := b.dial()
		io.WriteString(p.Conn, long[:len(long)-1]) // fails for those who are closed
		strangers = append(strangers, p)
	}
	eventually(t, "the surplus is closed", func() bool { return b.Counters().Overflows.Load() >= 7 })
	if n := b.held.Load(); n > 200<<10 {
		t.Errorf("%d bytes held", n)
	}
	known.send(long[:len(long)-1]) // who is known may go on
	known.send(long[len(long)-1:])
	known.response(200)
	for _, p := range strangers {
		p.NetConn().Close()
	}
	eventually(t, "nothing held", func() bool { return b.held.Load() == 0 && len(b.Conns()) == 1 })
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
	b := start(t, Options{Limits: Limits{HandshakeTimeout: 300 * time.Millisecond}}, Trunk)
	cfg := &tls.Config{RootCAs: sbc.ca.pool, ServerName: "box.test", Certificates: []tls.Certificate{sbc.ca.issue(t, "box.test")}}
	c, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), cfg)
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
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), wrong); err == nil {
		t.Error("another name was accepted")
	}
	wrong = cfg.Clone()
	wrong.RootCAs = b.ca.pool
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), wrong); err == nil {
		t.Error("another CA was accepted")
	}
	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if _, err := b.Dial(t.Context(), mute.Addr().String(), cfg); err == nil {
		t.Error("a mute server was accepted")
	}
	b.stop()
	if _, err := b.Dial(t.Context(), sbc.Addr(Trunk).String(), cfg); !errors.Is(err, ErrStopped) {
		t.Errorf("Dial after the end: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	s := New(Options{})
	for _, addr := range []string{"[::1]:0", "192.0.2.1:5061"} {
		if err := s.Listen(Access, netip.MustParseAddrPort(addr), &tls.Config{}); err == nil {
			t.Errorf("listening on %s", addr)
		}
	}
	if s.Addr(Access).IsValid() {
		t.Error("an address without a listener")
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

// A peer that reads a byte now and then does not hold Hangup, and with it the place, for long.
func TestHangupBounded(t *testing.T) {
	closed := make(chan *Conn, 1)
	b := start(t, Options{Limits: Limits{QueuedBytes: 1 << 30, HeldBytes: 1 << 30, WriteTimeout: 200 * time.Millisecond}, OnClosed: func(c *Conn) { closed <- c }})
	p := b.dial()
	p.works()
	c := b.Conns()[0]
	msg := outgoing(sip.MESSAGE)
	msg.SetBody(make([]byte, 32<<10))
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { // enough for each write to get through in time
		buf := make([]byte, 256<<10)
		for {
			if _, err := p.NetConn().Read(buf); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	for range 2000 { // 64 MB: some 3 s of such reading
		if err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now()
	c.Hangup()
	if d := time.Since(at); d > 1500*time.Millisecond {
		t.Errorf("Hangup took %v", d)
	}
	await(t, "OnClosed", closed)
	close(stop)
	reader.Wait()
}
