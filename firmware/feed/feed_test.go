package feed

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/lab/ca"
)

const patience = 20 * time.Second

// server takes lines over TLS, one connection after the other.
type server struct {
	net.Listener
	lines chan string
	conns chan net.Conn
}

func listen(t *testing.T, authority *ca.Authority, at string) *server {
	t.Helper()
	cert, err := authority.Leaf([]string{"log.example"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp4", at, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{l, make(chan string, 1000), make(chan net.Conn, 10)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns <- c
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					s.lines <- in.Text()
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s
}

func (s *server) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-s.lines:
		return line
	case <-time.After(patience):
		t.Fatal("nothing arrives")
		return ""
	}
}

func run(t *testing.T, f *Feed) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestReconnects(t *testing.T) {
	authority, err := ca.New("feed")
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, authority, "127.0.0.1:0")
	f, err := New(Options{What: "x", Network: "tcp", Address: s.Addr().String(), Frames: 3, TLS: &tls.Config{RootCAs: authority.Pool(), ServerName: "log.example"},
		Lost: func(n uint64) []byte { return fmt.Appendf(nil, "lost %d\n", n) }})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 { // nobody runs it yet
		if took := f.Send(fmt.Appendf(nil, "line %d\n", n)); took != (n < 3) {
			t.Errorf("line %d: %v", n, took)
		}
	}
	stop := run(t, f)
	for _, want := range []string{"lost 2", "line 0", "line 1", "line 2"} {
		if got := s.next(t); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	(<-s.conns).Close() // the server goes, and comes back
	s.Close()
	for end := time.Now().Add(patience); f.Status().Up; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a hang-up is not noticed")
		}
	}
	if st := f.Status(); st.LastError == "" || st.Dropped != 2 || st.Sent != 3 {
		t.Errorf("%+v", st)
	}
	f.Send([]byte("meanwhile\n"))
	again := listen(t, authority, s.Addr().String())
	if got := again.next(t); got != "meanwhile" {
		t.Errorf("%q", got)
	}
	if st := f.Status(); !st.Up || st.LastError != "" {
		t.Errorf("%+v", st)
	}
	f.Send([]byte("last words\n"))
	stop()
	if got := again.next(t); got != "last words" {
		t.Errorf("%q", got)
	}
}

// TestStranger: a server whose certificate is of another authority gets nothing.
func TestStranger(t *testing.T) {
	one, err := ca.New("one")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.New("other")
	if err != nil {
		t.Fatal(err)
	}
	s := listen(t, other, "127.0.0.1:0")
	f, err := New(Options{What: "x", Network: "tcp", Address: s.Addr().String(), TLS: &tls.Config{RootCAs: one.Pool(), ServerName: "log.example"}})
	if err != nil {
		t.Fatal(err)
	}
	f.Send([]byte("secret\n"))
	stop := run(t, f)
	for end := time.Now().Add(patience); !strings.Contains(f.Status().LastError, "unknown authority"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", f.Status())
		}
	}
	stop()
	select {
	case line := <-s.lines:
		t.Errorf("a stranger got %q", line)
	default:
	}
}

func TestUDP(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{What: "x", Network: "udp", Address: c.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, f)
	defer stop()
	f.Send([]byte("one"))
	b := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(patience))
	if n, _, err := c.ReadFrom(b); err != nil || string(b[:n]) != "one" {
		t.Errorf("%q %v", b[:n], err)
	}
	f.Send(make([]byte, 70000)) // more than a datagram holds: it costs itself only
	f.Send([]byte("two"))
	if n, _, err := c.ReadFrom(b); err != nil || string(b[:n]) != "two" {
		t.Errorf("%q %v", b[:n], err)
	}
	if s := f.Status(); s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
	c.Close()
}

func TestBounds(t *testing.T) {
	f, err := New(Options{What: "x", Network: "udp", Address: "127.0.0.1:9", Bytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	if f.Send(make([]byte, 101)) || !f.Send(make([]byte, 60)) || f.Send(make([]byte, 60)) || !f.Send(make([]byte, 40)) {
		t.Error("bytes are not counted")
	}
	for _, o := range []Options{{}, {Address: "h"}, {Address: "h:1"}, {Address: "h:1", Network: "sctp"}, {Address: "h:1", Network: "udp", TLS: &tls.Config{}}} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}
