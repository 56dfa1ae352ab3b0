package stack

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A listener that cannot be opened is tried again, and the stack serves on.
func TestPlainRetry(t *testing.T) {
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		s.SetPlain(Plain{Listen: etherBox})
		synctest.Wait()
		if s.PlainAddr(UDP).IsValid() || s.PlainFault() != nil {
			t.Error("open without a device")
		}
		e.mu.Lock()
		e.refuse = errors.New("address already in use")
		e.mu.Unlock()
		s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{netip.MustParseAddr("10.0.0.71")}})
		time.Sleep(25 * time.Second)
		if s.PlainAddr(UDP).IsValid() || s.PlainFault() == nil {
			t.Error("open, or no fault")
		}
		e.mu.Lock()
		e.refuse = nil
		e.mu.Unlock()
		time.Sleep(plainRetry)
		if !s.PlainAddr(UDP).IsValid() || s.PlainFault() != nil {
			t.Errorf("not open: %v", s.PlainFault())
		}
		e.put(gatewayAt, asked("OPTIONS"))
		if len(e.take()) != 1 {
			t.Error("not served")
		}
	})
}

// A device's flow outlives its socket, and ends with the device's place in the document.
func TestPlainComesAndGoes(t *testing.T) {
	one, two := netip.MustParseAddr("10.0.0.71"), netip.MustParseAddr("10.0.0.72")
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		c := s.Reach(netip.MustParseAddrPort(gatewayAt))
		if s.Reach(netip.MustParseAddrPort("10.0.0.72:5060")) != nil {
			t.Error("a flow to a stranger")
		}
		was := e.open()
		s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{one, two}})
		synctest.Wait()
		if c.Closed() || e.open() != was || s.Reach(netip.MustParseAddrPort("10.0.0.72:5060")) == nil {
			t.Error("a second device disturbs the first")
		}
		if again := s.Reach(netip.MustParseAddrPort(gatewayAt)); again != c {
			t.Error("a new flow to the same address")
		}
		s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{two}})
		synctest.Wait()
		if !c.Closed() || s.Reach(netip.MustParseAddrPort(gatewayAt)) != nil {
			t.Error("the device is still there")
		}
		e.put(gatewayAt, asked("OPTIONS"))
		if e.take() != nil {
			t.Error("the device is still served")
		}
		s.SetPlain(Plain{})
		synctest.Wait()
		select {
		case <-was.closed:
		default:
			t.Error("the socket is still open")
		}
		if len(s.Conns()) != 0 {
			t.Errorf("%d connections left", len(s.Conns()))
		}
	})
}

// TCP without TLS: for the named device alone, and only while it is named.
func TestPlainTCP(t *testing.T) {
	b := start(t, Options{})
	at := netip.MustParseAddrPort("127.0.0.1:0")
	set := func(addrs ...string) {
		p := Plain{Listen: at}
		for _, a := range addrs {
			p.TCP = append(p.TCP, netip.MustParseAddr(a))
		}
		b.SetPlain(p)
	}
	set("127.0.0.7")
	eventually(t, "listening", func() bool { return b.PlainAddr(TCP).IsValid() })
	dial := func(n byte) net.Conn {
		t.Helper()
		c, err := from(n).Dial("tcp4", b.PlainAddr(TCP).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
	answers := func(c net.Conn) bool {
		c.Write([]byte(request("OPTIONS")))
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		return n > 12 && string(buf[:11]) == "SIP/2.0 200"
	}
	device := dial(7)
	if !answers(device) {
		t.Fatal("the device is not served")
	}
	if answers(dial(8)) {
		t.Error("a stranger is served")
	}
	if n := b.Counters().Foreign.Load(); n != 1 {
		t.Errorf("%d strangers counted", n)
	}
	for _, c := range b.Conns() {
		if c.Over() != TCP || c.NewVia().Transport != "TCP" || c.PeerCertificate() != nil || c.Contact() != b.PlainAddr(TCP) {
			t.Errorf("%v over %v, Contact %v", c.Remote(), c.Over(), c.Contact())
		}
	}
	b.dial().works() // TLS beside it
	was := b.PlainAddr(TCP)
	set("127.0.0.8")
	if n, err := device.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("the device's connection is still open")
	}
	if answers(dial(7)) || !answers(dial(8)) {
		t.Error("the old device is served, or the new one is not")
	}
	set()
	eventually(t, "closed", func() bool { return !b.PlainAddr(TCP).IsValid() })
	eventually(t, "nobody listens", func() bool {
		c, err := from(8).Dial("tcp4", was.String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// UDP on the machine's own sockets, with a message that is longer than a frame.
func TestPlainUDP(t *testing.T) {
	var mu sync.Mutex
	long := 0
	b := start(t, Options{DSCP: 24, OnRequest: func(tx *ServerTx) {
		mu.Lock()
		long = len(tx.Request().Body())
		mu.Unlock()
		res := tx.Response(200, "OK")
		res.SetBody(make([]byte, 6000))
		tx.Respond(res)
	}})
	b.SetPlain(Plain{Listen: netip.MustParseAddrPort("127.0.0.1:0"), UDP: []netip.Addr{netip.MustParseAddr("127.0.0.7")}})
	eventually(t, "listening", func() bool { return b.PlainAddr(UDP).IsValid() })
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 7)}, net.UDPAddrFromAddrPort(b.PlainAddr(UDP)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	body := make([]byte, 5000)
	c.Write([]byte(strings.Replace(request("MESSAGE", "Content-Type: text/plain"), "Content-Length: 0", "Content-Length: 5000", 1) + string(body)))
	buf := make([]byte, 65536)
	n, err := c.Read(buf)
	if err != nil || n < 6000 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if long != len(body) {
		t.Errorf("a body of %d", long)
	}
}

// TestReachBeforeRun: registrations are restored before anything runs.
func TestReachBeforeRun(t *testing.T) {
	s := New(Options{Network: &ether{}})
	if s.Reach(netip.MustParseAddrPort(gatewayAt)) != nil {
		t.Error("reached although the site names nobody")
	}
	s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{netip.MustParseAddr("10.0.0.71")}})
	c := s.Reach(netip.MustParseAddrPort(gatewayAt))
	if c == nil || c.Closed() {
		t.Fatal("no flow")
	}
	if got, ok := s.Conn(c.Flow()); !ok || got != c {
		t.Error("the flow is not found")
	}
}

// A flow may end between its making and its entry among the connections: another one needs its place, or the device leaves the document
// just then. It must not stay there.
func TestAFlowThatEndsAtOnceIsNotKept(t *testing.T) {
	ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
		at := netip.MustParseAddrPort(gatewayAt)
		c := s.makeConn(Access, wire{d: &s.plain.datagrams, to: at}, UDP, at, etherBox, new(meter), nil)
		c.Close()
		s.start(c)
		if n := len(s.Conns()); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}
