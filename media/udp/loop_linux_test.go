package udp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

// receiver is a Receiver that is a function.
type receiver func(pkt []byte, from Addr, now time.Duration)

func (f receiver) Expect(int) {}

func (f receiver) Receive(pkt []byte, from Addr, now time.Duration) { f(pkt, from, now) }

func runLoop(t testing.TB, capacity int) *Loop {
	t.Helper()
	l, err := NewLoop(time.Now(), capacity)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		l.Close()
		l.Close()
	})
	return l
}

func open(l *Loop, at Addr, dscp int) (*Socket, error) {
	s := new(Socket)
	return s, s.Open(l, at, dscp)
}

// Local is the bound address: a test binds port 0.
func (s *Socket) Local() Addr {
	bound, err := unix.Getsockname(s.fd)
	if err != nil {
		return Addr{}
	}
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(b.Addr), uint16(b.Port))
	}
	return Addr{}
}

func openSocket(t testing.TB, l *Loop, at Addr) *Socket {
	t.Helper()
	s, err := open(l, at, 46)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dial(t testing.TB, to Addr) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func TestEcho(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(at, func(t *testing.T) {
			addr := netip.MustParseAddrPort(at)
			l := runLoop(t, 4)
			s, err := open(l, addr, 46)
			if err != nil {
				t.Skipf("this machine has no %v: %v", addr.Addr(), err)
			}
			t.Cleanup(s.Close)
			if err := s.Watch(receiver(func(pkt []byte, from Addr, _ time.Duration) {
				if cap(pkt)-len(pkt) < TailRoom {
					t.Errorf("only %d bytes of room", cap(pkt)-len(pkt))
				}
				if from.Addr() != addr.Addr() {
					t.Errorf("from %v", from)
				}
				s.Send(append(pkt, '!'), from)
			})); err != nil {
				t.Fatal(err)
			}
			c := dial(t, s.Local())
			for _, size := range []int{0, 1, 1400, MaxPacket} {
				want := bytes.Repeat([]byte{'x'}, size)
				if _, err := c.Write(want); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 3000)
				n, err := c.Read(buf)
				if err != nil || !bytes.Equal(buf[:n], append(want, '!')) {
					t.Fatalf("%d bytes came back as %d: %v", size, n, err)
				}
			}
			for end := time.Now().Add(20 * time.Second); l.Count().Sent != 4 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // a packet is counted after it is sent
			}
			if n := l.Count(); n.Received != 4 || n.Sent != 4 || n.SendErrors+n.RecvErrors+n.Oversized != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// TestTurn: a loop that lives turns when it is asked to, also while a batch is served; one that does not says so.
func TestTurn(t *testing.T) {
	l := runLoop(t, 4)
	hold, held := make(chan struct{}), make(chan struct{})
	s := openSocket(t, l, anyPort)
	if err := s.Watch(receiver(func([]byte, Addr, time.Duration) { held <- struct{}{}; <-hold })); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := l.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dial(t, s.Local()).Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Turn(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a loop that hangs: %v", err)
	}
	close(hold)
	if err := l.Turn(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMarking(t *testing.T) {
	l := runLoop(t, 1)
	s := openSocket(t, l, anyPort)
	if tos, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS); err != nil || tos != 46<<2 {
		t.Errorf("type of service %#x, %v", tos, err)
	}
	if how, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); err != nil || how != unix.IP_PMTUDISC_PROBE {
		t.Errorf("path MTU discovery %d, %v", how, err)
	}
	for _, bad := range []int{-1, 64} {
		if _, err := open(l, anyPort, bad); err == nil {
			t.Errorf("DSCP %d: no error", bad)
		}
	}
}

func TestOversizedIsDropped(t *testing.T) {
	l := runLoop(t, 1)
	s := openSocket(t, l, anyPort)
	got := make(chan int, 4)
	if err := s.Watch(receiver(func(pkt []byte, _ Addr, _ time.Duration) { got <- len(pkt) })); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Local())
	for _, size := range []int{MaxPacket + 1, 9000, 7} {
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-got; n != 7 {
		t.Errorf("a packet of %d bytes came first", n)
	}
	if n := l.Count(); n.Oversized != 2 {
		t.Errorf("%+v", n)
	}
}

func TestSendFailuresAreCounted(t *testing.T) {
	l := runLoop(t, 1)
	s := openSocket(t, l, anyPort)
	for _, to := range []Addr{{}, netip.MustParseAddrPort("[::1]:9"), netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("255.255.255.255:9")} {
		if s.Send([]byte("x"), to) {
			t.Errorf("sent to %v", to)
		}
	}
	if s.Send(make([]byte, 70000), netip.MustParseAddrPort("127.0.0.1:9")) {
		t.Error("sent more than a datagram holds")
	}
	if n := l.Count(); n.SendErrors != 5 || n.Sent != 0 {
		t.Errorf("%+v", n)
	}
}

// A closed far end says so (ICMP port unreachable, where it is asked for): it is counted, and the socket goes on.
func TestClosedFarEnd(t *testing.T) {
	l := runLoop(t, 1)
	s := openSocket(t, l, anyPort)
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	if err := s.Watch(receiver(func(pkt []byte, _ Addr, _ time.Duration) { got <- string(pkt) })); err != nil {
		t.Fatal(err)
	}
	gone := dial(t, s.Local())
	away := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	var to sendName
	size, _ := to.set(away, false)
	if err := sendto(s.fd, []byte("anybody?"), &to, size); err != 0 {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); l.Count().RecvErrors == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the error was never counted")
		}
	}
	// An error queue that nobody reads keeps epoll reporting; the loop must live with it and still serve.
	if _, err := dial(t, s.Local()).Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if msg := <-got; msg != "hello" {
		t.Errorf("%q", msg)
	}
}

