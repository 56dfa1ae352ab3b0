package ownname

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// ipFreeBind lets the socket be there before its address is (ip(7), IP_FREEBIND).
const ipFreeBind = 15

// Listen takes a UDP address, also one that is not there yet. Answers are short: none is ever cut off, so that nobody has to come
// by TCP.
func Listen(ctx context.Context, at netip.AddrPort) (*net.UDPConn, error) {
	early := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipFreeBind, 1) })
		return errors.Join(err, e)
	}}
	l, err := early.ListenPacket(ctx, "udp4", at.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.UDPConn), nil
}

// Serve answers until ctx ends; then conn is closed.
func Serve(ctx context.Context, conn *net.UDPConn, mine func(name string) bool, address netip.Addr) error {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b := make([]byte, largestQuestion+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if reply := Answer(b[:n], mine, address); reply != nil {
			_, _ = conn.WriteToUDPAddrPort(reply, from) // who is gone asks again
		}
	}
}
