package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// The phones of all calls share a few sockets, so that they cost little: what is measured is the relay between them.
const (
	phoneSockets = 8 // the first half for the first legs
	payloadSize  = 160
	packetTime   = 20 * time.Millisecond
	tick         = 200 * time.Microsecond // how often the phones wake up
	warmUp       = 2 * time.Second
	forgeries    = 50
	opened       = 16 // one packet of so many is opened; the others are known by their sequence numbers
)

// task is what the load process is asked for after it has told its sockets.
type task struct {
	Calls   [][2]side `json:"calls"`
	Seconds int       `json:"seconds"`
	Live    bool      `json:"live"` // seal while talking: for hours of it there is no room for sealed packets
}

// serveLoad tells its sockets' addresses, takes a task, says when the measurement begins and ends, and tells what was heard.
func serveLoad(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -19); err != nil {
		return fmt.Errorf("priority of the phones: %w", err)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	from, tell := json.NewDecoder(in), json.NewEncoder(out)
	p := &phones{in: newInbox(), out: make([]byte, 0, 2048)}
	var addrs []netip.AddrPort
	for i := range p.fds {
		var addr netip.AddrPort
		var err error
		if p.fds[i], addr, err = openPhone(); err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	if err := tell.Encode(addrs); err != nil {
		return err
	}
	var t task
	if err := from.Decode(&t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if err := p.prepare(t); err != nil {
		return err
	}
	h, err := p.talk(time.Duration(t.Seconds)*time.Second, tell)
	if err != nil {
		return err
	}
	return tell.Encode(h)
}

func openPhone() (int, netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	// Large, so that no packet is lost here.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("receive buffer of the phones: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return 0, netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port)), nil
}
