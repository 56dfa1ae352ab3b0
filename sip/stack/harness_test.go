package stack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// patience is how long a test waits for an event that must come; no test waits that long when all is well.
const patience = 30 * time.Second

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue makes an end certificate for a name on 127.0.0.1.
func (a *authority) issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// box is a running stack with an access and, if asked for, a trunk listener.
type box struct {
	*Stack
	t      testing.TB
	ca     *authority
	cancel context.CancelFunc
	ended  chan error
}

// start runs a stack until the test ends. Handlers left nil answer 200.
func start(t testing.TB, o Options, sides ...Side) *box {
	t.Helper()
	if o.OnRequest == nil {
		o.OnRequest = func(tx *ServerTx) { tx.Reply(200, "OK") }
	}
	b := &box{Stack: New(o), t: t, ca: newAuthority(t, "branch"), ended: make(chan error, 1)}
	if len(sides) == 0 {
		sides = []Side{Access}
	}
	for _, side := range sides {
		cfg := &tls.Config{Certificates: []tls.Certificate{b.ca.issue(t, "box.test")}}
		if side == Trunk {
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, b.ca.pool
		}
		if err := b.Listen(side, netip.MustParseAddrPort("127.0.0.1:0"), cfg); err != nil {
			t.Fatal(err)
		}
	}
	var ctx context.Context
	ctx, b.cancel = context.WithCancel(context.Background())
	go func() { b.ended <- b.Run(ctx) }()
	t.Cleanup(b.stop)
	return b
}

// stop ends the stack and waits for it.
func (b *box) stop() {
	b.cancel()
	select {
	case err := <-b.ended:
		if err != nil {
			b.t.Errorf("Run: %v", err)
		}
		b.ended <- nil
		noFaults(b.t, b.Stack)
	case <-time.After(patience):
		b.t.Error("Run did not end")
	}
}

// noFaults fails a test whose messages have set off faults of the program, unless it is about those.
func noFaults(t testing.TB, s *Stack) {
	t.Helper()
	if n := s.Counters().Faults.Load(); n > 0 && !strings.HasPrefix(t.Name(), "TestAFault") {
		t.Errorf("%d faults", n)
	}
}

// faultLog shows where they were.
func faultLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// peer is a phone or an SBC on a connection of its own.
type peer struct {
	t testing.TB
	*tls.Conn
	r *bufio.Reader
}

func (b *box) config() *tls.Config {
	return &tls.Config{RootCAs: b.ca.pool, ServerName: "box.test"}
}

func (b *box) tryDial(side Side, cfg *tls.Config) (*peer, error) {
	return b.dialWith(from(1), side, cfg)
}

func (b *box) dialWith(from *net.Dialer, side Side, cfg *tls.Config) (*peer, error) {
	d := tls.Dialer{Config: cfg, NetDialer: from}
	c, err := d.Dial("tcp4", b.Addr(side).String())
	if err != nil {
		return nil, err
	}
	p := &peer{t: b.t, Conn: c.(*tls.Conn), r: bufio.NewReader(c)}
	b.t.Cleanup(func() { p.NetConn().Close() })
	return p, nil
}

func (b *box) dial() *peer { return b.dialFrom(1) }

// dialFrom connects a phone from 127.0.0.n.
func (b *box) dialFrom(n byte) *peer {
	b.t.Helper()
	p, err := b.dialWith(from(n), Access, b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (p *peer) send(s string) {
	p.t.Helper()
	p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// raw reads one message as text; io.EOF (or the reset of a closed socket) when the stack has closed.
func (p *peer) raw() (string, error) {
	p.SetReadDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	length := 0
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return b.String() + line, err
		}
		b.WriteString(line)
		if v, ok := strings.CutPrefix(strings.ToLower(line), "content-length:"); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
				return "", err
			}
		}
		if line == "\r\n" {
			break
		}
	}
	_, err := io.CopyN(&b, p.r, int64(length))
	return b.String(), err
}

func (p *peer) message() sip.Message {
	p.t.Helper()
	text, err := p.raw()
	if err != nil {
		p.t.Fatalf("receive after %q: %v", text, err)
	}
	m, err := sip.ParseMessage([]byte(text))
	if err != nil {
		p.t.Fatalf("%v in:\n%s", err, text)
	}
	return m
}

func (p *peer) response(status int) *sip.Response {
	p.t.Helper()
	m := p.message()
	res, ok := m.(*sip.Response)
	if !ok || res.StatusCode != status {
		p.t.Fatalf("want a %d, got:\n%s", status, m)
	}
	return res
}

func (p *peer) request(method sip.RequestMethod) *sip.Request {
	p.t.Helper()
	m := p.message()
	r, ok := m.(*sip.Request)
	if !ok || r.Method != method {
		p.t.Fatalf("want %s, got:\n%s", method, m)
	}
	return r
}

// closed waits for the stack to close the connection; what still comes is returned.
func (p *peer) closed() string {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(p.r)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("connection still open; received %q", b)
	}
	return string(b)
}

// works asserts that the connection still serves.
func (p *peer) works() {
	p.t.Helper()
	p.send(request("OPTIONS"))
	p.response(200)
}

// request is a well-formed request without a body; extra lines go before Content-Length.
func request(method string, extra ...string) string {
	lines := ""
	for _, l := range extra {
		lines += l + "\r\n"
	}
	return fmt.Sprintf("%[1]s sip:box.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=%[2]s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:201@box.test>;tag=%[3]s\r\nTo: <sip:201@box.test>\r\nCall-ID: %[4]s\r\nCSeq: 1 %[1]s\r\n%[5]sContent-Length: 0\r\n\r\n",
		method, NewBranch(), NewTag(), NewCallID(), lines)
}

// eventually waits until ok; the stack has no event for what is asked here (a counter, a map's size).
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// await waits for an event.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}

func (c *clientTxs) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.m)
}

func (s *serverTxs) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

// places are the connections and handshakes that count against the listener's cap.
func (l *listener) places() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

func (l *listener) shaking() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handshakes
}

// atomicCount counts calls of OnClosed.
type atomicCount struct{ n atomic.Int32 }

func (a *atomicCount) add(*Conn) { a.n.Add(1) }
