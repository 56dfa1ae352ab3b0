package stack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// Network is where a Stack listens and dials. The machine's own is TCP over IPv4; a test may bring one in memory, whose
// connections must have *net.TCPAddr addresses.
type Network interface {
	Listen(addr netip.AddrPort) (net.Listener, error)
	// Dial connects from a local address, any if it is the zero value.
	Dial(ctx context.Context, local netip.Addr, remote string) (net.Conn, error)
}

// ipFreeBind lets a listener be there before its address is (ip(7), IP_FREEBIND): a cable that is plugged in late, or an
// address that another machine has for a while, must not keep the program from starting.
const ipFreeBind = 15

// machine is the network of the machine, its packets marked (RFC 2474).
type machine struct{ dscp int }

func (m machine) Listen(addr netip.AddrPort) (net.Listener, error) {
	mark := dscpControl(m.dscp)
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipFreeBind, 1) }); e != nil || err != nil {
			return errors.Join(e, err)
		}
		if mark == nil {
			return nil
		}
		return mark(network, address, c)
	}}
	return lc.Listen(context.Background(), "tcp4", addr.String())
}

func (m machine) Dial(ctx context.Context, local netip.Addr, remote string) (net.Conn, error) {
	d := net.Dialer{Control: dscpControl(m.dscp)}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp4", remote)
}

// Usage is what the stack holds at this moment.
type Usage struct {
	Conns, ClientTxs, ServerTxs int
	HeldBytes                   int // of unfinished messages and of output queues
}

// Usage counts it.
func (s *Stack) Usage() Usage {
	u := Usage{HeldBytes: int(s.held.Load())}
	s.mu.Lock()
	u.Conns = len(s.conns)
	s.mu.Unlock()
	s.clients.mu.Lock()
	u.ClientTxs = len(s.clients.m)
	s.clients.mu.Unlock()
	s.servers.mu.Lock()
	u.ServerTxs = len(s.servers.m)
	s.servers.mu.Unlock()
	return u
}
