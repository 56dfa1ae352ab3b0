package b2bua

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

const gatewayELIN = "+12175550913"

var gatewayAt = netip.MustParseAddr("127.0.0.7")

// elevator is a site with an analogue gateway in the elevator, whose phone is 1002's.
func elevator(transport string) func(*site.Document) {
	return func(d *site.Document) {
		helpful(d)
		d.Devices = []site.Device{{ID: "elevator", Transport: transport, Address: gatewayAt.String(), PlainRTP: true,
			ELINs: []site.ELIN{{Trunk: "sbc1", Number: gatewayELIN, Address: "1 Main St, elevator"}}}}
	}
}

// badWire is a gateway's network: every second datagram to it is lost, every one from it comes twice.
type badWire struct {
	stack.Network
	bad bool
}

func (n badWire) Listen(netip.AddrPort) (net.Listener, error) { panic("not used") }

func (n badWire) ListenPacket(a netip.AddrPort) (stack.PacketConn, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a))
	return &badSocket{UDPConn: c, bad: n.bad}, err
}

type badSocket struct {
	*net.UDPConn
	bad bool
	n   atomic.Int32
}

func (s *badSocket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.UDPConn.ReadFromUDPAddrPort(b)
		if err == nil && s.bad && s.n.Add(1)%2 == 1 {
			continue
		}
		return n, from, err
	}
}

func (s *badSocket) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if s.bad {
		s.UDPConn.WriteToUDPAddrPort(b, to)
	}
	return s.UDPConn.WriteToUDPAddrPort(b, to)
}

// gateway is a line of a gateway on UDP; registered, it is extension ext's.
func (w *world) gateway(ext string, registered, bad bool) *ua {
	w.t.Helper()
	u := &ua{w: w, name: ext, requests: make(chan *stack.ServerTx, 64), acks: make(chan *sip.Request, 64), cancels: make(chan *stack.ServerTx, 16)}
	u.stack = stack.New(stack.Options{Network: badWire{bad: bad}, Timers: stack.Timers{T1: 20 * time.Millisecond, T2: 80 * time.Millisecond, B: 5 * time.Second},
		OnRequest: func(tx *stack.ServerTx) {
			if tx.Request().Method == sip.INVITE {
				tx.OnCancel(func() { u.cancels <- tx })
			}
			u.requests <- tx
		},
		OnAck: func(_ *stack.Conn, r *sip.Request) { u.acks <- r },
	})
	w.stack.SetPlain(stack.Plain{Listen: netip.MustParseAddrPort("127.0.0.1:0"), UDP: []netip.Addr{gatewayAt}})
	u.stack.SetPlain(stack.Plain{Listen: netip.AddrPortFrom(gatewayAt, 0), UDP: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.stack.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	for end := time.Now().Add(deadline); !w.stack.PlainAddr(stack.UDP).IsValid() || !u.stack.PlainAddr(stack.UDP).IsValid(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("nobody listens on UDP")
		}
	}
	u.conn = u.stack.Reach(w.stack.PlainAddr(stack.UDP))
	if registered {
		at := u.stack.PlainAddr(stack.UDP)
		flow := w.stack.Reach(at)
		flow.SetAuthenticated()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bindings["u"+ext] = append(w.bindings["u"+ext], registrar.Binding{AOR: "u" + ext, Flow: registrar.Flow(flow.Flow()),
			Contact: registrar.Contact{URI: "sip:" + ext + "@" + at.String(), Q: 1}})
	}
	return u
}

// plain is a description without SRTP, which names a host that is not the gateway's.
func plain(port uint16) []byte {
	l := sdp.Local{Addr: netip.AddrPortFrom(netip.MustParseAddr("10.9.9.9"), port), SessionID: 7, Version: 1, Profile: "RTP/AVP", Codecs: []sdp.Codec{pcmu, ev8}, Direction: sdp.SendRecv}
	b, err := l.Marshal()
	if err != nil {
		panic(err)
	}
	return b
}

// plainLeg checks what the relay was told of the gateway's side: plain, and at its configured address whatever it says.
func (w *world) plainLeg(l fakeLeg, port uint16) {
	w.t.Helper()
	s := l.stream
	if !s.FixedSource || s.Recv.Suite != "" || s.Send.Suite != "" || s.Remote != netip.AddrPortFrom(gatewayAt, port) || !s.ToPeer || !s.FromPeer {
		w.t.Errorf("the gateway's media: %+v", s)
	}
}

// A phone calls a gateway on UDP, and is called by it; both hear each other, though the wire loses and doubles datagrams.
func TestGateway(t *testing.T) {
	for _, bad := range []bool{false, true} {
		w := newWorld(t, elevator("udp"))
		phone, gw := w.phone("1001"), w.gateway("1002", true, bad)

		o := phone.call("1002", pcmu, ev8)
		in := gw.incoming(sip.INVITE)
		req := in.Request()
		body := string(req.Body())
		if !strings.Contains(body, " RTP/AVP ") || strings.Contains(body, "crypto") || req.Via().Transport != "UDP" ||
			req.Contact().Address.Host != "127.0.0.1" || req.Contact().Address.Port != int(w.stack.PlainAddr(stack.UDP).Port()) {
			t.Errorf("the gateway is offered\n%s", req)
		}
		if p, _ := req.Contact().Address.UriParams.Get("transport"); p != "udp" {
			t.Errorf("Contact: %v", req.Contact())
		}
		res := in.Response(200, "OK")
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "1002", Host: "10.9.9.9", Port: 5060}})
		setSDP(res, plain(4100))
		dlg := dialogFrom(in)
		in.Respond(res)
		o.up(nil)
		gw.acked()
		_, legs := w.media.last()
		w.plainLeg(legs[1], 4100)
		if s := legs[0].stream; s.Recv.Suite == "" || s.Send.Suite == "" {
			t.Errorf("the phone's media: %+v", s)
		}
		(&outgoing{u: gw, dlg: dlg}).within(sip.BYE, nil).wait(200)
		phone.bye()
		if r := w.ended(); r.Status != 200 || r.EndedBy != "callee" {
			t.Errorf("record %+v", r)
		}

		o = gw.send(gw.request(sip.INVITE, "1002", "1001", plain(4200)))
		in = phone.incoming(sip.INVITE)
		if body := string(in.Request().Body()); !strings.Contains(body, " RTP/SAVP ") || !strings.Contains(body, "crypto") {
			t.Errorf("the phone is offered\n%s", body)
		}
		in.Reply(180, "Ringing")
		phone.answer(in)
		answer := o.up(nil)
		phone.acked()
		if body := string(answer.Body()); !strings.Contains(body, " RTP/AVP ") || strings.Contains(body, "crypto") {
			t.Errorf("the gateway is answered\n%s", body)
		}
		_, legs = w.media.last()
		w.plainLeg(legs[0], 4200)
		o.within(sip.BYE, nil).wait(200)
		phone.bye()
		w.ended()
	}
}

