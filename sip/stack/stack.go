package stack

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Side says which listener or dialler a connection came from.
type Side uint8

// The two sides of the box.
const (
	Access Side = iota // phones: TLS, Digest
	Trunk              // SBC: mutual TLS
)

// String is the side's name in logs.
func (s Side) String() string {
	if s == Trunk {
		return "trunk"
	}
	return "access"
}

// Transport says how a peer is reached (RFC 3261 §18).
type Transport uint8

// The transports. All but TLS are for the devices of SetPlain alone.
const (
	TLS Transport = iota
	TCP
	UDP
)

// String is the transport's name in a Via.
func (t Transport) String() string { return [...]string{"TLS", "TCP", "UDP"}[t] }

// Options of a Stack. Handlers must be set before Run; they are called concurrently.
type Options struct {
	Log *slog.Logger

	// OnRequest gets every new request except ACK and a CANCEL that matched. It must answer through the transaction.
	// Requests within a dialog come in their order, from the read loop: they must not be waited for there. All others
	// come in goroutines of their own.
	OnRequest func(*ServerTx)
	// Urgent says whether a request must be served although a limit is reached: an emergency call. It is asked only then,
	// and must be quick. nil: none is.
	Urgent func(*Conn, *sip.Request) bool
	// OnAck gets every ACK, from the read loop: that of a 2xx belongs to a dialog (RFC 3261 §13.2.2.4), that of a refusal
	// to none that is left. It must not block.
	OnAck func(*Conn, *sip.Request)
	// OnStray gets a 2xx to an INVITE that no transaction waits for: who sent it may believe in a call. From the read loop; it
	// must not block for long.
	OnStray func(*Conn, *sip.Response)
	// OnCancel gets a CANCEL that fits no INVITE of its connection: the peer may have come back on a new one. It reports whether it fits
	// an INVITE all the same, which the layer above then ends and answers, and the To tag of that one's responses. From the read loop; it
	// must not block. nil: none does.
	OnCancel func(*Conn, *sip.Request) (tag string, ok bool)
	// OnClosed is told after a connection is gone, once.
	OnClosed func(*Conn)
	// Authorize decides whether a finished handshake may speak SIP; nil admits all. Its error is logged.
	Authorize func(*Conn) error

	// Trace sees every message as it is on the wire, the unreadable ones too: what came before it is parsed (out is false), what
	// is sent when it is queued. It must not keep msg, block, or call the connection's Write or Close. nil: nobody looks.
	Trace func(c *Conn, out bool, msg []byte)

	Limits  Limits
	DSCP    int // of SIP packets, 0 to 63
	Timers  Timers
	Network Network // nil: the machine's
}

// Limits bound what the network can make the stack hold. Zero fields take the defaults.
type Limits struct {
	Connections         int           // of one listener, default 12000
	PerSource           int           // connections of one IP address, default 1024
	Handshakes          int           // TLS handshakes under way at once, default 512; a quarter of them for one source
	HandshakeTimeout    time.Duration // default 5 s
	AcceptRate          int           // new connections a second of one source, default 1000 (and as burst)
	UnauthenticatedIdle time.Duration // a connection that has not authenticated by then is closed, default 30 s
	MessageTimeout      time.Duration // from a message's first byte to its last, default 10 s
	UnauthenticatedRate int           // requests a second on a connection that has not authenticated, default 20 (burst 40)
	AuthenticatedRate   int           // requests a second on one that has, default 100 (burst 400)
	QueuedBytes         int           // waiting to be written to one connection, default 256 KiB
	HeldBytes           int           // waiting, of all connections; above it strangers are closed; default 64 MiB
	WriteTimeout        time.Duration // default 10 s
	IdleTimeout         time.Duration // an authenticated connection without a byte, default 1 h
	ClientTransactions  int           // open at once, default 50000
	ServerTransactions  int           // open at once, default 50000
	TransactionsPerConn int           // server transactions open on one connection, default 4096
}