// What finds the queue of a socket full is counted, also after the socket is closed.
func TestMissedIsCounted(t *testing.T) {
	l, err := NewLoop(time.Now(), 2) // does not run
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := openSocket(t, l, anyPort)
	if err := s.Watch(receiver(func([]byte, Addr, time.Duration) {})); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Local())
	for range 100 {
		if _, err := c.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	missed := l.Count().Missed
	if missed < 50 || missed >= 100 {
		t.Errorf("missed %d of 100", missed)
	}
	s.Close()
	if n := l.Count(); n.Missed != missed {
		t.Errorf("%d before, %d after the socket was closed", missed, n.Missed)
	}
}

func TestCapacity(t *testing.T) {
	l := runLoop(t, 1)
	a, b := openSocket(t, l, anyPort), openSocket(t, l, anyPort)
	nothing := receiver(func([]byte, Addr, time.Duration) {})
	if err := a.Watch(nothing); err != nil {
		t.Fatal(err)
	}
	if err := b.Watch(nothing); !errors.Is(err, ErrFull) {
		t.Fatalf("%v", err)
	}
	a.Close()
	a.Close()
	if err := b.Watch(nothing); err != nil {
		t.Errorf("the slot did not come back: %v", err)
	}
	if _, err := open(l, b.Local(), 0); err == nil {
		t.Error("one port was bound twice")
	}
	if _, err := open(l, Addr{}, 0); err == nil {
		t.Error("bound to no address")
	}
}

// Sockets come and go under a flood: after Close the receiver is never called again, and what it used may be changed.
func TestCloseUnderFlood(t *testing.T) {
	l := runLoop(t, 2)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	defer flood.Wait()
	defer close(stop)
	for range 100 {
		s, err := open(l, anyPort, 0)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0 // no lock: the race detector watches
		arrived := make(chan struct{}, 1)
		closed := false
		if err := s.Watch(receiver(func([]byte, Addr, time.Duration) {
			calls++
			if closed {
				t.Error("called after Close")
			}
			select {
			case arrived <- struct{}{}:
			default:
			}
		})); err != nil {
			t.Fatal(err)
		}
		c := dial(t, s.Local())
		over := make(chan struct{})
		flood.Add(1)
		go func() {
			defer flood.Done()
			for {
				select {
				case <-over:
					return
				case <-stop:
					return
				default:
					_, _ = c.Write([]byte("x")) // refused after Close
				}
			}
		}()
		<-arrived
		s.Close()
		closed = true
		calls++
		close(over)
	}
}