// A call that its caller gives up, and one that the gateway refuses, over a bad wire.
func TestGatewayGivesUp(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	phone, gw := w.phone("1001"), w.gateway("1002", true, true)
	o := phone.call("1002", pcmu)
	in := gw.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.tx.Cancel()
	gw.cancelled()
	in.Reply(487, "Request Terminated")
	o.wait(487)
	w.ended()

	o = phone.call("1002", pcmu)
	gw.incoming(sip.INVITE).Reply(486, "Busy Here")
	o.wait(486)
	w.ended()

	o = gw.send(gw.request(sip.INVITE, "1002", "1001", plain(4200)))
	phone.incoming(sip.INVITE).Reply(603, "Decline")
	o.wait(603)
	w.ended()
}

// Who has no SRTP and is no device that may do without is refused.
func TestPlainOffer(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	phone := w.phone("1001")
	w.phone("1003")
	phone.send(phone.request(sip.INVITE, "1001", "1003", plain(4000))).wait(488)
	w.ended()
}

// 911 from the gateway shows its device's ELIN, registered or not, and the callback reaches its phone. Another line of the
// same gateway still rings.
func TestGatewayHelp(t *testing.T) {
	for _, registered := range []bool{true, false} {
		w := newWorld(t, elevator("udp"))
		gw, sbc := w.gateway("1002", registered, false), w.sbc("sbc1")
		from := "1002"
		if !registered {
			from = "anonymous"
		}
		o := gw.send(gw.request(sip.INVITE, from, "911", plain(4200)))
		in := sbc.incoming(sip.INVITE)
		if shown := in.Request().From().Address.User; shown != gatewayELIN {
			t.Errorf("the PSAP sees %s", shown)
		}
		sbc.answer(in)
		o.up(nil)
		sbc.acked()
		_, legs := w.media.last()
		w.plainLeg(legs[0], 4200)
		if registered {
			flow := w.stack.Reach(gw.stack.PlainAddr(stack.UDP))
			one, _ := w.site.UserByID("u1002")
			other, _ := w.site.UserByID("u1003")
			if !w.agent.callsForHelp(flow, one) || w.agent.callsForHelp(flow, other) || !w.agent.callsForHelp(flow, nil) {
				t.Error("who is in the call and who is not")
			}
		}
		o.within(sip.BYE, nil).wait(200)
		sbc.bye()
		w.ended()

		back := sbc.call(gatewayELIN, pcmu)
		ring := gw.incoming(sip.INVITE)
		if body := string(ring.Request().Body()); !strings.Contains(body, " RTP/AVP ") {
			t.Errorf("the callback offers\n%s", body)
		}
		ring.Reply(180, "Ringing")
		back.wait(180)
		res := ring.Response(200, "OK")
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "1002", Host: "127.0.0.7", Port: 5060}})
		setSDP(res, plain(4100))
		ring.Respond(res)
		back.up(nil)
		gw.acked()
		back.within(sip.BYE, nil).wait(200)
		gw.bye()
		w.ended()
	}
}

