package trunk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// patience is how long a test waits for what must come; no test waits that long when all is well.
const patience = 30 * time.Second

// authority signs certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.cert = a.sign(t, tmpl, tmpl, a.key)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(t testing.TB, tmpl, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// leaf is an end certificate; the functions change what it says.
func (a *authority) leaf(t testing.TB, name string, changes ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if name != "" {
		tmpl.DNSNames = []string{name}
	}
	for _, change := range changes {
		change(tmpl)
	}
	cert := a.sign(t, tmpl, a.cert, key)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func addresses(ips ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, ip := range ips {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(ip))
		}
	}
}

func uris(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, s := range list {
			u, err := url.Parse(s)
			if err != nil {
				panic(err)
			}
			c.URIs = append(c.URIs, u)
		}
	}
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }

func only(usage x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }
}

// serve runs a stack until the test ends.
func serve(t testing.TB, o stack.Options, cfg *tls.Config, at string) (s *stack.Stack, stop func()) {
	t.Helper()
	s = stack.New(o)
	if err := s.Listen(stack.Trunk, netip.MustParseAddrPort(at), cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s, stop
}

// sbc is the other end: a stack that answers as the test wants.
type sbc struct {
	*stack.Stack
	stop  func()
	asked atomic.Int32           // requests so far
	peers chan *x509.Certificate // of whom a request came from, as long as there is room
}

func newSBC(t testing.TB, cfg *tls.Config, at string, answer func(n int, tx *stack.ServerTx)) *sbc {
	t.Helper()
	b := &sbc{peers: make(chan *x509.Certificate, 10)}
	b.Stack, b.stop = serve(t, stack.Options{OnRequest: func(tx *stack.ServerTx) {
		n := int(b.asked.Add(1))
		select {
		case b.peers <- tx.Conn().PeerCertificate():
		default:
		}
		if answer == nil {
			tx.Reply(200, "OK")
			return
		}
		answer(n, tx)
	}}, cfg, at)
	return b
}

func (b *sbc) address() string { return b.Addr(stack.Trunk).String() }

// world is a box's trunk side and what its SBCs need.
type world struct {
	t       testing.TB
	ca      *authority
	set     *Set
	stack   *stack.Stack
	trusted atomic.Pointer[x509.CertPool]
	changes chan State
	end     func() // of Run
}

func (w *world) roots() *x509.CertPool { return w.trusted.Load() }

const nowhere = "127.0.0.1:0"

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{t: t, ca: newAuthority(t), changes: make(chan State, 100)}
	w.trusted.Store(w.ca.pool)
	own := w.ca.leaf(t, "box.example.com")
	o.Certificate = func() (*tls.Certificate, error) { return own, nil }
	o.Roots, o.OnChange = w.roots, func(s State) { w.changes <- s }
	w.stack, _ = serve(t, stack.Options{
		OnRequest: func(tx *stack.ServerTx) { tx.Reply(200, "OK") },
		OnClosed:  func(c *stack.Conn) { w.set.Lost(c) },
		Authorize: func(c *stack.Conn) error {
			id, err := w.set.Identify(c.PeerCertificate())
			c.Set(id)
			return err
		},
	}, ServerConfig(o.Certificate, w.roots), nowhere)
	o.Stack = w.stack
	w.set = New(o)
	return w
}

// run keeps the trunks alive until the test ends or end is called.
func (w *world) run(list ...site.Trunk) {
	w.t.Helper()
	w.set.Update(list)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.set.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.t.Error(err)
			}
		case <-time.After(patience):
			w.t.Error("Run does not end")
		}
	})
	w.t.Cleanup(w.end)
}

// sbc is one with a good certificate for its name.
func (w *world) sbc(name string, answer func(n int, tx *stack.ServerTx)) *sbc {
	w.t.Helper()
	return newSBC(w.t, w.server(w.ca.leaf(w.t, name)), nowhere, answer)
}

// server asks for a certificate of the same authority.
func (w *world) server(cert *tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.ca.pool}
}

// change waits for the next change of a trunk.
func (w *world) change(up bool) State {
	w.t.Helper()
	s := await(w.t, "a change of the trunk", w.changes)
	if s.Up != up {
		w.t.Fatalf("trunk %s: up %v, err %q", s.ID, s.Up, s.Err)
	}
	return s
}

func trunkTo(id, address, name string) site.Trunk {
	return site.Trunk{ID: id, Address: address, TLSName: name, OptionsInterval: 1}
}

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

// eventually waits for what has no event of its own.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// connect waits for a connection.
func (w *world) connect(id string) (*stack.Conn, error) {
	w.t.Helper()
	type got struct {
		c   *stack.Conn
		err error
	}
	ch := make(chan got, 1)
	w.set.Connect(id, func(c *stack.Conn, err error) { ch <- got{c, err} })
	g := await(w.t, "Connect calls back", ch)
	return g.c, g.err
}

// connected is a connection to the trunk, which has to work.
func (w *world) connected(id string) *stack.Conn {
	w.t.Helper()
	c, err := w.connect(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}
