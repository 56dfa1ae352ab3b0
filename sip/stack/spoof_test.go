package stack

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// What anybody on the LAN can do in the name of a device on UDP.

var toTag = regexp.MustCompile(`(?m)^To: .*;tag=(\w+)`)

func for911(text string) string {
	return strings.Replace(text, "sip:box.test SIP", "sip:911@box.test SIP", 1)
}

func urgent911(_ *Conn, r *Request) bool { return r.Recipient.User == "911" }

// A request that is refused at once costs one datagram and no memory; asked again, it gets the same To tag (RFC 3261 §8.2.7).
func TestBrushedOff(t *testing.T) {
	for _, c := range []struct {
		name, text string
		status     int
		left       int
	}{
		{"INVITE", asked("INVITE"), 401, 0},
		{"REGISTER", asked("REGISTER"), 503, 0},
		{"no dialog", strings.Replace(asked("INVITE"), "To: <sip:201@box.test>", "To: <sip:201@box.test>;tag=x", 1), 481, 0},
		{"in a dialog", strings.Replace(asked("INVITE"), "To: <sip:201@box.test>", "To: <sip:201@box.test>;tag=x", 1), 488, 1},
		{"answered", asked("MESSAGE"), 200, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ethered(t, Options{OnRequest: func(tx *ServerTx) { tx.Reply(c.status, "So") }}, func(t *testing.T, s *Stack, e *ether) {
				e.put(gatewayAt, c.text)
				e.put(gatewayAt, c.text)
				out := e.take()
				if len(out) != 2 {
					t.Fatalf("%d answers", len(out))
				}
				one, two := toTag.FindStringSubmatch(out[0].text), toTag.FindStringSubmatch(out[1].text)
				if one == nil || two == nil || one[1] != two[1] {
					t.Errorf("To tags %q and %q", one, two)
				}
				if u := s.Usage(); u.ServerTxs != c.left || (u.HeldBytes != 0) != (c.left != 0) {
					t.Errorf("left: %+v", u)
				}
				time.Sleep(40 * time.Second)
				if out := e.take(); c.left == 0 && out != nil {
					t.Errorf("%d more to who may never have asked", len(out))
				}
				for _, conn := range s.Conns() {
					conn.Close() // its flow has made room for another meanwhile
				}
				e.put(gatewayAt, c.text)
				if again := toTag.FindStringSubmatch(e.take()[0].text); c.left == 0 && again[1] != one[1] {
					t.Errorf("To tags %q and %q", one, again)
				}
				if c.left == 0 && c.status != 481 {
					e.put(gatewayAt, strings.Replace(c.text, "branch=z9hG4bK", "branch=z9hG4bKx", 1))
					if other := toTag.FindStringSubmatch(e.take()[0].text); other == nil || other[1] == one[1] {
						t.Errorf("another request has the tag %q too", other)
					}
				}
			})
		})
	}
}

// What was said or cancelled before is a call: its refusal is repeated until the ACK comes, and it is not begun again.
func TestNotBrushedOff(t *testing.T) {
	calls := 0
	ethered(t, Options{OnRequest: func(tx *ServerTx) {
		calls++
		tx.OnCancel(func() { tx.Reply(487, "Request Terminated") })
	}}, func(t *testing.T, s *Stack, e *ether) {
		inv := asked("INVITE")
		e.put(gatewayAt, inv)
		e.put(gatewayAt, strings.NewReplacer("INVITE sip", "CANCEL sip", "1 INVITE", "1 CANCEL").Replace(inv))
		e.put(gatewayAt, inv)
		if out := e.take(); len(out) != 3 || calls != 1 || s.Usage().ServerTxs != 1 {
			t.Errorf("%d messages, %d calls", len(out), calls)
		}
	})
}

