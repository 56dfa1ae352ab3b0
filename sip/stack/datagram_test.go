package stack

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What comes from an address that the site does not name is counted; it is neither parsed nor answered.
func TestDatagramForeign(t *testing.T) {
	calls, traced := 0, 0
	ethered(t, Options{OnRequest: func(tx *ServerTx) { calls++; tx.Reply(200, "OK") }, Trace: func(*Conn, bool, []byte) { traced++ }},
		func(t *testing.T, s *Stack, e *ether) {
			for _, from := range []string{"10.0.0.72:5060", "10.0.0.7:5060", "127.0.0.1:5060", "[::ffff:10.0.0.70]:5060"} {
				e.put(from, asked("OPTIONS"))
				e.put(from, "\r\n\r\n")
				e.put(from, "garbage")
			}
			if n := s.Counters().Foreign.Load(); n != 12 {
				t.Errorf("%d counted", n)
			}
			if out := e.take(); out != nil || calls != 0 || traced != 0 || len(s.Conns()) != 0 || s.Counters().Malformed.Load() != 0 {
				t.Errorf("a stranger got %v; %d calls, %d messages looked at", out, calls, traced)
			}
			e.put("[::ffff:10.0.0.71]:5060", asked("OPTIONS")) // as a socket for both families writes it
			if len(e.take()) != 1 || calls != 1 || traced != 2 {
				t.Error("the device is not served")
			}
		})
}

// Where the answer goes (RFC 3261 §18.2.2, RFC 3581): never to another host.
func TestDatagramReply(t *testing.T) {
	for _, c := range []struct {
		name, via, from, to string
		has                 []string
	}{
		{"rport", "10.0.0.71:5060;rport", "10.0.0.71:31000", "10.0.0.71:31000", []string{"rport=31000", "received=10.0.0.71"}},
		{"no rport", "10.0.0.71:5062", "10.0.0.71:31000", "10.0.0.71:5062", nil},
		{"no port", "10.0.0.71", "10.0.0.71:31000", "10.0.0.71:5060", nil},
		{"behind a name", "ata.lan:5062", "10.0.0.71:31000", "10.0.0.71:5062", []string{"received=10.0.0.71"}},
		{"another host", "10.0.0.99:7000", "10.0.0.71:31000", "10.0.0.71:7000", []string{"received=10.0.0.71"}},
		{"maddr", "10.0.0.71:5060;maddr=10.0.0.99;rport", "10.0.0.71:5060", "10.0.0.71:5060", nil},
		{"a port that is none", "10.0.0.71:99999", "10.0.0.71:5060", "10.0.0.71:5060", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
				r := strings.Replace(asked("OPTIONS"), ";rport", "", 1)
				e.put(c.from, strings.Replace(r, "10.0.0.71:5060", c.via, 1))
				out := e.take()
				if len(out) != 1 || out[0].at.String() != c.to {
					t.Fatalf("answered %v", out)
				}
				for _, has := range c.has {
					if !strings.Contains(out[0].text, has) {
						t.Errorf("no %s in\n%s", has, out[0].text)
					}
				}
				conn := s.Conns()[0]
				if conn.Remote().String() != c.to || conn.Over() != UDP || conn.Side() != Access || conn.PeerCertificate() != nil {
					t.Errorf("the flow is %v over %v", conn.Remote(), conn.Over())
				}
				if conn.Contact() != etherBox || conn.NewVia().Transport != "UDP" {
					t.Errorf("Contact %v, Via %v", conn.Contact(), conn.NewVia())
				}
			})
		})
	}
}

