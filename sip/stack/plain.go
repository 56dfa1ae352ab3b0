package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Plain is what the access side takes without TLS: devices that the site names, each known by its one address. While there
// is none of a transport, nobody listens there.
type Plain struct {
	Listen   netip.AddrPort
	Contact  netip.Addr // of the box, where Listen names none
	UDP, TCP []netip.Addr
}

// plain keeps the listeners that Plain asks for.
type plain struct {
	s     *Stack
	kick  chan struct{}
	fault atomic.Pointer[error]

	mu    sync.Mutex
	want  Plain
	tcpOK map[netip.Addr]bool

	datagrams
	tcp atomic.Pointer[listener] // nil: closed
}

func (p *plain) init(s *Stack) {
	p.s, p.datagrams.s, p.kick = s, s, make(chan struct{}, 1)
}

// SetPlain says which devices may speak SIP without TLS, in place of those before; whoever is not among them any more is cut
// off. It may be called at any time. Listeners come and go while Run runs; what cannot be opened is tried again, and
// PlainFault tells of it.
func (s *Stack) SetPlain(want Plain) {
	p := &s.plain
	ok := make(map[netip.Addr]bool, len(want.TCP))
	for _, a := range want.TCP {
		ok[a] = true
	}
	p.mu.Lock()
	p.want = want
	p.tcpOK = ok
	p.mu.Unlock()
	p.name(want.UDP, want.contact(want.Listen.Port()))
	for _, c := range s.Conns() {
		if c.over == TCP && !ok[c.remote.Addr()] {
			go c.Close()
		}
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// contact is where a device reaches the box.
func (w Plain) contact(port uint16) netip.AddrPort {
	if w.Listen.Addr().IsUnspecified() {
		return netip.AddrPortFrom(w.Contact, port)
	}
	return netip.AddrPortFrom(w.Listen.Addr(), port)
}

// PlainFault is why a listener of SetPlain is not there; nil if nothing is wrong.
func (s *Stack) PlainFault() error {
	if e := s.plain.fault.Load(); e != nil {
		return *e
	}
	return nil
}

// PlainAddr is where the box listens for devices on TCP or UDP; zero if it does not.
func (s *Stack) PlainAddr(over Transport) netip.AddrPort {
	switch over {
	case UDP:
		if sock := s.plain.sock.Load(); sock != nil {
			return (*sock).LocalAddr().(*net.UDPAddr).AddrPort()
		}
	case TCP:
		if l := s.plain.tcp.Load(); l != nil {
			return l.l.Addr().(*net.TCPAddr).AddrPort()
		}
	}
	return netip.AddrPort{}
}

// Reach is the flow of a device on UDP, made if there is none: its address is all that there is to know. nil if it is none.
func (s *Stack) Reach(at netip.AddrPort) *Conn { return s.plain.flow(at, time.Now(), true) }

// How often a listener that could not be opened is tried again, and flows are looked at.
const (
	plainRetry = 10 * time.Second
	plainSweep = 5 * time.Second
)

// keep opens and closes listeners until ctx ends, then closes all and waits for who reads from them.
func (p *plain) keep(ctx context.Context) {
	var udp, tcp served
	defer func() {
		p.sock.Store(nil)
		p.tcp.Store(nil)
		udp.end()
		tcp.end()
	}()
	sweep := time.NewTicker(plainSweep)
	defer sweep.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-sweep.C:
			p.sweep(now)
			continue
		case <-p.kick:
		case <-retry.C:
		}
		err := errors.Join(p.openUDP(&udp), p.openTCP(ctx, &tcp))
		before := p.s.PlainFault()
		if err == nil {
			p.fault.Store(nil)
			continue
		}
		p.fault.Store(&err)
		if before == nil {
			p.s.log.Error("no listener for devices without TLS; it is tried again", "err", err, "in", plainRetry)
		}
		retry.Reset(plainRetry)
	}
}

// served is a listener and the goroutine that serves it.
type served struct {
	at    netip.AddrPort
	close func()
	done  chan struct{}
}

func (v *served) end() {
	if v.close != nil {
		v.close()
		<-v.done
	}
	*v = served{}
}

// begin runs serve until close makes it end.
func (v *served) begin(at netip.AddrPort, closes func() error, serve func()) {
	*v = served{at: at, close: func() { closes() }, done: make(chan struct{})}
	done := v.done
	go func() {
		defer close(done)
		serve()
	}()
}

func (p *plain) wanted() (Plain, map[netip.Addr]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want, maps.Clone(p.tcpOK)
}

func (p *plain) openUDP(v *served) error {
	want, _ := p.wanted()
	on := len(want.UDP) > 0
	if v.close != nil && on && v.at == want.Listen {
		return nil
	}
	p.sock.Store(nil)
	v.end()
	if !on {
		return nil
	}
	sock, err := p.s.o.Network.ListenPacket(want.Listen)
	if err != nil {
		return fmt.Errorf("listen for devices on UDP: %w", err)
	}
	p.sock.Store(&sock)
	p.at(want.contact(sock.LocalAddr().(*net.UDPAddr).AddrPort().Port()))
	v.begin(want.Listen, sock.Close, func() { p.serve(sock) })
	return nil
}

func (p *plain) openTCP(ctx context.Context, v *served) error {
	want, _ := p.wanted()
	on := len(want.TCP) > 0
	if v.close != nil && on && v.at == want.Listen {
		return nil
	}
	p.tcp.Store(nil)
	v.end()
	if !on {
		return nil
	}
	raw, err := p.s.o.Network.Listen(want.Listen)
	if err != nil {
		return fmt.Errorf("listen for devices on TCP: %w", err)
	}
	l := newListener(p.s, Access, raw, nil)
	l.allowed = p.mayTCP
	p.tcp.Store(l)
	v.begin(want.Listen, raw.Close, func() { l.serve(ctx) })
	return nil
}

func (p *plain) mayTCP(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tcpOK[a]
}

// plain takes an accepted connection of a device on TCP.
func (l *listener) plain(raw net.Conn, addr netip.Addr, spare bool) {
	c := l.s.newConn(l.side, raw, TCP, func() { l.release(addr) })
	c.spare = spare
	l.s.counters.Accepted.Add(1)
	if !l.s.start(c) {
		l.release(addr)
		return
	}
	if !l.allowed(addr) { // the document has changed just now
		c.Close()
	}
}
