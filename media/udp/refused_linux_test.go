package udp

import (
	"net"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuseSends makes the kernel refuse sendto on the calling thread, by a seccomp filter: a datagram of a length in errnos gets its errno.
// It cannot be undone, so the goroutine stays locked to the thread, which ends with it. It needs no rights.
func refuseSends(errnos map[uint32]unix.Errno) error {
	runtime.LockOSThread()
	const length = 16 + 2*8 // of seccomp_data: the low half of the third argument (little endian, as all targets are)
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SENDTO, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: length},
	}
	for n, errno := range errnos {
		code = append(code,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: n, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	code = append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// What the kernel does not take is lost and counted, and the next packet goes out.
func TestRefusedSends(t *testing.T) {
	l, err := NewLoop(time.Now(), 1) // does not run: this is its thread
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openSocket(t, l, anyPort)
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	to := peer.LocalAddr().(*net.UDPAddr).AddrPort()
	full := map[uint32]unix.Errno{101: unix.EAGAIN, 102: unix.ENOBUFS, 103: unix.ENOMEM}
	other := map[uint32]unix.Errno{111: unix.ECONNREFUSED, 112: unix.ENETUNREACH, 113: unix.EPERM, 114: unix.EMSGSIZE}
	errnos := map[uint32]unix.Errno{}
	for _, some := range []map[uint32]unix.Errno{full, other} {
		for n, errno := range some {
			errnos[n] = errno
		}
	}
	done := make(chan struct{})
	go func() { // a thread for the filter, which dies with it
		defer close(done)
		if err := refuseSends(errnos); err != nil {
			t.Errorf("seccomp filter: %v", err)
			return
		}
		for n, errno := range errnos {
			if s.Send(make([]byte, n), to) {
				t.Errorf("%v: sent", errno)
			}
			if !s.Send([]byte{byte(n)}, to) {
				t.Errorf("after %v: not sent", errno)
			}
		}
	}()
	<-done
	n := l.Count()
	if n.SendErrors != uint64(len(errnos)) || n.SendFull != uint64(len(full)) || n.Sent != uint64(len(errnos)) {
		t.Errorf("%+v", n)
	}
	peer.SetDeadline(time.Now().Add(20 * time.Second))
	for range errnos {
		b := make([]byte, 300)
		n, err := peer.Read(b)
		if err != nil || n != 1 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		delete(errnos, uint32(b[0]))
	}
}

// A far end that has closed its port says so, and the kernel tells it to the next who sends, whose packet it has not sent: it must not be
// lost for that.
func TestSendAfterARefusal(t *testing.T) {
	l, err := NewLoop(time.Now(), 1) // does not run
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openSocket(t, l, anyPort)
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		t.Fatal(err)
	}
	gone := dial(t, s.Local())
	away := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	alive, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	alive.SetDeadline(time.Now().Add(20 * time.Second))
	for i := range byte(5) {
		if !s.Send([]byte("anybody?"), away) { // on loopback the refusal is here before this returns
			t.Errorf("round %d: not sent", i)
		}
		if !s.Send([]byte{i}, alive.LocalAddr().(*net.UDPAddr).AddrPort()) {
			t.Errorf("round %d: the refusal cost the next packet", i)
		}
		b := make([]byte, 10)
		if n, err := alive.Read(b); err != nil || n != 1 || b[0] != i {
			t.Fatalf("%x, %v", b[:n], err)
		}
	}
}
