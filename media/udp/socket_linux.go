package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrFull is a loop without a slot left, or one that is closed.
var ErrFull = errors.New("media worker takes no more sockets")

// Addr is a datagram's address.
type Addr = netip.AddrPort

// Socket is a bound UDP socket of a loop. Open makes it usable, once.
type Socket struct {
	loop     *Loop
	fd       int
	slot     int32
	v6       bool
	receiver Receiver
	served   uint64 // round of the loop
}

// Open binds the socket; dscp marks what it sends (RFC 2474), 0 to 63. Nothing is received before Watch.
func (s *Socket) Open(l *Loop, local Addr, dscp int) error {
	if dscp < 0 || dscp > 63 {
		return fmt.Errorf("DSCP %d is not between 0 and 63", dscp)
	}
	addr := local.Addr().Unmap()
	family, level, tos, discover := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TOS, unix.IP_MTU_DISCOVER
	var name unix.Sockaddr = &unix.SockaddrInet4{Port: int(local.Port())}
	switch {
	case addr.Is4():
		name.(*unix.SockaddrInet4).Addr = addr.As4()
	case addr.Is6():
		family, level, tos, discover = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_MTU_DISCOVER
		name = &unix.SockaddrInet6{Port: int(local.Port()), Addr: addr.As16()}
	default:
		return fmt.Errorf("open media socket: no local address")
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open media socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, level, tos, dscp<<2); err != nil {
		unix.Close(fd)
		return fmt.Errorf("mark media socket: %w", err)
	}
	// Never in fragments: a voice packet fits any path, no forged ICMP shall cut it up, and the kernel need not find a number for each
	// (RFC 6864 §4.1).
	if err := unix.SetsockoptInt(fd, level, discover, unix.IP_PMTUDISC_PROBE); err != nil {
		unix.Close(fd)
		return fmt.Errorf("keep media socket from fragmenting: %w", err)
	}
	if err := unix.Bind(fd, name); err != nil {
		unix.Close(fd)
		return fmt.Errorf("bind media socket to %v: %w", local, err)
	}
	*s = Socket{loop: l, fd: fd, slot: -1, v6: family == unix.AF_INET6}
	return nil
}

// Watch begins to hand datagrams to r. It is called once.
func (s *Socket) Watch(r Receiver) error {
	l := s.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.vacant) == 0 {
		return ErrFull
	}
	slot := l.vacant[len(l.vacant)-1]
	s.receiver = r
	l.slots[slot].Store(s)
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: slot}); err != nil {
		l.slots[slot].Store(nil)
		return fmt.Errorf("watch media socket: %w", err)
	}
	s.slot = slot
	l.vacant = l.vacant[:len(l.vacant)-1]
	return nil
}

// Close stops the socket and waits until the loop has left it. Its Receiver is not called any more when it returns. It is idempotent,
// but not for concurrent use.
func (s *Socket) Close() {
	if s.fd < 0 {
		return
	}
	l := s.loop
	l.mu.Lock()
	if s.slot >= 0 {
		if !l.closed {
			_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
		}
		l.slots[s.slot].Store(nil)
		l.missed += s.missed()
	}
	l.mu.Unlock()
	// Only now may the number of the descriptor, and the slot, go to someone else.
	l.Quiesce()
	unix.Close(s.fd)
	s.fd = -1
	if s.slot >= 0 {
		l.mu.Lock()
		l.vacant = append(l.vacant, s.slot)
		l.mu.Unlock()
		s.slot = -1
	}
}

// Expect reads what Send will need; see Receiver.
func (s *Socket) Expect() int { return s.fd }

// Send sends pkt. Only a Receiver of the socket's loop may call it. Failures (a full queue, no route, a closed port that said so)
// are counted; the packet is lost then, as any datagram may be.
func (s *Socket) Send(pkt []byte, to Addr) bool {
	l := s.loop
	length, ok := l.to.set(to, s.v6)
	if !ok {
		l.sendErrors.Add(1)
		return false
	}
	err := sendto(s.fd, pkt, &l.to, length)
	if err == unix.ECONNREFUSED { // is about an earlier packet, and this one has not been sent
		err = sendto(s.fd, pkt, &l.to, length)
	}
	switch err {
	case 0:
		l.sent.Add(1)
		return true
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		l.sendFull.Add(1)
	}
	l.sendErrors.Add(1)
	return false
}

// missed is how many datagrams found the socket's queue full. Asking for it now and then (SO_MEMINFO) costs a packet nothing, unlike
// SO_RXQ_OVFL, which tells the same number with each.
func (s *Socket) missed() uint64 {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, err := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if err != 0 {
		return 0
	}
	return uint64(info[unix.SK_MEMINFO_DROPS])
}