// One datagram is one message (RFC 3261 §18.3).
func TestDatagramFraming(t *testing.T) {
	body := "v=0\r\n"
	with := func(length string) string {
		return strings.Replace(asked("MESSAGE", "Content-Type: text/plain"), "Content-Length: 0\r\n", length, 1) + body
	}
	for _, c := range []struct{ name, text, answer, body string }{
		{"whole", with("Content-Length: 5\r\n"), "200 OK", body},
		{"less is announced than there is", with("Content-Length: 3\r\n"), "200 OK", "v=0"},
		{"more is announced than there is", with("Content-Length: 6\r\n"), "400 Message Is Cut Off", ""},
		{"no length", with(""), "200 OK", body},
		{"two lengths", with("Content-Length: 5\r\nContent-Length: 5\r\n"), "400 Two Content-Length Header Fields", ""},
		{"a length that is none", with("Content-Length: x\r\n"), "400 Bad Content-Length", ""},
		{"line ends before", "\r\n\r\n" + asked("OPTIONS"), "200 OK", ""},
		{"two requests", asked("OPTIONS") + asked("OPTIONS"), "200 OK", ""},
		{"no end of the header", strings.TrimSuffix(asked("OPTIONS"), "\r\n\r\n") + "\r\n", "400 Message Is Cut Off", ""},
		{"header too long", strings.Replace(asked("OPTIONS"), "From:", "X: "+strings.Repeat("x", maxHeader)+"\r\nFrom:", 1), "513 Message Too Large", ""},
		{"no From", strings.Replace(asked("OPTIONS"), "From:", "Form:", 1), "400 0 From Header Fields", ""},
		{"IPv6", strings.Replace(asked("OPTIONS"), "sip:box.test SIP", "sip:[::1] SIP", 1), "488 IPv6 Not Supported", ""},
		{"keepalives", "\r\n\r\n", "", ""},
		{"zeros", "\x00\x00\x00\x00", "", ""},
		{"nothing", "", "", ""},
		{"garbage", "hello\r\n\r\n", "", ""},
		{"a STUN request", "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl", "", ""},
		{"a response to nobody", answered(asked("OPTIONS"), 200), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			ethered(t, Options{OnRequest: func(tx *ServerTx) { got = string(tx.Request().Body()); tx.Reply(200, "OK") }}, func(t *testing.T, s *Stack, e *ether) {
				e.put(gatewayAt, c.text)
				answer := ""
				for _, l := range e.lines(time.Now()) {
					answer += strings.TrimPrefix(l, "0s SIP/2.0 ")
				}
				if answer != c.answer || got != c.body {
					t.Errorf("answered %q with body %q", answer, got)
				}
				e.put(gatewayAt, asked("OPTIONS"))
				if out := e.take(); len(out) != 1 || !strings.HasPrefix(out[0].text, "SIP/2.0 200") {
					t.Errorf("afterwards: %v", out)
				}
			})
		})
	}
}

// A device's flows are bounded, and whoever borrows its address takes none from a line that has registered.
func TestDatagramFlows(t *testing.T) {
	var mu sync.Mutex
	var gone []string
	closed := func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := gone
		gone = nil
		return out
	}
	ethered(t, Options{Limits: Limits{UnauthenticatedIdle: 2 * time.Minute}, OnClosed: func(c *Conn) {
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, c.Remote().String())
	},
		OnRequest: func(tx *ServerTx) {
			switch tx.Method() {
			case "REGISTER":
				tx.Conn().SetAuthenticated()
			case "INVITE":
				tx.Conn().KeepFor(2 * time.Hour)
			}
			tx.Reply(200, "OK")
		}}, func(t *testing.T, s *Stack, e *ether) {
		from := func(port int, method string) { e.put(fmt.Sprintf("10.0.0.71:%d", port), asked(method)) }
		from(5060, "REGISTER")
		from(5062, "INVITE")
		for port := 10000; port < 10000+3*flowsPerDevice; port++ {
			time.Sleep(200 * time.Millisecond) // not faster than flows may come
			from(port, "OPTIONS")
		}
		open := map[uint16]bool{}
		for _, c := range s.Conns() {
			open[c.Remote().Port()] = true
		}
		if len(open) != flowsPerDevice || !open[5060] || !open[5062] || len(closed()) != 2+3*flowsPerDevice-flowsPerDevice {
			t.Errorf("%d open; the registered line %v, the emergency call %v", len(open), open[5060], open[5062])
		}
		time.Sleep(3 * time.Minute) // who has not authenticated by now is forgotten
		if n := len(s.Conns()); n != 2 {
			t.Errorf("%d flows left", n)
		}
		// Where all have registered the one that was heard least recently goes.
		for port := 20000; port < 20000+flowsPerDevice; port++ {
			time.Sleep(20 * time.Millisecond)
			from(port, "REGISTER")
		}
		closed()
		from(5060, "OPTIONS")
		from(30000, "REGISTER")
		if out := closed(); !slices.Equal(out, []string{"10.0.0.71:20001", "10.0.0.71:5060"}) { // 5060 went before, and is a stranger again
			t.Errorf("closed: %v", out)
		}
		time.Sleep(3 * time.Hour)
		for _, c := range s.Conns() {
			if !c.Authenticated() && c.Remote().Port() != 5062 {
				t.Errorf("%v is still there", c.Remote())
			}
		}
	})
}

