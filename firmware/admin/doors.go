package admin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
)

// ipFreeBind lets the page be there before its address is: a cable that is plugged in late (ip(7), IP_FREEBIND).
const ipFreeBind = 15

// Connections is how many there may be together.
const Connections = 768

// mostConnsOfOne is how many there may be from one address: idle strangers must not shut out the rest.
const mostConnsOfOne = 48

// doors counts the connections of all listeners.
type doors struct {
	mu    sync.Mutex
	all   int
	bySrc map[netip.Addr]int
}

func newDoors() *doors { return &doors{bySrc: make(map[netip.Addr]int)} }

func (d *doors) listen(at netip.AddrPort) (net.Listener, error) {
	early := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipFreeBind, 1) })
		return errors.Join(err, e)
	}}
	l, err := early.Listen(context.Background(), "tcp4", at.String())
	if err != nil {
		return nil, err
	}
	return &door{l, d}, nil
}

type door struct {
	net.Listener
	doors *doors
}

// Accept closes at once what is too much.
func (l *door) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := sourceOf(c.RemoteAddr().String())
		if !l.doors.enter(from) {
			c.Close()
			continue
		}
		return &guest{Conn: c, leave: sync.OnceFunc(func() { l.doors.leave(from) })}, nil
	}
}

func (d *doors) enter(from netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all >= Connections || d.bySrc[from] >= mostConnsOfOne {
		return false
	}
	d.all++
	d.bySrc[from]++
	return true
}

func (d *doors) leave(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.bySrc[from]--; d.bySrc[from] <= 0 {
		delete(d.bySrc, from)
	}
}

type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}

// sourceOf is the address of a "host:port"; the zero Addr if it has none.
func sourceOf(hostPort string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
