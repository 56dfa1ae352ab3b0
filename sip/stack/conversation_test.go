package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// pipes is a network of net.Pipe connections with addresses.
type pipes struct{ queue chan net.Conn }

type pipe struct {
	net.Conn
	local, remote netip.AddrPort
}

func (p pipe) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(p.local) }
func (p pipe) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.remote) }

var (
	pipeServer = netip.MustParseAddrPort("10.0.0.1:5061")
	pipeClient = netip.MustParseAddrPort("10.0.0.2:40000")
)

func (p *pipes) Listen(netip.AddrPort) (net.Listener, error) {
	return &pipeListener{p.queue, make(chan struct{}), sync.Once{}}, nil
}

func (p *pipes) ListenPacket(netip.AddrPort) (PacketConn, error) { return nil, errors.ErrUnsupported }

func (p *pipes) Dial(context.Context, netip.Addr, string) (net.Conn, error) {
	a, b := net.Pipe()
	p.queue <- pipe{b, pipeServer, pipeClient}
	return pipe{a, pipeClient, pipeServer}, nil
}

type pipeListener struct {
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(pipeServer) }

// chatty is a handler that uses all that the stack offers: it answers late or never, calls back, waits for a CANCEL.
func chatty(tx *ServerTx) {
	req := tx.Request()
	tx.OnGone(func() {})
	switch req.Method {
	case sip.INVITE:
		tx.Reply(180, "Ringing")
		tx.OnCancel(func() { tx.Reply(487, "Request Terminated") })
		back := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: "a", Host: "b"})
		for _, h := range []string{"From", "To", "Call-ID"} {
			sip.CopyHeaders(h, req, back)
		}
		back.AppendHeader(&sip.CSeqHeader{SeqNo: 7, MethodName: sip.INVITE})
		if t, err := tx.Conn().Send(back, func(*sip.Response, error) {}); err == nil && len(req.Body()) == 0 {
			t.Cancel()
		}
		if len(req.Body()) > 0 {
			tx.Reply(200, "OK")
		}
	case "SILENT": // never
	default:
		tx.Reply(200, "OK")
	}
}

// material are the messages that conversations are made of: RFC 4475's and RFC 5118's, and those of good dialogs.
func material(f testing.TB) [][]byte {
	f.Helper()
	var all [][]byte
	for _, m := range []string{"REGISTER", "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "SILENT"} {
		all = append(all, []byte(request(m)))
	}
	all = append(all, []byte(register()), []byte("\r\n\r\n"), []byte(strings.Replace(request("INVITE"), "Content-Length: 0\r\n\r\n", "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n", 1)))
	files, _ := filepath.Glob("../../firmware/lab/torture/messages/*/*")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	if len(all) < 50 {
		f.Fatalf("%d messages only: where is the torture set?", len(all))
	}
	return all
}