// A flood in a device's name costs it its own share: rate and transactions. The flow is not closed, and an emergency call
// still comes through.
func TestDatagramFlood(t *testing.T) {
	var mu sync.Mutex
	served, urgent := 0, 0
	ethered(t, Options{Urgent: func(_ *Conn, r *sip.Request) bool { return r.Recipient.User == "911" },
		OnRequest: func(tx *ServerTx) {
			tx.OnGone(func() { tx.Reply(480, "Temporarily Unavailable") }) // else there is no answer
			mu.Lock()
			defer mu.Unlock()
			if tx.Request().Recipient.User == "911" {
				urgent++
				return
			}
			served++
		}}, func(t *testing.T, s *Stack, e *ether) {
		for i := range 2000 {
			e.put(fmt.Sprintf("10.0.0.71:%d", 40000+i%8), asked("OPTIONS"))
		}
		mu.Lock()
		if served > 500 || len(s.Conns()) != 8 {
			t.Errorf("%d served, %d flows", served, len(s.Conns()))
		}
		mu.Unlock()
		e.put(gatewayAt, strings.Replace(asked("INVITE"), "sip:box.test SIP", "sip:911@box.test SIP", 1))
		if urgent != 1 {
			t.Error("the emergency call was not served")
		}
		for range 200 { // slowly: the rate lets them through, the bound on transactions does not
			time.Sleep(time.Second)
			for range 90 {
				e.put(gatewayAt, asked("OPTIONS"))
			}
		}
		if n := s.Usage().ServerTxs; n > transactionsPerDevice+1 {
			t.Errorf("%d transactions", n)
		}
		e.put(gatewayAt, strings.Replace(asked("INVITE"), "sip:box.test SIP", "sip:911@box.test SIP", 1))
		if urgent != 2 {
			t.Error("the second emergency call was not served")
		}
	})
}

// FuzzDatagram sends whatever to the socket: no fault, no answer to another host, no more flows than a device may have.
func FuzzDatagram(f *testing.F) {
	for _, m := range material(f) {
		f.Add(m)
	}
	for _, s := range []string{"", "\r\n", "\x00\x01\x00\x00", asked("OPTIONS"), strings.Replace(asked("OPTIONS"), ";rport", ":0;rport=;maddr=1.2.3.4", 1)} {
		f.Add([]byte(s))
	}
	s := New(Options{Log: faultLog(), Network: &ether{}, OnRequest: func(tx *ServerTx) { tx.Reply(200, "OK") }})
	s.SetPlain(Plain{Listen: etherBox, UDP: []netip.Addr{netip.MustParseAddr("10.0.0.71")}})
	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := cutDatagram(data)
		if len(msg) > len(data) || !bytes.HasPrefix(data, msg) {
			t.Fatalf("cut %q out of %q", msg, data)
		}
		if err == nil {
			if m, err := contain(parse, msg); err == nil {
				if r, ok := m.(*sip.Request); ok && replyTo(r, netip.MustParseAddrPort(gatewayAt)).Addr().String() != "10.0.0.71" {
					t.Fatal("an answer would go elsewhere")
				}
			}
		}
		s.plain.receive(netip.MustParseAddrPort(gatewayAt), data)
		noFaults(t, s)
		if n := len(s.Conns()); n > flowsPerDevice {
			t.Fatalf("%d flows", n)
		}
	})
}
