// Package vlan is a switch with two ports: a trunk, on which a virtual machine sees frames with 802.1Q tags, and an access port of one
// VLAN, which is a tap device of this machine. The test machines' kernel knows no VLANs, so tags are put on and taken off here.
//
// What is on either side is not its job.
package vlan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tagged    = 0x8100
	typeARP   = 0x0806
	header    = 14
	largest   = 1 << 16
	operation = header + 6 // of an ARP packet: 1 asks, 2 answers
)

// Switch is a running switch.
type Switch struct {
	tap    *os.File
	trunk  *net.UnixConn
	remote *net.UnixAddr // the machine's end
	id     uint16
	all    sync.WaitGroup

	mu     sync.Mutex
	counts Counts
	heard  func(id uint16, frame []byte) // nil: nobody listens
}

// Counts are frames that came from the machine.
type Counts struct{ Member, Untagged, Foreign int }

// Open connects the tap device, as a member of a VLAN, with a machine whose sockets lie in dir. The device must be there and free.
func Open(tap, dir string, id uint16) (*Switch, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("vlan: %w", err)
	}
	req, err := unix.NewIfreq(tap)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil { // who had the tap before may have had the kernel leave checksums out
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("vlan: tap %s: %w", tap, err)
	}
	s := &Switch{tap: os.NewFile(uintptr(fd), tap), id: id, remote: &net.UnixAddr{Name: filepath.Join(dir, "machine.sock"), Net: "unixgram"}}
	mine := &net.UnixAddr{Name: filepath.Join(dir, "switch.sock"), Net: "unixgram"}
	os.Remove(mine.Name)
	os.Remove(s.remote.Name)
	if s.trunk, err = net.ListenUnixgram("unixgram", mine); err != nil {
		s.tap.Close()
		return nil, fmt.Errorf("vlan: %w", err)
	}
	s.all.Go(s.fromMachine)
	s.all.Go(s.fromTap)
	return s, nil
}

// Netdev is how QEMU is told of the trunk.
func (s *Switch) Netdev() string {
	return fmt.Sprintf("dgram,id=lan,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", s.remote.Name, s.trunk.LocalAddr())
}

// Close ends it.
func (s *Switch) Close() error {
	err := errors.Join(s.trunk.Close(), s.tap.Close())
	s.all.Wait()
	return err
}

// Counts are the frames so far.
func (s *Switch) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

func (s *Switch) fromMachine() {
	b := make([]byte, largest)
	for {
		n, _, err := s.trunk.ReadFromUnix(b)
		if err != nil {
			return
		}
		id, frame := untag(b[:n])
		s.mu.Lock()
		heard := s.heard
		switch id {
		case s.id:
			s.counts.Member++
		case 0:
			s.counts.Untagged++
		default:
			s.counts.Foreign++
		}
		s.mu.Unlock()
		if heard != nil {
			heard(id, frame)
		}
		if id == s.id {
			s.tap.Write(frame) // a switch says nothing about what is lost
		}
	}
}

func (s *Switch) fromTap() {
	b := make([]byte, largest)
	for {
		n, err := s.tap.Read(b)
		if err != nil {
			return
		}
		if n >= header {
			s.trunk.WriteToUnix(tag(s.id, b[:n]), s.remote) // a machine that is off hears nothing
		}
	}
}

// untag takes the tag off a frame; 0 is a frame without one.
func untag(frame []byte) (id uint16, plain []byte) {
	if len(frame) < header+4 || binary.BigEndian.Uint16(frame[12:]) != tagged {
		return 0, frame
	}
	id = binary.BigEndian.Uint16(frame[14:]) & 0xfff
	return id, append(append(make([]byte, 0, len(frame)-4), frame[:12]...), frame[16:]...)
}

// tag puts a tag on a frame; none for 0.
func tag(id uint16, frame []byte) []byte {
	out := append(make([]byte, 0, len(frame)+4), frame[:12]...)
	if id != 0 {
		out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, tagged), id)
	}
	return append(out, frame[12:]...)
}

// Ask asks by ARP who has an address, in a VLAN (0: without a tag), three times within a while, and reports whether the machine
// answered there.
func (s *Switch) Ask(ctx context.Context, id uint16, a, from netip.Addr, within time.Duration) bool {
	answered := make(chan struct{}, 1)
	s.listen(func(in uint16, frame []byte) {
		if in == id && answers(frame, a) {
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	})
	defer s.listen(nil)
	for range 3 {
		s.trunk.WriteToUnix(tag(id, question(a, from)), s.remote)
		select {
		case <-answered:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(within / 3):
		}
	}
	return false
}

func (s *Switch) listen(f func(uint16, []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = f
}

// question is an ARP request (RFC 826) of a machine that is not there.
func question(a, from netip.Addr) []byte {
	mac := []byte{0x02, 0, 0, 0, 0, 0x99}
	b := append([]byte{255, 255, 255, 255, 255, 255}, mac...)
	b = binary.BigEndian.AppendUint16(b, typeARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(append(b, mac...), from.AsSlice()...)
	b = append(append(b, make([]byte, 6)...), a.AsSlice()...)
	return append(b, make([]byte, 60-len(b))...)
}

func answers(frame []byte, a netip.Addr) bool {
	const sender = header + 14
	return len(frame) >= header+28 && binary.BigEndian.Uint16(frame[12:]) == typeARP && binary.BigEndian.Uint16(frame[operation:]) == 2 &&
		netip.AddrFrom4([4]byte(frame[sender:])) == a
}
