package stack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

func TestUnauthenticatedIdle(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedIdle: 300 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		if tx.Request().Method == sip.REGISTER {
			tx.Conn().SetAuthenticated()
		}
		tx.Reply(200, "OK")
	}})
	phone, silent, pinging, talking := b.dial(), b.dial(), b.dial(), b.dial()
	phone.send(request("REGISTER"))
	phone.response(200)
	// Neither keepalives nor requests keep a stranger's place.
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for c, text := range map[*peer]string{pinging: "\r\n\r\n", talking: request("OPTIONS")} {
		wg.Go(func() {
			for {
				if _, err := io.WriteString(c.Conn, text); err != nil {
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(60 * time.Millisecond):
				}
			}
		})
	}
	silent.closed()
	pinging.closed()
	talking.closed()
	close(stop)
	wg.Wait()
	phone.works()
	eventually(t, "the phone alone is left", func() bool { return len(b.Conns()) == 1 && b.Conns()[0].Authenticated() })
}

// Authenticating lifts the stranger's deadline in whatever state the read loop is.
func TestAuthenticatedWhileReading(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedIdle: 250 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	silent := b.dial() // its end is the clock
	peers := make([]*peer, 20)
	for i := range peers {
		peers[i] = b.dial()
		r := request("OPTIONS")
		peers[i].send(request("REGISTER") + r[:i*10])
		peers[i].response(200)
		defer func() { peers[i].send(r[i*10:]); peers[i].response(200) }()
	}
	late := b.dial()
	silent.closed()
	late.closed()
}

func TestIdleTimeout(t *testing.T) {
	b := start(t, Options{Limits: Limits{IdleTimeout: time.Second}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	p := b.dial()
	p.works()
	p.closed()
}

func TestSlowMessage(t *testing.T) {
	b := start(t, Options{Limits: Limits{MessageTimeout: 250 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().SetAuthenticated()
		tx.Reply(200, "OK")
	}})
	good, known, stranger := b.dial(), b.dial(), b.dial()
	known.works()
	var wg sync.WaitGroup
	for _, p := range []*peer{known, stranger} {
		wg.Go(func() { // a byte now and then
			for _, c := range []byte(request("OPTIONS")) {
				if _, err := p.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("a slow message got through")
		})
	}
	good.works()
	known.closed()
	stranger.closed()
	good.works()
	wg.Wait()
	if n := b.Counters().SlowMessages.Load(); n != 2 {
		t.Errorf("%d slow messages, want 2", n)
	}
}

func TestRequestRate(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedRate: 5}})
	good, p := b.dial(), b.dial()
	p.send(strings.Repeat(request("REGISTER"), 1)) // warm
	p.response(200)
	for range 30 {
		p.send(request("REGISTER"))
	}
	answers := map[int]int{}
	for range 30 {
		answers[p.message().(*sip.Response).StatusCode]++
	}
	if answers[200] < 9 || answers[200] > 15 || answers[503] != 30-answers[200] {
		t.Errorf("answers %v; want the burst of 10, then 503", answers)
	}
	good.works()
	if n := b.Counters().RateLimited.Load(); n != uint64(answers[503]) {
		t.Errorf("counted %d", n)
	}
}

// What comes in a flood ends the connection; what a real phone does never comes near.
func TestFloods(t *testing.T) {
	ack := request("ACK")
	for name, text := range map[string]string{
		"garbage":         "a\r\n\r\n",
		"wrong requests":  strings.Replace(request("OPTIONS"), "CSeq: 1", "CSeq: x", 1),
		"requests":        request("OPTIONS"),
		"ACKs":            ack,
		"stray responses": NewResponse(mustRequest(t, request("OPTIONS")), 200, "OK", "x").String(),
		"pings":           "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, Options{OnAck: func(*Conn, *sip.Request) {}})
			good, p := b.dial(), b.dial()
			go io.Copy(io.Discard, p.NetConn()) // reads its answers, at its own pace
			p.SetWriteDeadline(time.Now().Add(patience))
			var err error
			for i := 0; err == nil && i < 100000; i++ {
				_, err = io.WriteString(p.Conn, text)
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the flood went on: %v", err)
			}
			good.works()
			eventually(t, "one connection left", func() bool { return len(b.Conns()) == 1 })
			if n := b.held.Load(); n != 0 {
				t.Errorf("%d bytes held", n)
			}
		})
	}
}

