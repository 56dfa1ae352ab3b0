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
	// ListenPacket opens a UDP socket.
	ListenPacket(addr netip.AddrPort) (PacketConn, error)
}

// PacketConn is what the stack needs of a *net.UDPConn.
type PacketConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

// ipFreeBind lets a listener be there before its address is (ip(7), IP_FREEBIND): a cable that is plugged in late, or an
// address that another machine has for a while, must not keep the program from starting.
const ipFreeBind = 15

// machine is the network of the machine, its packets marked (RFC 2474).
type machine struct{ dscp int }

func (m machine) Listen(addr netip.AddrPort) (net.Listener, error) {
	lc := m.config(map[int]int{ipFreeBind: 1})
	return lc.Listen(context.Background(), "tcp4", addr.String())
}

// ListenPacket lets datagrams be fragmented: a message to a device that knows nothing but UDP has no other way
// (RFC 3261 §18.1.1 would have TCP above 1300 bytes), and on the LAN fragments arrive.
func (m machine) ListenPacket(addr netip.AddrPort) (PacketConn, error) {
	lc := m.config(map[int]int{ipFreeBind: 1, syscall.IP_MTU_DISCOVER: syscall.IP_PMTUDISC_DONT})
	p, err := lc.ListenPacket(context.Background(), "udp4", addr.String())
	if err != nil {
		return nil, err
	}
	return p.(*net.UDPConn), nil
}

// config marks a listener's packets and sets IP options.
func (m machine) config(options map[int]int) net.ListenConfig {
	mark := dscpControl(m.dscp)
	return net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		var err error
		e := c.Control(func(fd uintptr) {
			for option, value := range options {
				err = errors.Join(err, syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, option, value))
			}
		})
		if e != nil || err != nil {
			return errors.Join(e, err)
		}
		if mark == nil {
			return nil
		}
		return mark(network, address, c)
	}}
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
	HeldBytes                   int // of unfinished messages, of output queues and of server transactions on UDP
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
