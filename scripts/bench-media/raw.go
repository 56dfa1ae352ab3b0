package main

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inboxSize is how many packets one system call brings at most.
const inboxSize = 64

// inbox is the buffers of recvmmsg.
type inbox struct {
	headers [inboxSize]struct {
		unix.Msghdr
		length uint32
		_      [4]byte
	}
	vectors [inboxSize]unix.Iovec
	from    [inboxSize]unix.RawSockaddrInet4
	control [inboxSize][64]byte
	data    [inboxSize][2048]byte
}

func newInbox() *inbox {
	b := new(inbox)
	for i := range b.headers {
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(len(b.data[i]))
		h := &b.headers[i].Msghdr
		h.Iov, h.Iovlen = &b.vectors[i], 1
		h.Name, h.Control = (*byte)(unsafe.Pointer(&b.from[i])), &b.control[i][0]
	}
	return b
}

func (b *inbox) receive(fd int) (int, error) {
	for i := range b.headers {
		b.headers[i].Namelen = unix.SizeofSockaddrInet4
		b.headers[i].SetControllen(len(b.control[i]))
	}
	n, _, err := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), inboxSize, unix.MSG_DONTWAIT, 0, 0)
	switch err {
	case 0:
		return int(n), nil
	case unix.EAGAIN, unix.EINTR, unix.ECONNREFUSED:
		return 0, nil
	}
	return 0, fmt.Errorf("phones receive: %w", err)
}

// packet is one that was received: data, the sender's port, and when the kernel had it for us (ns, CLOCK_REALTIME).
func (b *inbox) packet(i int) ([]byte, uint16, int64) {
	port := b.from[i].Port
	c := b.control[i][unix.CmsgLen(0):] // one message: SCM_TIMESTAMPNS
	at := int64(binary.NativeEndian.Uint64(c))*int64(time.Second) + int64(binary.NativeEndian.Uint64(c[8:]))
	return b.data[i][:b.headers[i].length], port<<8 | port>>8, at
}

func send(fd int, pkt []byte, to *unix.RawSockaddrInet4) error {
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(pkt))), uintptr(len(pkt)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), unix.SizeofSockaddrInet4)
		switch err {
		case 0:
			return nil
		case unix.EINTR, unix.ECONNREFUSED, unix.EAGAIN: // a refusal is about an earlier packet
			continue
		}
		return fmt.Errorf("phones send: %w", err)
	}
}

func realtime() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME, &t) // cannot fail
	return t.Nano()
}

// sleep keeps the thread: Go's own timers would hand it over.
func sleep(ns int64) {
	if ns <= 0 {
		return
	}
	t := unix.NsecToTimespec(ns)
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
