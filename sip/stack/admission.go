package stack

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// listener accepts TLS connections under the admission limits: a global and a per-source cap, a rate per source, and a
// bounded number of handshakes, each with a deadline. What is refused is closed before any TLS work.
type listener struct {
	s    *Stack
	side Side
	l    net.Listener
	cfg  *tls.Config

	allowed func(netip.Addr) bool // not nil: TCP without TLS, for these devices alone

	mu         sync.Mutex
	total      int // connections and handshakes
	handshakes int // of them, under way
	sources    map[netip.Addr]*source
}

// source is one address's share.
type source struct {
	conns      int
	handshakes int
	tokens     float64
	spare      float64 // tokens beyond the limits
	seen       time.Time
}

// sourcesKept bounds the memory about addresses without a connection.
const sourcesKept = 8192

func newListener(s *Stack, side Side, l net.Listener, cfg *tls.Config) *listener {
	return &listener{s: s, side: side, l: l, cfg: cfg, sources: make(map[netip.Addr]*source)}
}

func (l *listener) serve(ctx context.Context) error {
	backoff := time.Duration(0)
	for {
		raw, err := l.l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Out of descriptors or aborted connections: the listener itself is sound. Wait a little and go on.
			backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
			l.s.log.Warn("accept failed", "side", l.side, "err", err, "retry_in", backoff)
			select {
			case <-time.After(backoff):
			case <-ctx.Done():
				return nil
			}
			continue
		}
		backoff = 0
		addr := raw.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if l.allowed != nil && !l.allowed(addr) {
			l.s.counters.Foreign.Add(1)
			raw.Close()
			continue
		}
		spare, ok := l.admit(addr, time.Now())
		if !ok {
			l.s.counters.RefusedConns.Add(1)
			raw.Close()
			continue
		}
		l.s.wg.Add(1)
		go func() { // a short-lived goroutine, so that the handshake's deep stack is not kept for the connection's life
			defer l.s.wg.Done()
			l.handshake(ctx, raw, addr, spare)
		}()
	}
}

func (l *listener) handshake(ctx context.Context, raw net.Conn, addr netip.Addr, spare bool) {
	if l.allowed != nil {
		l.settled(addr)
		l.plain(raw, addr, spare)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.s.o.Limits.HandshakeTimeout)
	defer cancel()
	t := tls.Server(raw, l.cfg)
	err := t.HandshakeContext(ctx)
	l.settled(addr)
	if err != nil {
		l.s.counters.HandshakeFailures.Add(1)
		if !l.s.quiet(handshakeFailed, time.Now()) {
			l.s.log.Info("TLS handshake failed", "side", l.side, "source", raw.RemoteAddr().String(), "err", err)
		}
		raw.Close()
		l.release(addr)
		return
	}
	c := l.s.newConn(l.side, t, TLS, func() { l.release(addr) })
	c.spare = spare && l.side == Access
	if f := l.s.o.Authorize; f != nil {
		if err := f(c); err != nil {
			l.s.counters.Unauthorized.Add(1)
			if !l.s.quiet(unauthorized, time.Now()) {
				l.s.log.Warn("connection refused", "side", l.side, "source", raw.RemoteAddr().String(), "err", err)
			}
			t.Close()
			l.release(addr)
			return
		}
	}
	if l.side == Trunk && len(t.ConnectionState().VerifiedChains) > 0 {
		c.SetAuthenticated() // by its certificate, and by Authorize
	}
	l.s.counters.Accepted.Add(1)
	if !l.s.start(c) {
		l.release(addr)
	}
}

// admit takes a place and a handshake for a connection from the address. A quarter of the handshakes is the most that one
// source may have under way, or a single one that stays silent would lock everybody out. Beyond the limits there are
// spare places, for emergency calls; for each source too, since behind one address there may be a whole branch.
func (l *listener) admit(addr netip.Addr, now time.Time) (spare, ok bool) {
	lim := &l.s.o.Limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if spare = l.crowded(); spare && !l.admitSpare() {
		return false, false
	}
	src := l.sources[addr]
	if src == nil {
		if len(l.sources) >= sourcesKept+lim.Connections {
			l.sweep(now)
		}
		src = &source{tokens: float64(lim.AcceptRate), spare: spareSource, seen: now}
		l.sources[addr] = src
	}
	passed := now.Sub(src.seen).Seconds()
	src.tokens = min(float64(lim.AcceptRate), src.tokens+passed*float64(lim.AcceptRate))
	src.spare = min(spareSource, src.spare+passed*spareRate)
	src.seen = now
	if most := max(1, lim.Handshakes/4); src.conns >= l.perSource() || src.handshakes >= most || src.tokens < 1 {
		if l.s.o.Urgent == nil || src.spare < 1 || src.conns >= l.perSource()+spareSource || src.handshakes >= most+spareSource {
			return false, false
		}
		spare = true
		src.spare--
	} else {
		src.tokens--
	}
	src.conns++
	src.handshakes++
	l.total++
	l.handshakes++
	return spare, true
}

// settled gives the handshake back; the place stays taken.
func (l *listener) settled(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handshakes--
	l.sources[addr].handshakes-- // there as long as it has a connection
}

func (l *listener) release(addr netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	src := l.sources[addr]
	src.conns--
	if src.conns == 0 && len(l.sources) > sourcesKept {
		delete(l.sources, addr)
	}
}

// sweep forgets idle addresses.
func (l *listener) sweep(now time.Time) {
	for a, src := range l.sources {
		if src.conns == 0 && now.Sub(src.seen) > time.Second {
			delete(l.sources, a)
		}
	}
}

// dscpControl marks a socket's packets (RFC 2474); the accepted connections inherit it from the listener.
func dscpControl(dscp int) func(network, address string, c syscall.RawConn) error {
	if dscp == 0 {
		return nil
	}
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TOS, dscp<<2)
		}); e != nil {
			return e
		}
		return err
	}
}