// A flow over UDP that was given up is an address all the same: the call goes on, and ends on both sides.
func TestGatewayFlowGone(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	phone, gw := w.phone("1001"), w.gateway("1002", true, false)
	o := gw.send(gw.request(sip.INVITE, "1002", "1001", plain(4200)))
	callee := phone.answer(phone.incoming(sip.INVITE))
	o.up(nil)
	phone.acked()
	w.stack.Reach(gw.stack.PlainAddr(stack.UDP)).Close()
	callee.within(sip.BYE, nil).wait(200)
	gw.bye()
	w.ended()
}

// TestGatewayLines: each line of a gateway is a caller of its own, whether it has a user or not: a second call for help takes no
// pin from the first, and a callback to the number that they share rings both.
func TestGatewayLines(t *testing.T) {
	for _, registered := range []bool{true, false} {
		w := newWorld(t, elevator("udp"))
		gw, sbc := w.gateway("1002", registered, false), w.sbc("sbc1")
		if registered {
			w.mu.Lock()
			b := w.bindings["u1002"][0]
			b.AOR, b.URI = "u1003", strings.Replace(b.URI, "1002", "1003", 1)
			w.bindings["u1003"] = append(w.bindings["u1003"], b)
			w.mu.Unlock()
		}
		for _, line := range []string{"1002", "1003"} {
			from := line
			if !registered {
				from = "anonymous"
			}
			req := gw.request(sip.INVITE, from, "911", plain(4200))
			req.Contact().Address.User = line
			o := gw.send(req)
			in := sbc.incoming(sip.INVITE)
			sbc.answer(in)
			o.up(nil)
			sbc.acked()
			o.within(sip.BYE, nil).wait(200)
			sbc.bye()
			w.ended()
		}
		back := sbc.call(gatewayELIN, pcmu)
		rung := map[string]*stack.ServerTx{}
		for range 2 {
			tx := gw.incoming(sip.INVITE)
			tx.Reply(180, "Ringing")
			rung[tx.Request().Recipient.User] = tx
		}
		desk := sbc.incoming(sip.INVITE) // with them, since the number is shared
		desk.Reply(180, "Ringing")
		back.wait(180)
		if rung["1002"] == nil || rung["1003"] == nil {
			t.Errorf("registered %v: rung are %v", registered, rung)
		}
		back.tx.Cancel()
		back.wait(487)
		for range 2 {
			gw.cancelled().Reply(487, "Request Terminated")
		}
		sbc.cancelled().Reply(487, "Request Terminated")
		w.ended()
	}
}

// TestGatewayNameBorrowed: anybody can write datagrams in a gateway's name. A line that calls for help again and again is asked for
// its password, which the gateway has: its call goes through. Its other lines are believed as before.
func TestGatewayNameBorrowed(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	asked := make(chan string, 8)
	w.agent.o.Prove = func(tx *stack.ServerTx, u *site.User) bool {
		asked <- u.ID
		if tx.Request().GetHeader("authorization") == nil {
			tx.Reply(401, "Unauthorized")
			return false
		}
		return true
	}
	w.agent.lines.seen = map[origin]stranger{{addr: gatewayAt, line: "u1002"}: {1000, time.Now()}}
	gw, sbc := w.gateway("1002", true, false), w.sbc("sbc1")
	help := func(from string, headers ...sip.Header) *outgoing {
		req := gw.request(sip.INVITE, from, "911", plain(4200))
		for _, h := range headers {
			req.AppendHeader(h)
		}
		return gw.send(req)
	}
	through := func(o *outgoing) {
		sbc.answer(sbc.incoming(sip.INVITE))
		o.up(nil)
		sbc.acked()
		o.within(sip.BYE, nil).wait(200)
		sbc.bye()
		w.ended()
	}
	help("1002").wait(401)
	through(help("1002", sip.NewHeader("Authorization", "Digest")))
	through(help("1003"))
	close(asked)
	for id := range asked {
		if id != "u1002" {
			t.Errorf("%s was asked", id)
		}
	}
}

// TestUnknownLinesOfAGateway: while a gateway has not registered, one of its lines that calls for help again and again leaves the others
// their calls.
func TestUnknownLinesOfAGateway(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	w.agent.o.Known = func(*stack.ServerTx) (*site.User, bool) { return nil, false }
	w.agent.strangers.seen = map[origin]stranger{{addr: gatewayAt, line: "u1002"}: {1000, time.Now()}}
	gw, sbc := w.gateway("1002", false, false), w.sbc("sbc1")
	help := func(from string) *outgoing { return gw.send(gw.request(sip.INVITE, from, "911", plain(4200))) }
	help("1002").wait(503)
	for _, line := range []string{"1003", "nobody"} {
		o := help(line)
		sbc.answer(sbc.incoming(sip.INVITE))
		o.up(nil)
		sbc.acked()
		o.within(sip.BYE, nil).wait(200)
		sbc.bye()
		w.ended()
	}
}
