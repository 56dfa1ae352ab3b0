package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ether is a network of datagrams in memory, for one box: what arrives is put in, what leaves is taken out.
type ether struct {
	refuse error // to open a socket

	mu   sync.Mutex
	sock *socket
	out  []gram
	to   func(gram) // nil: kept in out
}

type gram struct {
	at   netip.AddrPort // the other end
	text string
	when time.Time
}

// socket is the box's end.
type socket struct {
	e      *ether
	in     chan gram
	closed chan struct{}
	once   sync.Once
}

var etherBox = netip.MustParseAddrPort("10.0.0.5:5060")

func (e *ether) Listen(netip.AddrPort) (net.Listener, error) { return nil, errors.ErrUnsupported }
func (e *ether) Dial(context.Context, netip.Addr, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

func (e *ether) ListenPacket(netip.AddrPort) (PacketConn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != nil {
		return nil, e.refuse
	}
	e.sock = &socket{e: e, in: make(chan gram, 4096), closed: make(chan struct{})}
	return e.sock, nil
}

func (s *socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case g := <-s.in:
		return copy(b, g.text), g.at, nil
	case <-s.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (s *socket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	g := gram{to, string(b), time.Now()}
	s.e.mu.Lock()
	carry := s.e.to
	if carry == nil {
		s.e.out = append(s.e.out, g)
	}
	s.e.mu.Unlock()
	if carry != nil { // without the lock: it looks into the other end's network, which may be looking into this one
		carry(g)
	}
	return len(b), nil
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(etherBox) }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (e *ether) open() *socket {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sock
}

// put is a datagram's arrival at the box.
func (e *ether) put(from, text string) {
	e.open().in <- gram{at: netip.MustParseAddrPort(from), text: text}
	synctest.Wait()
}

// take is what has left the box since the last time.
func (e *ether) take() []gram {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.out
	e.out = nil
	return out
}

// lines are the start lines of what has left, with when, counted from began.
func (e *ether) lines(began time.Time) (out []string) {
	for _, g := range e.take() {
		first, _, _ := strings.Cut(g.text, "\r\n")
		out = append(out, fmt.Sprintf("%v %s", g.when.Sub(began), first))
	}
	return out
}

const gatewayAt = "10.0.0.71:5060"

// ethered runs do beside a stack that serves 10.0.0.71 on UDP, within a bubble of time.
func ethered(t *testing.T, o Options, do func(t *testing.T, s *Stack, e *ether)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &ether{}
		o.Network = e
		if o.OnRequest == nil {
			o.OnRequest = func(tx *ServerTx) { tx.Reply(200, "OK") }
		}
		s := New(o)
		s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{netip.MustParseAddr("10.0.0.71")}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		do(t, s, e)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		noFaults(t, s)
		if u := s.Usage(); u != (Usage{}) {
			t.Errorf("held after the end: %+v", u)
		}
	})
}

// asked is a request of a device on UDP.
func asked(method string, extra ...string) string {
	return strings.Replace(request(method, extra...), "SIP/2.0/TLS 127.0.0.1:5061", "SIP/2.0/UDP 10.0.0.71:5060", 1)
}

// answered is a response to a request that has left the box.
func answered(req string, status int) string {
	m, err := sip.ParseMessage([]byte(req))
	if err != nil {
		panic(err)
	}
	return NewResponse(m.(*sip.Request), status, "Whatever", "theirs").String()
}

// toDevice is a request of the box's own.
func toDevice(method sip.RequestMethod) *sip.Request {
	req := sip.NewRequest(method, sip.Uri{Scheme: "sip", User: "300", Host: "10.0.0.71"})
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "201", Host: "box.test"}, Params: sip.NewParams()}
	from.Params.Add("tag", NewTag())
	id := sip.CallIDHeader(NewCallID())
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: "300", Host: "box.test"}, Params: sip.NewParams()})
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	return req
}

// ethered2 runs do beside a second stack in the same bubble, which may talk to the first one's address.
func ethered2(t *testing.T, do func(*Stack, *ether)) {
	f := &ether{}
	c := New(Options{Network: f})
	c.SetPlain(Plain{Listen: netip.MustParseAddrPort(gatewayAt), UDP: []netip.Addr{etherBox.Addr()}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	synctest.Wait()
	do(c, f)
	cancel()
	<-ended
}
