package b2bua

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// line is a connection of which the test sees every byte.
type line struct {
	w    *world
	conn *tls.Conn
	in   *bufio.Reader
}

// dialFrom connects to the box from an address of the loopback.
func (w *world) dialFrom(addr string, side stack.Side) *line {
	w.t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: deadline}
	conn, err := tls.DialWithDialer(d, "tcp4", w.stack.Addr(side).String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(deadline))
	return &line{w, conn, bufio.NewReader(conn)}
}

// next is the next response: its status line, and the method of its CSeq.
func (l *line) next() (status, method string) {
	l.w.t.Helper()
	status, err := l.in.ReadString('\n')
	if err != nil {
		l.w.t.Fatalf("the box says nothing more: %v", err)
	}
	h, err := textproto.NewReader(l.in).ReadMIMEHeader()
	if err != nil {
		l.w.t.Fatal(err)
	}
	if h.Get("Content-Length") != "0" {
		l.w.t.Fatalf("%s has a body", status)
	}
	_, method, _ = strings.Cut(h.Get("Cseq"), " ")
	return strings.TrimSpace(status), method
}

func (l *line) gets(status, method string) {
	l.w.t.Helper()
	if s, m := l.next(); s != "SIP/2.0 "+status || m != method {
		l.w.t.Errorf("it got %q for the %s, want %q for the %s", s, m, status, method)
	}
}

// cancel is the CANCEL of an INVITE (RFC 3261 §9.1).
func (o *outgoing) cancel() *sip.Request {
	req := sip.NewRequest(sip.CANCEL, o.req.Recipient)
	req.AppendHeader(o.req.Via().Clone())
	for _, h := range []sip.Header{o.req.From(), o.req.To(), o.req.CallID()} {
		req.AppendHeader(sip.HeaderClone(h))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: o.req.CSeq().SeqNo, MethodName: sip.CANCEL})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.SetBody(nil)
	return req
}

// TestCancelOnANewConnection: a phone that has come back hangs up there, whether the box has noticed or not that its first connection
// is gone; whether the other end is 911 or not.
func TestCancelOnANewConnection(t *testing.T) {
	for name, fell := range map[string]bool{"the old one is open": false, "the old one fell": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, helpful)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.call("911", pcmu)
			x.incoming(sip.INVITE).Reply(180, "Ringing")
			o.wait(180)
			if fell {
				a.conn.Close()
				w.until(func() bool { return w.heardAlarm("has lost its connection") == 1 })
			}
			back := w.dialFrom("127.0.0.1", stack.Access)
			back.conn.Write([]byte(o.cancel().String()))
			back.gets("200 OK", "CANCEL")
			back.gets("487 Request Terminated", "INVITE")
			x.cancelled().Reply(487, "Request Terminated")
			if r := w.ended(); r.Cause != causeCancelled || r.EndedBy != "caller" {
				t.Errorf("%+v", r)
			}
			if !fell {
				o.wait(487)
			}
			back.conn.Write([]byte(o.cancel().String())) // again: it is over
			if s, _ := back.next(); s != "SIP/2.0 481 Call/Transaction Does Not Exist" && s != "SIP/2.0 200 OK" {
				t.Errorf("a second CANCEL gets %q", s)
			}
		})
	}
}

// TestCancelThatCrossesTheAnswer: who has hung up on a new connection when the PSAP answers gets the answer there, and ends it.
func TestCancelThatCrossesTheAnswer(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	a.conn.Close()
	w.until(func() bool { return w.heardAlarm("has lost its connection") == 1 })
	x.answer(in, pcmu)
	x.acked()
	again := w.connect("stranger", stack.Access) // it has not registered yet
	cancel := o.cancel()
	got := again.send(cancel)
	got.wait(200)
	// The 200 of the INVITE matches no transaction of this connection; so the ACK and the BYE tell that it has come.
	c := w.onlyCall()
	w.until(func() bool { return c.caller.flow.Load() != 0 && c.caller.flow.Load() == w.flowOf(again) })
	d := dialog{callID: o.req.CallID().Value(), local: party{uri: o.req.From().Address}, remote: party{uri: o.req.To().Address}, localSeq: o.req.CSeq().SeqNo, target: o.req.Recipient}
	d.local.tag, _ = o.req.From().Params.Get("tag")
	d.remote.tag = c.invite.Tag()
	ack := d.numbered(sip.ACK, d.localSeq, again.conn)
	ack.SetBody(nil)
	again.conn.Write(ack)
	again.send(d.request(sip.BYE, again.conn)).wait(200)
	x.bye()
	w.ended()
}