func lengthy(n int) string {
	body := strings.Repeat("x", n)
	return strings.Replace(asked("MESSAGE", "Content-Type: text/plain"), "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, body), 1)
}

// A message is no longer than a phone's may be, what is kept of an answered one is not the request, and a device's are bounded by
// their bytes too; an emergency call still comes through.
func TestDatagramMemory(t *testing.T) {
	answer, calls := true, 0
	var mu sync.Mutex
	ethered(t, Options{Urgent: urgent911, OnRequest: func(tx *ServerTx) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if answer {
			tx.Reply(200, "OK")
		}
	}}, func(t *testing.T, s *Stack, e *ether) {
		e.put(gatewayAt, lengthy(maxDatagram))
		if out := e.take(); len(out) != 1 || !strings.HasPrefix(out[0].text, "SIP/2.0 513") || calls != 0 {
			t.Errorf("a message too long: %v, %d calls", out, calls)
		}
		e.put(gatewayAt, lengthy(10_000))
		if u := s.Usage(); u.ServerTxs != 1 || u.HeldBytes == 0 || u.HeldBytes > 2000 || calls != 1 {
			t.Errorf("lingering: %+v", u)
		}
		for _, tx := range s.servers.m {
			if tx.req != nil {
				t.Error("the request is kept")
			}
		}
		answer = false
		for range 500 {
			time.Sleep(20 * time.Millisecond)
			e.put(gatewayAt, lengthy(10_000))
		}
		if u := s.Usage(); u.HeldBytes > bytesPerDevice || u.ServerTxs < 100 {
			t.Errorf("open: %+v", u)
		}
		before := calls
		e.put(gatewayAt, for911(asked("INVITE")))
		if calls != before+1 {
			t.Error("the emergency call was not served")
		}
	})
}

// What begins nothing makes no flow, though it may be answered.
func TestNoFlowForNoise(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		answer bool
	}{
		"garbage":    {"hello\r\n\r\n", false},
		"unreadable": {strings.Replace(asked("OPTIONS"), "From:", "Form:", 1), true},
		"response":   {answered(asked("OPTIONS"), 200), false},
		"ACK":        {asked("ACK"), false},
		"CANCEL":     {asked("CANCEL"), true},
	} {
		t.Run(name, func(t *testing.T) {
			ethered(t, Options{}, func(t *testing.T, s *Stack, e *ether) {
				for port := 10000; port < 10100; port++ {
					e.put(fmt.Sprintf("10.0.0.71:%d", port), strings.Replace(c.text, "10.0.0.71:5060;", fmt.Sprintf("10.0.0.71:%d;", port), 1))
				}
				if n, out := len(s.Conns()), e.take(); n != 0 || (len(out) > 0) != c.answer {
					t.Errorf("%d flows, %d answers", n, len(out))
				}
			})
		})
	}
}

// A device's flows come at a rate, and none with a request that waits for its answer is taken for another: the answer reaches
// the caller, and what it repeats is no second call.
func TestSpoofedPorts(t *testing.T) {
	var mu sync.Mutex
	var help []*ServerTx
	ethered(t, Options{Urgent: urgent911, OnRequest: func(tx *ServerTx) {
		mu.Lock()
		defer mu.Unlock()
		if tx.Request().Recipient.User == "911" {
			help = append(help, tx)
			return
		}
		tx.Reply(200, "OK")
	}}, func(t *testing.T, s *Stack, e *ether) {
		inv := for911(asked("INVITE"))
		e.put(gatewayAt, inv)
		for port := 10000; port < 10300; port++ {
			e.put(fmt.Sprintf("10.0.0.71:%d", port), asked("OPTIONS"))
		}
		if n := s.flows.Load(); n > 500 || len(s.Conns()) != flowsPerDevice {
			t.Errorf("%d flows", len(s.Conns()))
		}
		made := 0
		for _, g := range e.take() {
			if strings.HasPrefix(g.text, "SIP/2.0 200") {
				made++
			}
		}
		if made != flowsPerDevice-1 {
			t.Errorf("%d new flows at once", made)
		}
		for port := 20000; port < 20000+flowsPerDevice+20; port++ {
			time.Sleep(200 * time.Millisecond)
			e.put(fmt.Sprintf("10.0.0.71:%d", port), asked("OPTIONS"))
		}
		e.put(gatewayAt, inv)
		e.take()
		help[0].Reply(180, "Ringing")
		if out := e.take(); len(help) != 1 || help[0].Conn().Closed() || len(out) != 1 || out[0].at.String() != gatewayAt {
			t.Errorf("%d calls; the first is told %v", len(help), out)
		}
	})
}