func TestLoopAllocatesNothing(t *testing.T) {
	l, err := NewLoop(time.Now(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, b := openSocket(t, l, anyPort), openSocket(t, l, anyPort)
	got := 0
	count := receiver(func(pkt []byte, from Addr, _ time.Duration) { got++ })
	if err := b.Watch(count); err != nil {
		t.Fatal(err)
	}
	pkt, to := make([]byte, 180), b.Local()
	if n := testing.AllocsPerRun(200, func() {
		if !a.Send(pkt, to) {
			t.Fatal("not sent")
		}
		n, err := unix.EpollWait(l.epoll, l.events[:], 1000)
		if err != nil {
			t.Fatal(err)
		}
		l.serve(n, time.Since(l.start))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got != 201 {
		t.Errorf("%d packets received", got)
	}
}

func BenchmarkRound(b *testing.B) {
	l, err := NewLoop(time.Now(), 2)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	x, y := openSocket(b, l, anyPort), openSocket(b, l, anyPort)
	if err := y.Watch(receiver(func([]byte, Addr, time.Duration) {})); err != nil {
		b.Fatal(err)
	}
	pkt, to := make([]byte, 180), y.Local()
	b.ReportAllocs()
	for b.Loop() {
		x.Send(pkt, to)
		n, err := unix.EpollWait(l.epoll, l.events[:], 1000)
		if err != nil {
			b.Fatal(err)
		}
		l.serve(n, time.Since(l.start))
	}
}

// A socket whose queue grows is read faster than by a packet a round, and there is no nap before it is empty.
func TestFullQueueIsRead(t *testing.T) {
	l, err := NewLoop(time.Now(), 1) // does not run: this is its thread
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	s := openSocket(t, l, anyPort)
	received := 0
	if err := s.Watch(receiver(func([]byte, Addr, time.Duration) { received++ })); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.Local())
	for range 40 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{1 + most, 2 * (1 + most), 40} {
		if err := l.round(); err != nil {
			t.Fatal(err)
		}
		if received != want {
			t.Fatalf("round %d: %d received, want %d", i, received, want)
		}
		if full := i < 2; l.full != full {
			t.Errorf("round %d: more waits: %t", i, l.full)
		}
	}
}

// A loop under load naps, and serves all there is all the same; with little to do it wakes at once again.
func TestBusyLoopNaps(t *testing.T) {
	var p pace
	now := time.Duration(0)
	for ; now < 20*time.Millisecond; now += 100 * time.Microsecond { // 10,000 a second: 2 or 3 in a nap
		p.add(1, now)
	}
	if p.busy || p.nap(now, now, false) != 0 {
		t.Error("busy with 10,000 packets a second")
	}
	for ; now < 40*time.Millisecond; now += 100 * time.Microsecond {
		p.add(5, now)
	}
	if !p.busy {
		t.Fatal("not busy with 50,000 packets a second")
	}
	if d := p.nap(now, now+50*time.Microsecond, false); d != Nap-50*time.Microsecond {
		t.Errorf("naps for %v", d)
	}
	if p.nap(now, now, true) != 0 || p.nap(now, now+Nap, false) != 0 {
		t.Error("naps while more waits")
	}
	for ; now < 60*time.Millisecond; now += Nap {
		p.add(3, now)
	}
	if !p.busy {
		t.Error("hesitates")
	}
	for ; now < 80*time.Millisecond; now += Nap {
		p.add(1, now)
	}
	if p.busy {
		t.Error("busy with a packet a nap")
	}
	p.busy = true
	p.add(1, now+time.Second)
	if p.busy {
		t.Error("busy after a second's sleep")
	}
}
