// Package wire carries SIP over one TLS connection: framing, and the little of RFC 3261 §17 that a reliable transport
// leaves (a response finds its request by branch and method). Messages are sipgo's; the connection is ours, so that
// a lab phone decides itself when to connect, and the lab sees every byte of the other side.
//
// Dialogs are package ua's job. For the lab only: the box has a stack of its own.
package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ErrClosed is returned by calls on a connection that has ended.
var ErrClosed = errors.New("wire: connection closed")

const writeTimeout = 2 * time.Second

// Handler receives requests, one after the other; it must not block.
type Handler func(c *Conn, req *sip.Request)

// Tap sees each message as it was on the wire.
type Tap func(c *Conn, received bool, raw []byte)

// Conn is one connection. Its methods are safe for concurrent use.
type Conn struct {
	nc     net.Conn
	handle Handler
	tap    Tap

	writing sync.Mutex

	mu      sync.Mutex
	pending map[string]*Tx
	err     error
	done    chan struct{}
}

// New wraps a connection; Run reads it. tap may be nil.
func New(nc net.Conn, h Handler, tap Tap) *Conn {
	if tap == nil {
		tap = func(*Conn, bool, []byte) {}
	}
	return &Conn{nc: nc, handle: h, tap: tap, pending: map[string]*Tx{}, done: make(chan struct{})}
}

// Dial connects from a local address and completes the TLS handshake before it returns.
func Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, cfg *tls.Config, h Handler, tap Tap) (*Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	raw, err := d.DialContext(ctx, "tcp4", remote.String())
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", remote, err)
	}
	nc := tls.Client(raw, cfg)
	if err := nc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS with %v: %w", remote, err)
	}
	return New(nc, h, tap), nil
}

// Local is this end's address.
func (c *Conn) Local() netip.AddrPort { return addrPort(c.nc.LocalAddr()) }

// Remote is the other end's address.
func (c *Conn) Remote() netip.AddrPort { return addrPort(c.nc.RemoteAddr()) }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close ends the connection at once. It is idempotent.
func (c *Conn) Close() { c.fail(ErrClosed) }

// Run reads until the connection ends and returns why.
func (c *Conn) Run() error {
	r := bufio.NewReaderSize(c.nc, 8<<10)
	pong := func() { c.write([]byte("\r\n")) }
	for {
		raw, err := readFrame(r, pong)
		if err != nil {
			c.fail(fmt.Errorf("read: %w", err))
			break
		}
		c.tap(c, true, raw)
		msg, err := sip.ParseMessage(raw)
		if err != nil {
			c.fail(fmt.Errorf("parse %.60q: %w", raw, err))
			break
		}
		switch m := msg.(type) {
		case *sip.Request:
			if m.Via() == nil || m.From() == nil || m.To() == nil || m.CallID() == nil || m.CSeq() == nil {
				c.fail(fmt.Errorf("%s without one of Via, From, To, Call-ID, CSeq", m.Method))
				break
			}
			m.SetSource(c.Remote().String())
			m.SetTransport("TLS")
			c.handle(c, m)
		case *sip.Response:
			c.deliver(m)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Send writes one message.
func (c *Conn) Send(m sip.Message) error {
	raw := []byte(m.String())
	c.tap(c, false, raw)
	return c.write(raw)
}

func (c *Conn) write(raw []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.nc.Write(raw); err != nil {
		err = fmt.Errorf("write: %w", err)
		c.fail(err)
		return err
	}
	return nil
}

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	c.nc.Close()
	close(c.done)
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