func (l *Limits) defaults() {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	dur := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.Connections, 12000)
	def(&l.PerSource, 1024)
	def(&l.Handshakes, 512)
	dur(&l.HandshakeTimeout, 5*time.Second)
	def(&l.AcceptRate, 1000)
	dur(&l.UnauthenticatedIdle, 30*time.Second)
	dur(&l.MessageTimeout, 10*time.Second)
	def(&l.UnauthenticatedRate, 20)
	def(&l.AuthenticatedRate, 100)
	def(&l.QueuedBytes, 256<<10)
	def(&l.HeldBytes, 64<<20)
	dur(&l.WriteTimeout, 10*time.Second)
	dur(&l.IdleTimeout, time.Hour)
	def(&l.ClientTransactions, 50000)
	def(&l.ServerTransactions, 50000)
	def(&l.TransactionsPerConn, 4096)
}

// Timers of RFC 3261 §17.1.1.1. Zero fields take the RFC's defaults.
type Timers struct {
	T1 time.Duration // round-trip estimate, 500 ms
	T2 time.Duration // longest retransmission interval, 4 s
	B  time.Duration // INVITE timeout, and F, H, L: 64*T1
}

func (t *Timers) defaults() {
	if t.T1 == 0 {
		t.T1 = 500 * time.Millisecond
	}
	if t.T2 == 0 {
		t.T2 = 4 * time.Second
	}
	if t.B == 0 {
		t.B = 64 * t.T1
	}
}

// Stack owns listeners, connections and transactions.
type Stack struct {
	o   Options
	log *slog.Logger

	listeners []*listener
	flows     atomic.Uint64

	mu    sync.Mutex
	conns map[uint64]*Conn

	clients clientTxs
	servers serverTxs
	plain   plain

	secret   [32]byte // of tagOf
	counters Counters
	logged   [4]atomic.Int64 // when an event was last logged, Unix nanoseconds
	held     atomic.Int64    // bytes of unfinished messages, of output queues and of server transactions on UDP
	wg       sync.WaitGroup  // read loops, handlers, writers
	closing  atomic.Bool
}

// Counters tell the operator what the stack refused. All are totals since the start.
type Counters struct {
	Accepted, RefusedConns, HandshakeFailures, Unauthorized atomic.Uint64
	Requests, Responses, Malformed, RateLimited, Overflows  atomic.Uint64
	StrayResponses, SlowMessages                            atomic.Uint64
	Faults                                                  atomic.Uint64 // messages that a fault of the program has cost
	Foreign                                                 atomic.Uint64 // datagrams and plain connections of addresses that the site does not name
}

// New makes a stack; nothing listens before Run.
func New(o Options) *Stack {
	o.Limits.defaults()
	o.Timers.defaults()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = machine{o.DSCP}
	}
	s := &Stack{o: o, log: o.Log, conns: make(map[uint64]*Conn)}
	rand.Read(s.secret[:])
	s.clients.init()
	s.servers.init()
	s.plain.init(s)
	return s
}

// The events that a stranger can cause at will.
const (
	handshakeFailed = iota
	unauthorized
	framingLost
	faulted
)

// quiet tells whether the event may be logged: once a second, since a flood must not fill the log. The counters hold the
// totals.
func (s *Stack) quiet(event int, now time.Time) bool {
	last := s.logged[event].Load()
	return now.UnixNano()-last < int64(time.Second) || !s.logged[event].CompareAndSwap(last, now.UnixNano())
}

// Counters returns the live counters.
func (s *Stack) Counters() *Counters { return &s.counters }

// Timers returns the timer values in use.
func (s *Stack) Timers() Timers { return s.o.Timers }