// flowOf is the box's end of a connection.
func (w *world) flowOf(u *ua) uint64 {
	for _, c := range w.stack.Conns() {
		if c.Remote() == u.conn.Local() {
			return c.Flow()
		}
	}
	return 0
}

// TestNobodyCancelsForAnother: whoever is somewhere else, or does not know all that the phone has made up for its INVITE, ends no call.
func TestNobodyCancelsForAnother(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	set := func(name, v string) func(*sip.Request) {
		return func(r *sip.Request) {
			p := &r.From().Params
			if name == "branch" {
				p = &r.Via().Params
			}
			p.Remove(name)
			if v != "" {
				p.Add(name, v)
			}
		}
	}
	for name, c := range map[string]struct {
		from   string
		side   stack.Side
		change func(*sip.Request)
	}{
		"from elsewhere":       {from: "127.0.0.9"},
		"as an SBC":            {side: stack.Trunk},
		"another branch":       {change: set("branch", stack.NewBranch())},
		"no branch":            {change: set("branch", sip.RFC3261BranchMagicCookie)},
		"another tag":          {change: set("tag", stack.NewTag())},
		"another call":         {change: func(r *sip.Request) { id := sip.CallIDHeader(stack.NewCallID()); r.ReplaceHeader(&id) }},
		"another number":       {change: func(r *sip.Request) { r.CSeq().SeqNo++ }},
		"a tag that is longer": {change: func(r *sip.Request) { tag, _ := r.From().Params.Get("tag"); set("tag", tag+"x")(r) }},
	} {
		t.Run(name, func(t *testing.T) {
			from := c.from
			if from == "" {
				from = "127.0.0.1"
			}
			l, cancel := w.dialFrom(from, c.side), o.cancel()
			if c.change != nil {
				c.change(cancel)
			}
			l.conn.Write([]byte(cancel.String()))
			l.gets("481 Call/Transaction Does Not Exist", "CANCEL")
		})
	}
	x.answer(in, pcmu)
	o.up(nil)
	x.acked()
	select {
	case <-x.cancels:
		t.Error("the PSAP's leg was cancelled")
	default:
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestNamesThatCanBeGuessed: what a phone that numbers its calls has made up is no secret.
func TestNamesThatCanBeGuessed(t *testing.T) {
	named := func(branch, tag, id string) *sip.Request {
		r := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", Host: "box.test"})
		via := &sip.ViaHeader{Params: sip.NewParams()}
		via.Params.Add("branch", branch)
		from := &sip.FromHeader{Params: sip.NewParams()}
		from.Params.Add("tag", tag)
		call := sip.CallIDHeader(id)
		for _, h := range []sip.Header{via, from, &call, &sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE}} {
			r.AppendHeader(h)
		}
		return r
	}
	for _, c := range []struct {
		branch, tag, id string
		ok              bool
	}{
		{"z9hG4bK.hxSMTXIgV", "nG4rBtd6S", "TZsTXyDOsr", true}, // linphone's lengths
		{"z9hG4bK1234567890", "1234567890", "0_1234567890@10.0.0.7", true},
		{"z9hG4bK1", "1", "1@192.168.100.200", false},
		{"z9hG4bK12345678", "12345678", "1234567@a-very-long-host.example", false},
		{"1234567890123456789012345678901234567890", "1234567890", "1234567890", false},
		{"z9hG4bK", "1234567890123456789012345678", "1234567890", false},
		{"z9hG4bK1234567890", "", "12345678901234567890", false},
	} {
		if _, ok := inviteName(named(c.branch, c.tag, c.id)); ok != c.ok {
			t.Errorf("%s, %s, %s: %v", c.branch, c.tag, c.id, ok)
		}
	}
	if _, ok := inviteName(sip.NewRequest(sip.INVITE, sip.Uri{})); ok {
		t.Error("nothing is a name")
	}
}

// TestCallbackGivenUpOnAnotherConnection: a PSAP that calls back gives up when its SBC's connection has fallen: the SBC says so by another.
func TestCallbackGivenUpOnAnotherConnection(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, shown := w.callHelp(a, x)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	again := w.spare(x)
	cb := x.call(shown, pcmu)
	ring := a.incoming(sip.INVITE)
	ring.Reply(180, "Ringing")
	cb.wait(180)
	x.conn.Close()
	w.until(func() bool { return w.heardAlarm("has lost its connection") == 1 })
	x.conn = again
	x.send(cb.cancel()).wait(200)
	if a.cancelled() != ring {
		t.Error("something else is cancelled")
	}
	ring.Reply(487, "Request Terminated")
	if r := w.ended(); r.Cause != causeCancelled || w.heardAlarm("given up") != 1 {
		t.Errorf("%+v", r)
	}
}
