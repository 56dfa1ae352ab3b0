// Package memnet is a network in memory: listeners and connections with addresses, where a write arrives after a fixed
// time. Everything waits on channels and timers, so that a test can run it in a testing/synctest bubble and thousands of
// calls take no real time. It loses nothing and reorders nothing: it stands for TCP.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Net is one network. The zero value is empty and ready.
type Net struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*listener
	port      uint16
	open      int
}

// errRefused is what dialling an address without a listener gets.
var errRefused = errors.New("connection refused")

// Listen opens a listener; port 0 chooses one.
func (n *Net) Listen(addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.next())
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("listen on %s: address in use", addr)
	}
	l := &listener{net: n, addr: addr, queue: make(chan net.Conn, 1024), done: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = make(map[netip.AddrPort]*listener)
	}
	n.listeners[addr] = l
	return l, nil
}

func (n *Net) next() uint16 {
	if n.port < 1024 || n.port == 65535 {
		n.port = 1024
	}
	n.port++
	return n.port
}

// Dial connects; each end's writes arrive after the delay.
func (n *Net) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, delay time.Duration) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[remote]
	from := netip.AddrPortFrom(local, n.next())
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", remote, errRefused)
	}
	up, down := newHalf(delay), newHalf(delay)
	client := &conn{in: down, out: up, local: from, remote: remote, net: n}
	server := &conn{in: up, out: down, local: remote, remote: from, net: n}
	select {
	case l.queue <- server:
		n.mu.Lock()
		n.open += 2
		n.mu.Unlock()
		return client, nil
	case <-l.done:
		return nil, fmt.Errorf("dial %s: %w", remote, errRefused)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Open are the ends of connections that nobody has closed.
func (n *Net) Open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

type listener struct {
	net   *Net
	addr  netip.AddrPort
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		close(l.done)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// half is one direction.
type half struct {
	delay time.Duration

	mu       sync.Mutex
	queue    []segment
	ended    bool // by the writer: what is queued still arrives
	broken   bool // by the reader: writes fail
	deadline time.Time
	changed  chan struct{} // closed and replaced at each change
}

type segment struct {
	at   time.Time
	data []byte // nil: the end
}

func newHalf(delay time.Duration) *half { return &half{delay: delay, changed: make(chan struct{})} }

// signal is called with mu held.
func (h *half) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.broken {
		return 0, net.ErrClosed
	}
	h.queue = append(h.queue, segment{time.Now().Add(h.delay), append([]byte{}, b...)})
	h.signal()
	return len(b), nil
}

func (h *half) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended = true
		h.queue = append(h.queue, segment{at: time.Now().Add(h.delay)})
		h.signal()
	}
}

func (h *half) breakOff() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken, h.queue = true, nil
	h.signal()
}

func (h *half) setDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deadline = t
	h.signal()
}

func (h *half) read(b []byte) (int, error) {
	for {
		h.mu.Lock()
		now := time.Now()
		if h.broken {
			h.mu.Unlock()
			return 0, net.ErrClosed
		}
		if len(h.queue) > 0 && !h.queue[0].at.After(now) {
			defer h.mu.Unlock()
			if h.queue[0].data == nil {
				return 0, io.EOF
			}
			n := copy(b, h.queue[0].data)
			if h.queue[0].data = h.queue[0].data[n:]; len(h.queue[0].data) == 0 {
				h.queue = h.queue[1:]
			}
			return n, nil
		}
		wake := h.deadline
		if !wake.IsZero() && !wake.After(now) {
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(h.queue) > 0 && (wake.IsZero() || h.queue[0].at.Before(wake)) {
			wake = h.queue[0].at
		}
		changed := h.changed
		h.mu.Unlock()
		if wake.IsZero() {
			<-changed
			continue
		}
		timer := time.NewTimer(wake.Sub(now))
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// conn is one end of a connection.
type conn struct {
	in, out       *half
	local, remote netip.AddrPort
	net           *Net
	once          sync.Once
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }
func (c *conn) LocalAddr() net.Addr         { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr        { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) Close() error {
	c.once.Do(func() {
		c.out.end()
		c.in.breakOff()
		c.net.mu.Lock()
		c.net.open--
		c.net.mu.Unlock()
	})
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline does nothing: a write never waits.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
