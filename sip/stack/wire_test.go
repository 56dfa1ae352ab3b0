package stack

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A message may come in any pieces, and several in one piece.
func TestPiecesAndPipelines(t *testing.T) {
	got := make(chan string, 1000)
	b := start(t, Options{Limits: Limits{UnauthenticatedRate: 1000}, OnRequest: func(tx *ServerTx) {
		got <- string(tx.Request().Body())
		tx.Reply(200, "OK")
	}})
	p := b.dial()
	invite := func(body string) string {
		return strings.Replace(strings.ReplaceAll(request("OPTIONS"), "Content-Length: 0\r\n\r\n", ""), "To:", "Content-Length:\r\n "+
			strconv.Itoa(len(body))+"\r\nTo:", 1) + "\r\n" + body
	}
	one := invite("v=0\r\n\r\n")
	for cut := 1; cut < len(one); cut += 7 {
		msg := invite("v=0\r\n\r\n")
		p.send(msg[:cut])
		p.send(msg[cut:])
		p.response(200)
		if body := <-got; body != "v=0\r\n\r\n" {
			t.Fatalf("cut at %d: body %q", cut, body)
		}
	}
	for _, c := range []byte(one) {
		p.send(string(c))
	}
	p.response(200)
	<-got

	all := ""
	for i := range 40 {
		all += "\r\n"[:2*(i%2)] + invite(strings.Repeat("x", i*100))
	}
	p.send(all + "\r\n\r\n")
	pongs := 0
	for range 41 { // the answers come in any order
		text, err := p.raw()
		if err != nil {
			t.Fatal(err)
		}
		if text == "\r\n" {
			pongs++
		}
	}
	if pongs != 1 {
		t.Errorf("%d pongs", pongs)
	}
	sizes := map[int]bool{}
	for range 40 {
		sizes[len(<-got)] = true
	}
	if len(sizes) != 40 {
		t.Errorf("%d different bodies of 40", len(sizes))
	}
	if n := b.Counters().Malformed.Load(); n != 0 {
		t.Errorf("%d malformed", n)
	}
}

// A double CRLF is a ping, its pong a single one (RFC 5626 §4.4.1), however the bytes are cut.
func TestPing(t *testing.T) {
	b := start(t, Options{})
	for _, pieces := range [][]string{
		{"\r\n\r\n"}, {"\r\n", "\r\n"}, {"\r", "\n", "\r", "\n"}, {"\r", "\n\r\n"}, {"\r\n\r", "\n"},
	} {
		p := b.dial()
		for _, s := range pieces {
			p.send(s)
		}
		p.SetReadDeadline(time.Now().Add(patience))
		var pong [2]byte
		if _, err := io.ReadFull(p.r, pong[:]); err != nil || string(pong[:]) != "\r\n" {
			t.Fatalf("%q: %q, %v", pieces, pong, err)
		}
		p.works() // and no byte more came before this answer
	}
	// A single CRLF is a pong or an old keepalive: silence.
	p := b.dial()
	p.send("\r\n")
	p.works()
	p.send("\r\n")
	p.works()
	// Two pings in one piece, the second cut off in the middle.
	p.send("\r\n\r\n\r\n\r")
	p.send("\n")
	var pongs [4]byte
	if _, err := io.ReadFull(p.r, pongs[:]); err != nil || string(pongs[:]) != "\r\n\r\n" {
		t.Fatalf("%q, %v", pongs, err)
	}
	p.works()
}