// Listen opens a TLS listener on an IPv4 address. Connections are accepted once Run runs.
func (s *Stack) Listen(side Side, addr netip.AddrPort, cfg *tls.Config) error {
	if !addr.Addr().Is4() {
		return fmt.Errorf("listen on %s: not an IPv4 address", addr)
	}
	l, err := s.o.Network.Listen(addr)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", side, err)
	}
	s.listeners = append(s.listeners, newListener(s, side, l, cfg))
	return nil
}

// Addr is the address that the side listens on; zero if it does not.
func (s *Stack) Addr(side Side) netip.AddrPort {
	for _, l := range s.listeners {
		if l.side == side {
			return l.l.Addr().(*net.TCPAddr).AddrPort()
		}
	}
	return netip.AddrPort{}
}

// Run serves until ctx ends, then closes in this order: listeners and handshakes (nothing new comes), client transactions
// (their owners hear ErrStopped, not a lost connection), connections (reads end), and waits for every goroutine that it
// started, handlers included.
func (s *Stack) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { errs <- l.serve(ctx) }()
	}
	plainEnded := make(chan struct{})
	go func() {
		defer close(plainEnded)
		s.plain.keep(ctx)
	}()
	var err error
	ended := 0
	select {
	case <-ctx.Done():
	case err = <-errs:
		ended = 1
	}
	s.closing.Store(true)
	cancel()
	for _, l := range s.listeners {
		l.l.Close()
	}
	for ; ended < len(s.listeners); ended++ {
		<-errs
	}
	<-plainEnded
	s.clients.failAll(ErrStopped)
	for _, c := range s.Conns() {
		s.wg.Go(c.Close) // at the same time: a peer that does not read holds each up for closeNotifyTimeout
	}
	s.wg.Wait()
	return err
}

// ErrStopped ends transactions when the stack shuts down.
var ErrStopped = errors.New("stack is stopping")

// Conns is a snapshot of the open connections.
func (s *Stack) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		out = append(out, c)
	}
	return out
}

// Conn finds an open connection by its flow number.
func (s *Stack) Conn(flow uint64) (*Conn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.conns[flow]
	return c, ok
}

// Dial opens a TLS connection to an SBC; it then carries requests in both directions. The handshake is bounded by ctx
// and Limits.HandshakeTimeout. with is what Conn.Get returns from the first request on; nil for nothing.
func (s *Stack) Dial(ctx context.Context, addr string, cfg *tls.Config, with any) (*Conn, error) {
	if s.closing.Load() {
		return nil, ErrStopped
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Limits.HandshakeTimeout)
	defer cancel()
	contact := s.Addr(Trunk)                                // the zero value without a listener
	raw, err := s.o.Network.Dial(ctx, contact.Addr(), addr) // from the address that the SBC knows the box by
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	t := tls.Client(raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	c := s.newConn(Trunk, t, TLS, nil)
	switch {
	case contact.IsValid() && contact.Addr().IsUnspecified():
		c.contact = netip.AddrPortFrom(c.local.Addr(), contact.Port())
	case contact.IsValid():
		c.contact = contact
	}
	if with != nil {
		c.Set(with)
	}
	c.authenticated.Store(true)
	if !s.start(c) {
		return nil, ErrStopped
	}
	return c, nil
}

// start registers the connection and runs its read loop; a flow on UDP has none of its own.
func (s *Stack) start(c *Conn) bool {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		c.raw.Close()
		return false
	}
	if c.over == UDP {
		if !c.Closed() { // it may have had to make room already, or its device has left the document
			s.conns[c.flow] = c
		}
		s.mu.Unlock()
		return true
	}
	s.conns[c.flow] = c
	s.wg.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		c.readLoop()
	}()
	return true
}

// forget is called once by the connection when it is closed.
func (s *Stack) forget(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.flow)
	s.mu.Unlock()
	s.clients.failConn(c, ErrConnClosed)
	s.servers.dropConn(c)
	if s.o.OnClosed != nil {
		s.o.OnClosed(c)
	}
}