// mutate changes a message where SIP has its joints: start line, header lines, parameters, lengths, line ends.
func mutate(r *rand.Rand, m []byte) []byte {
	head, body, _ := bytes.Cut(m, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	pick := func() int { return r.IntN(len(lines)) }
	words := []string{"", ";", "=", "\"", "<", ">", ",", "@", ":", "%00", "%", "sip:", "sips:[::1]", "*", "z9hG4bK", ";tag=", ";branch=", "\t", " ", "\r", "\n", "\x00", "\xff\xfe", "-1", "4294967296", "99999999999999999999",
		"SIP/2.0", "SIP/3.0", "INVITE", "ACK", "CANCEL", "200", "Require: x", strings.Repeat("a", 300), strings.Repeat("(", 200), strings.Repeat("x", 17<<10)}
	word := func() string { return words[r.IntN(len(words))] }
	for range 1 + r.IntN(4) {
		i := pick()
		switch r.IntN(11) {
		case 0:
			lines = append(lines[:i:i], append([]string{lines[pick()]}, lines[i:]...)...) // a line twice
		case 1:
			if len(lines) > 1 {
				lines = append(lines[:i:i], lines[i+1:]...)
			}
		case 2:
			j := pick()
			lines[i], lines[j] = lines[j], lines[i]
		case 3:
			lines[i] += word()
		case 4:
			at := r.IntN(len(lines[i]) + 1)
			lines[i] = lines[i][:at] + word() + lines[i][at:]
		case 5:
			name, _, _ := strings.Cut(lines[i], ":")
			lines[i] = name + ": " + word()
		case 6:
			if _, value, ok := strings.Cut(lines[i], ":"); ok {
				lines[i] = []string{"v", "f", "t", "i", "m", "l", "c", "Via", "Contact", "CSeq", "Max-Forwards", "Route"}[r.IntN(12)] + ":" + value
			}
		case 7:
			lines[i] = strings.ReplaceAll(lines[i], " ", "\r\n ") // folded
		case 8:
			lines = append(lines, fmt.Sprintf("Content-Length: %d", r.IntN(200)))
		case 9:
			if len(lines[i]) > 0 {
				b := []byte(lines[i])
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				lines[i] = string(b)
			}
		case 10:
			body = append(body[:len(body):len(body)], word()...)
		}
	}
	end := "\r\n"
	if r.IntN(12) == 0 {
		end = "\n"
	}
	return append([]byte(strings.Join(lines, end)+end+end), body...)
}

// FuzzConversation talks to the stack over TLS on one connection: messages of the torture set and of good dialogs, changed
// and in any order and pieces, and answers to what the stack itself asks. Whatever was said, the connection then serves a
// good request, or it is closed within the time that a message may take; another one serves at once; and nothing is held.
func FuzzConversation(f *testing.F) {
	all := material(f)
	network := &pipes{queue: make(chan net.Conn)}
	const message = 150 * time.Millisecond
	s := New(Options{Log: faultLog(), Network: network, OnRequest: chatty, OnAck: func(*Conn, *sip.Request) {},
		Limits: Limits{MessageTimeout: message, UnauthenticatedRate: 1000}})
	ca := newAuthority(f, "fuzz")
	if err := s.Listen(Access, pipeServer, &tls.Config{Certificates: []tls.Certificate{ca.issue(f, "box")}}); err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })
	client := &tls.Config{RootCAs: ca.pool, ServerName: "box"}

	for i := range 12 {
		f.Add(uint64(i), []byte{byte(i), byte(17 * i), byte(40 + i), 255, byte(7 * i), 3})
	}
	f.Add(uint64(99), []byte{1, 255, 1, 255, 3, 2, 4})
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		if len(script) > 24 {
			script = script[:24]
		}
		r := rand.New(rand.NewPCG(seed, 1))
		c := talk(t, network, client)
		for _, op := range script {
			var m []byte
			if op == 255 {
				m = c.answer()
			} else {
				m = bytes.Clone(all[int(op)%len(all)])
			}
			if r.IntN(4) > 0 {
				m = mutate(r, m)
			}
			if r.IntN(3) == 0 { // in two pieces
				at := r.IntN(len(m) + 1)
				c.write(m[:at])
				m = m[at:]
			}
			if r.IntN(10) == 0 {
				m = m[:r.IntN(len(m)+1)] // cut off
			}
			c.write(m)
		}
		c.probe(t, message+patience)
		if seed%8 == 0 {
			fresh := talk(t, network, client)
			if !fresh.probe(t, patience) {
				t.Error("a new connection is not served")
			}
			fresh.close()
		}
		c.close()
		noFaults(t, s)
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			u := s.Usage()
			if u == (Usage{}) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after the conversation the stack still holds %+v", u)
			}
		}
	})
}

// talker is the other end of a conversation.
type talker struct {
	conn *tls.Conn
	read chan struct{} // closed when reading ended

	mu     sync.Mutex
	heard  []byte
	asked  []byte // the stack's last request
	failed bool
}

func talk(t *testing.T, n *pipes, cfg *tls.Config) *talker {
	t.Helper()
	raw, _ := n.Dial(context.Background(), netip.Addr{}, "")
	c := &talker{conn: tls.Client(raw, cfg), read: make(chan struct{})}
	if err := c.conn.Handshake(); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	go func() {
		defer close(c.read)
		buf := make([]byte, 8<<10)
		for {
			k, err := c.conn.Read(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.heard = append(c.heard, buf[:k]...)
			if len(c.heard) > 64<<10 {
				c.heard = c.heard[32<<10:]
			}
			if i := bytes.LastIndex(c.heard, []byte("INVITE sip:")); i >= 0 {
				c.asked = bytes.Clone(c.heard[i:])
			}
			c.mu.Unlock()
		}
	}()
	return c
}

func (c *talker) write(b []byte) {
	if !c.failed {
		c.conn.SetWriteDeadline(time.Now().Add(patience))
		_, err := c.conn.Write(b)
		c.failed = err != nil
	}
}

// answer is a 2xx to the stack's own INVITE, if it has sent one.
func (c *talker) answer() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, rest, ok := bytes.Cut(c.asked, []byte("\r\n"))
	if !ok {
		return []byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	return append([]byte("SIP/2.0 200 OK\r\n"), rest...)
}

// probe asks something that must be answered, and tells whether it was; if it was not, the connection must be closed.
func (c *talker) probe(t *testing.T, within time.Duration) bool {
	t.Helper()
	const branch = "z9hG4bKprobe0123456789"
	ask := func(n int) {
		c.write(fmt.Appendf(nil, "OPTIONS sip:box SIP/2.0\r\nVia: SIP/2.0/TLS 10.0.0.2;branch=%s%d\r\nFrom: <sip:a@b>;tag=p\r\nTo: <sip:a@b>\r\nCall-ID: probe\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", branch, n))
	}
	// Again now and then: the first may end as the body of a message that announced one.
	began, next := time.Now(), time.Now()
	for n := 0; time.Since(began) < within; time.Sleep(200 * time.Microsecond) {
		if !time.Now().Before(next) {
			n, next = n+1, next.Add(30*time.Millisecond)
			ask(n)
		}
		c.mu.Lock()
		ok := bytes.Contains(c.heard, []byte(branch))
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-c.read:
			return false
		default:
		}
	}
	t.Errorf("neither served nor closed within %v", within)
	return false
}

func (c *talker) close() {
	c.conn.NetConn().Close()
	<-c.read
}
