package access

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/stack"
)

// datagrams is a phone's connection over UDP: nothing but Read and Write is used of it.
type datagrams struct {
	t    testing.TB
	conn *net.UDPConn
	*phone
}

// gateway is a device on UDP at 127.0.0.7.
func (d *door) gateway(user string) *datagrams {
	d.t.Helper()
	d.stack.SetPlain(stack.Plain{Listen: netip.MustParseAddrPort("127.0.0.1:0"), UDP: []netip.Addr{netip.MustParseAddr("127.0.0.7")}})
	for end := time.Now().Add(patience); !d.stack.PlainAddr(stack.UDP).IsValid(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatal("nobody listens")
		}
	}
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 7)}, net.UDPAddrFromAddrPort(d.stack.PlainAddr(stack.UDP)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return &datagrams{d.t, c, &phone{t: d.t, user: user, host: domain, call: stack.NewCallID()}}
}

func (g *datagrams) ask(method string, lines ...string) *sip.Response {
	g.t.Helper()
	g.cseq++
	var b bytes.Buffer
	req := sip.NewRequest(sip.RequestMethod(method), sip.Uri{Scheme: "sip", Host: domain})
	b.WriteString(req.StartLine() + "\r\nVia: SIP/2.0/UDP 127.0.0.7;branch=" + stack.NewBranch() + ";rport\r\nFrom: <sip:" + g.user + "@" + domain +
		">;tag=a\r\nTo: <sip:" + g.user + "@" + domain + ">\r\nCall-ID: " + g.call + "\r\n")
	b.WriteString((&sip.CSeqHeader{SeqNo: uint32(g.cseq), MethodName: req.Method}).String() + "\r\n")
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	g.conn.Write(b.Bytes())
	g.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 65536)
	n, err := g.conn.Read(buf)
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := sip.ParseMessage(buf[:n])
	if err != nil {
		g.t.Fatalf("%v in\n%s", err, buf[:n])
	}
	return m.(*sip.Response)
}

// A gateway on UDP registers with Digest, for the shortest time that there is, since it sees no connection fall. Its address
// proves nothing but for emergency calls: every REGISTER and every ordinary call is asked for its password.
func TestGateway(t *testing.T) {
	d := newDoor(t)
	g := d.gateway("1002")
	line := "Contact: <sip:1002@127.0.0.7:5060>"
	if got := g.ask("MESSAGE").Reason; got != "stranger" {
		t.Errorf("before: %s", got)
	}
	for range 2 {
		first := g.want(g.ask("REGISTER", line, "Expires: 600"), 401)
		res := g.want(g.ask("REGISTER", g.authorization("REGISTER", first, md("1002", "secret-b")), line, "Expires: 600"), 200)
		if c := contacts(res); len(c) != 1 || !strings.Contains(c[0], ";expires=60") {
			t.Errorf("Contact: %q", c)
		}
		if got := g.ask("MESSAGE").Reason; got != "bob" {
			t.Errorf("for help: %s", got)
		}
	}
	first := g.want(g.ask("INVITE"), 401)
	g.want(g.ask("INVITE", g.authorization("INVITE", first, md("1002", "secret-b"))), 200)
	g.want(g.ask("INVITE"), 401)
	b := d.bindings("bob")
	if len(b) != 1 || b[0].Source.String() != g.conn.LocalAddr().String() || b[0].Flow == 0 {
		t.Errorf("%+v", b)
	}
}

// What a gateway registered in the program's last life is reachable at once, and its phone is known for help.
func TestGatewayRecalled(t *testing.T) {
	d := newDoor(t)
	g := d.gateway("1002")
	at := netip.MustParseAddrPort(g.conn.LocalAddr().String())
	d.o.Registrar.Restore(time.Now(), []registrar.Binding{{AOR: "bob", Contact: registrar.Contact{URI: "sip:1002@127.0.0.7"}, CallID: "x", Source: at, Expires: time.Now().Add(time.Minute)}})
	c := d.stack.Reach(at)
	d.Recall(c, "bob")
	d.Recall(c, "nobody")
	if back := d.o.Registrar.Reached(time.Now(), at, registrar.Flow(c.Flow())); len(back) != 1 || !back[0].Reachable() {
		t.Errorf("%+v", back)
	}
	if b := d.bindings("bob"); len(b) != 1 || b[0].Flow != registrar.Flow(c.Flow()) {
		t.Errorf("%+v", b)
	}
	if got := g.ask("MESSAGE").Reason; got != "bob" {
		t.Errorf("for help: %s", got)
	}
	g.want(g.ask("INVITE"), 401)
	d.stack.SetPlain(stack.Plain{})
	for end := time.Now().Add(patience); d.bindings("bob")[0].Flow != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still reachable though the site names the gateway no more")
		}
	}
}

// Who is known for help by its address can be asked to prove it, also where it withholds its number: whoever writes datagrams in a
// gateway's name has no password.
func TestGatewayProves(t *testing.T) {
	d := newDoor(t)
	g := d.gateway("1002")
	line := "Contact: <sip:1002@127.0.0.7:5060>"
	first := g.want(g.ask("REGISTER", line), 401)
	g.want(g.ask("REGISTER", g.authorization("REGISTER", first, md("1002", "secret-b")), line), 200)
	for _, from := range []string{"1002", "anonymous"} {
		g.user = from
		first := g.want(g.ask("INFO"), 401)
		g.want(g.ask("INFO", g.authorization("INFO", first, md("1002", "secret-a"))), 401)
		g.want(g.ask("INFO", g.authorization("INFO", first, md("1001", "secret-a"))), 401)
		first = g.want(g.ask("INFO"), 401)
		if res := g.want(g.ask("INFO", g.authorization("INFO", first, md("1002", "secret-b"))), 200); res.Reason != "bob" {
			t.Errorf("proven to be %s", res.Reason)
		}
		if got := g.ask("MESSAGE").Reason; got != "bob" {
			t.Errorf("for help: %s", got)
		}
	}
}
