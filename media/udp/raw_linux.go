package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the packet path are made raw: x/sys's Recvfrom and Sendto allocate an address for each packet, and since these
// never block the scheduler need not know of them.

// recvfrom returns the datagram's full length, which may be more than len(b).
func recvfrom(fd int, b []byte, from *unix.RawSockaddrAny) (int, unix.Errno) {
	size := uint32(unix.SizeofSockaddrAny)
	n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_TRUNC, uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)))
	if err != 0 {
		return 0, err
	}
	return int(n), 0
}

func sendto(fd int, b []byte, to *sendName, size uint32) unix.Errno {
	for {
		_, _, err := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(to)), uintptr(size))
		if err != unix.EINTR {
			return err
		}
	}
}

// sendName is a socket address of either family, as the kernel reads it.
type sendName struct{ unix.RawSockaddrInet6 }

// set fills in an address; false if a socket of that family cannot reach it.
func (n *sendName) set(to Addr, v6 bool) (uint32, bool) {
	if !to.IsValid() || to.Addr().Is4() == v6 {
		return 0, false
	}
	if v6 {
		n.RawSockaddrInet6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&n.Port))[:], to.Port())
		return unix.SizeofSockaddrInet6, true
	}
	four := (*unix.RawSockaddrInet4)(unsafe.Pointer(n)) // smaller, and laid out alike up to the port
	*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&four.Port))[:], to.Port())
	return unix.SizeofSockaddrInet4, true
}

// addrFrom reads what the kernel wrote; the zero Addr for a family that it cannot have written.
func addrFrom(from *unix.RawSockaddrAny) Addr {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:]))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:]))
	}
	return Addr{}
}