// A flow that has had its time is not taken from a call that has just begun on it.
func TestSweepSparesCalls(t *testing.T) {
	var help *ServerTx
	ethered(t, Options{OnRequest: func(tx *ServerTx) {
		if tx.Method() == "INVITE" {
			help = tx
			return
		}
		tx.Reply(200, "OK")
	}}, func(t *testing.T, s *Stack, e *ether) {
		e.put(gatewayAt, asked("OPTIONS"))
		time.Sleep(s.o.Limits.UnauthenticatedIdle - time.Second)
		e.put(gatewayAt, for911(asked("INVITE")))
		time.Sleep(3 * plainSweep)
		e.take()
		help.Reply(486, "Busy Here")
		if out := e.take(); len(out) != 1 {
			t.Errorf("the caller is told %v", out)
		}
		time.Sleep(2 * plainSweep)
		if n := len(s.Conns()); n != 0 {
			t.Errorf("%d flows left", n)
		}
	})
}

// Where every flow waits for an answer there is room for an emergency call, and for no other.
func TestFlowsAllBusy(t *testing.T) {
	calls := 0
	var mu sync.Mutex
	ethered(t, Options{Urgent: urgent911, OnRequest: func(*ServerTx) {
		mu.Lock()
		defer mu.Unlock()
		calls++
	}}, func(t *testing.T, s *Stack, e *ether) {
		for port := 10000; port < 10000+flowsPerDevice; port++ {
			e.put(fmt.Sprintf("10.0.0.71:%d", port), asked("INVITE"))
		}
		time.Sleep(5 * time.Second)
		e.put("10.0.0.71:7000", asked("INVITE"))
		if out := e.take(); len(out) != 1 || !strings.HasPrefix(out[0].text, "SIP/2.0 503") || calls != flowsPerDevice {
			t.Errorf("one more: %v, %d calls", out, calls)
		}
		e.put("10.0.0.71:7001", for911(asked("INVITE")))
		if calls != flowsPerDevice+1 {
			t.Error("the emergency call was not served")
		}
		for port := 20000; port < 20000+2*flowsPerDevice; port++ {
			e.put(fmt.Sprintf("10.0.0.71:%d", port), for911(asked("INVITE")))
		}
		if n := len(s.Conns()); n != 2*flowsPerDevice {
			t.Errorf("%d flows", n)
		}
	})
}

// TestPlainTCPShare: one device on TCP takes its share of the places; beyond it there is room for calls for help, and for
// nothing else.
func TestPlainTCPShare(t *testing.T) {
	b := start(t, urgentOptions(Limits{}))
	b.SetPlain(Plain{Listen: netip.MustParseAddrPort("127.0.0.1:0"), TCP: []netip.Addr{netip.MustParseAddr("127.0.0.7"), netip.MustParseAddr("127.0.0.8")}})
	eventually(t, "listening", func() bool { return b.PlainAddr(TCP).IsValid() })
	ask := func(n byte, text string) string {
		t.Helper()
		c, err := from(n).Dial("tcp4", b.PlainAddr(TCP).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return exchange(c, text)
	}
	for range plainPerDevice {
		if got := ask(7, request("OPTIONS")); got != "200" {
			t.Fatalf("within its share: %q", got)
		}
	}
	if got := ask(7, request("OPTIONS")); got != "503" {
		t.Errorf("beyond its share: %q", got)
	}
	if got := ask(7, helpRequest()); got != "200" {
		t.Errorf("for help: %q", got)
	}
	for range spareSource {
		ask(7, request("OPTIONS"))
	}
	if got := ask(7, helpRequest()); got != "" {
		t.Errorf("beyond all: %q", got)
	}
	if got := ask(8, request("OPTIONS")); got != "200" {
		t.Errorf("another device: %q", got)
	}
}

// exchange sends a request and returns the answer's status; "" without one.
func exchange(c net.Conn, text string) string {
	c.SetDeadline(time.Now().Add(patience))
	c.Write([]byte(text))
	buf := make([]byte, 4096)
	n, _ := c.Read(buf)
	if n < 12 {
		return ""
	}
	return string(buf[8:11])
}