func mustRequest(t *testing.T, text string) *sip.Request {
	t.Helper()
	m, err := sip.ParseMessage([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*sip.Request)
}

// A peer that does not read is closed; those who write to it never wait.
func TestPeerDoesNotRead(t *testing.T) {
	for name, o := range map[string]Options{
		"queue full":        {Limits: Limits{QueuedBytes: 1 << 20}},
		"write timeout":     {Limits: Limits{QueuedBytes: 1 << 30, WriteTimeout: 100 * time.Millisecond}},
		"no room for it":    {Limits: Limits{QueuedBytes: 1 << 30, HeldBytes: 1 << 20}},
		"queue full, known": {Limits: Limits{QueuedBytes: 1 << 20, HeldBytes: 1}, OnRequest: func(tx *ServerTx) { tx.Conn().SetAuthenticated(); tx.Reply(200, "OK") }},
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan *Conn, 2)
			o.OnClosed = func(c *Conn) { closed <- c }
			b := start(t, o)
			p := b.dial()
			p.works()
			c := b.Conns()[0]
			good := b.dial()
			msg := outgoing(sip.MESSAGE)
			msg.SetBody(make([]byte, 32<<10))
			var err error
			longest := time.Duration(0)
			for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
				at := time.Now()
				err = c.Write(msg)
				longest = max(longest, time.Since(at))
				if name == "write timeout" {
					time.Sleep(time.Millisecond) // not more than the test has memory for
				}
			}
			if want := map[bool]error{true: ErrConnClosed, false: ErrQueueFull}[name == "write timeout"]; !errors.Is(err, want) {
				t.Errorf("Write: %v, want %v", err, want)
			}
			if longest > time.Second {
				t.Errorf("a Write took %v", longest)
			}
			good.works()
			if got := await(t, "OnClosed", closed); got != c {
				t.Error("another connection was closed")
			}
			good.works()
			if n := b.held.Load(); n != 0 {
				t.Errorf("%d bytes held", n)
			}
		})
	}
}

// Long unfinished messages of strangers share a bounded memory.
func TestHeldInput(t *testing.T) {
	b := start(t, Options{Limits: Limits{HeldBytes: 200 << 10}, OnRequest: func(tx *ServerTx) { tx.Conn().SetAuthenticated(); tx.Reply(200, "OK") }})
	known := b.dial()
	known.works()
	long := strings.Replace(request("OPTIONS"), "Content-Length: 0\r\n\r\n", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", maxBody, strings.Repeat("x", maxBody)), 1)
	var strangers []*peer
	for range 10 {
		p := b.dial()
		io.WriteString(p.Conn, long[:len(long)-1]) // fails for those who are closed
		strangers = append(strangers, p)
	}
	eventually(t, "the surplus is closed", func() bool { return b.Counters().Overflows.Load() >= 7 })
	if n := b.held.Load(); n > 200<<10 {
		t.Errorf("%d bytes held", n)
	}
	known.send(long[:len(long)-1]) // who is known may go on
	known.send(long[len(long)-1:])
	known.response(200)
	for _, p := range strangers {
		p.NetConn().Close()
	}
	eventually(t, "nothing held", func() bool { return b.held.Load() == 0 && len(b.Conns()) == 1 })
}

// A peer that reads a byte now and then does not hold Hangup, and with it the place, for long.
func TestHangupBounded(t *testing.T) {
	closed := make(chan *Conn, 1)
	b := start(t, Options{Limits: Limits{QueuedBytes: 1 << 30, HeldBytes: 1 << 30, WriteTimeout: time.Second}, OnClosed: func(c *Conn) { closed <- c }})
	p := b.dial()
	p.works()
	c := b.Conns()[0]
	msg := outgoing(sip.MESSAGE)
	msg.SetBody(make([]byte, 32<<10))
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { // enough for each write to get through in time
		buf := make([]byte, 64<<10)
		for {
			if _, err := p.NetConn().Read(buf); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	for range 2000 { // 64 MB: more than 10 s of such reading
		if err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Now()
	c.Hangup()
	if d := time.Since(at); d > 6*time.Second {
		t.Errorf("Hangup took %v", d)
	}
	await(t, "OnClosed", closed)
	close(stop)
	reader.Wait()
}