// Where a message ends cannot be told: a status, then the connection is closed.
func TestFramingLost(t *testing.T) {
	b := start(t, Options{})
	other := b.dial()
	for _, c := range []struct {
		name, old, new string
		status         string
	}{
		{"negative", "Length: 0", "Length: -5", "400"},
		{"huge", "Length: 0", "Length: 4294967296", "400"},
		{"duplicate", "Content-Length: 0", "l: 4\r\nContent-Length: 0", "400"},
		{"type without length", "Content-Length: 0\r\n\r\n", "Content-Type: application/sdp\r\n\r\nv=0\r\n", "400"},
		{"body too long", "Length: 0", "Length: 100000", "413"},
		{"body too long, and it comes", "Length: 0\r\n\r\n", "Length: 100000\r\n\r\n" + strings.Repeat("x", 100000), "413"},
		{"header too long", "Content-Length: 0", "X: " + strings.Repeat("x", maxHeader), "513"},
		{"header too long, without end", "Content-Length: 0\r\n\r\n", "X: " + strings.Repeat("x", maxHeader), "513"},
	} {
		p := b.dial()
		r := request("INVITE")
		p.send(strings.Replace(r, c.old, c.new, 1) + request("OPTIONS"))
		answer, err := p.raw()
		if err != nil || !strings.HasPrefix(answer, "SIP/2.0 "+c.status+" ") {
			t.Errorf("%s: %q, %v", c.name, answer, err)
		}
		m, err := sip.ParseMessage([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(answer, "\r\nCall-ID: "+m.CallID().Value()+"\r\n") || !strings.Contains(answer, "\r\nVia: ") {
			t.Errorf("%s: the answer does not match its request:\n%s", c.name, answer)
		}
		if rest := p.closed(); rest != "" {
			t.Errorf("%s: then came %q", c.name, rest)
		}
	}
	other.works()
	eventually(t, "one connection left", func() bool { return len(b.Conns()) == 1 })
	if n := b.Counters().Malformed.Load(); n != 8 {
		t.Errorf("%d malformed, want 8", n)
	}
}

// A message that is whole but wrong is answered, and the connection goes on.
func TestRefusedAndOn(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedRate: 1000}, OnRequest: func(tx *ServerTx) { tx.Reply(204, "No Notification") }})
	p := b.dial()
	for _, c := range guardCases {
		msg := strings.Replace(good, c.old, c.new, 1)
		switch {
		case c.status == 0:
			continue
		case !strings.Contains(strings.ToLower(msg), "\r\nvia:"):
			p.send(msg) // nowhere to send an answer
			continue
		}
		p.send(msg)
		answer, err := p.raw()
		if err != nil || !strings.HasPrefix(answer, "SIP/2.0 "+strconv.Itoa(c.status)+" ") {
			t.Fatalf("%s: %q, %v", c.name, answer, err)
		}
		for _, h := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
			if n := strings.Count(answer, "\r\n"+h+": "); n > 1 || n == 0 && strings.Contains(msg, "\r\n"+h+":") {
				t.Errorf("%s: %d %s in\n%s", c.name, n, h, answer)
			}
		}
		if i := strings.Index(answer, "\r\nTo: "); i >= 0 && !strings.Contains(strings.SplitN(answer[i+2:], "\r\n", 2)[0], "tag=") {
			t.Errorf("%s: no To tag in\n%s", c.name, answer)
		}
		if c.status == 420 && !strings.Contains(answer, "\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n") {
			t.Errorf("%s:\n%s", c.name, answer)
		}
	}
	p.send(request("OPTIONS"))
	p.response(204)
}

// The response shows the address that the phone is seen under (RFC 3581), all Vias, and one To tag for the transaction.
func TestResponse(t *testing.T) {
	b := start(t, Options{OnRequest: func(tx *ServerTx) {
		tx.Reply(100, "Trying")
		tx.Reply(180, "Ringing")
		tx.Reply(486, "Busy Here", sip.NewHeader("Retry-After", "5"))
		if err := tx.Reply(200, "OK"); err != nil {
			t.Errorf("second final: %v", err)
		}
	}})
	p := b.dial()
	p.send(strings.Replace(request("INVITE", "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKo"), "TLS 127.0.0.1:5061", "TLS 192.168.9.9:5061", 1))
	trying, ringing, busy := p.response(100), p.response(180), p.response(486)
	if trying.To().Params.Has("tag") {
		t.Error("To tag in 100")
	}
	a, _ := ringing.To().Params.Get("tag")
	z, _ := busy.To().Params.Get("tag")
	if a == "" || a != z {
		t.Errorf("To tags %q and %q", a, z)
	}
	received, _ := busy.Via().Params.Get("received")
	rport, _ := busy.Via().Params.Get("rport")
	if _, port, _ := strings.Cut(p.LocalAddr().String(), ":"); received != "127.0.0.1" || rport != port || len(busy.GetHeaders("Via")) != 2 {
		t.Errorf("Via %v, port %s", busy.GetHeaders("Via"), port)
	}
	if busy.GetHeader("Retry-After") == nil {
		t.Error("no Retry-After")
	}
	p.send(request("OPTIONS"))
	p.response(100) // the second final of the INVITE was dropped
	p.response(180)
	p.response(486)
}

// Hangup lets what is queued out, then closes.
func TestHangup(t *testing.T) {
	closed := make(chan *Conn, 2)
	b := start(t, Options{OnClosed: func(c *Conn) { closed <- c }, OnRequest: func(tx *ServerTx) {
		tx.Reply(503, "Service Unavailable")
		tx.Conn().Hangup()
		tx.Conn().Hangup()
		if err := tx.Conn().Write(tx.Request()); !errors.Is(err, ErrConnClosed) {
			t.Errorf("write on a closed connection: %v", err)
		}
	}})
	p := b.dial()
	p.send(request("REGISTER"))
	p.response(503)
	p.closed()
	c := await(t, "OnClosed", closed)
	if !c.Closed() {
		t.Error("not closed")
	}
	if _, ok := b.Conn(c.Flow()); ok {
		t.Error("still known")
	}
	b.stop()
	if len(closed) != 0 {
		t.Error("OnClosed twice")
	}
}
