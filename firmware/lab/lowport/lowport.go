// Package lowport finds a port for a program that is to listen on it later.
package lowport

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
)

// Listen listens on a TCP port of an address, below those that the kernel gives away by itself: once this listener is closed, no
// connection of anybody's takes the port before the program for which it was found listens there, or does so in its next life.
func Listen(a netip.Addr) (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp4", netip.AddrPortFrom(a, uint16(22000+rand.IntN(10000))).String()); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}
