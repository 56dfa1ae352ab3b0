package box

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/lab/raw"
)

// event is what an end of a call has heard.
type event struct {
	at   *end
	m    *raw.Message // nil: the connection is gone
	from *raw.Peer    // where it came from
}

// end is one party of the rig's calls: a phone on a connection of its own, or a line behind the SBC.
type end struct {
	r     *rig
	user  string // extension or number
	local netip.Addr
	inbox chan event
	trunk bool

	mu      sync.Mutex
	peer    *raw.Peer
	pending map[string]*raw.Message // INVITEs without a final response, by Call-ID
	wg      sync.WaitGroup
}

func (r *rig) newEnd(user string, local netip.Addr, inbox chan event) *end {
	return &end{r: r, user: user, local: local, inbox: inbox, pending: make(map[string]*raw.Message)}
}

// take is called from the read goroutine. What any device answers by itself is answered here.
func (e *end) take(p *raw.Peer, m *raw.Message) {
	switch {
	case m.Status() != 0:
	case m.Method() == "INVITE":
		e.mu.Lock()
		e.pending[m.Get("Call-ID")] = m
		e.mu.Unlock()
	case m.Method() == "CANCEL":
		p.Write(m.Reply(200, "OK", "t", nil))
		if inv := e.settle(m.Get("Call-ID")); inv != nil {
			p.Write(inv.Reply(487, "Request Terminated", raw.Word(), nil))
		}
	case m.Method() == "OPTIONS": // the box asks whether a silent party is still there: no call here lasts so long
		p.Write(m.Reply(481, "Call/Transaction Does Not Exist", "t", nil))
	case m.Method() == "BYE" || m.Method() == "NOTIFY":
		p.Write(m.Reply(200, "OK", "t", nil))
	}
	select {
	case e.inbox <- event{e, m, p}:
	default: // nobody reads any more
	}
}

// settle forgets an INVITE that is about to get its final response, once.
func (e *end) settle(callID string) *raw.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.pending[callID]
	delete(e.pending, callID)
	return m
}

// conn is the connection in use, nil without one.
func (e *end) conn() *raw.Peer {
	if e.trunk {
		return e.r.sbc.current()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peer
}

func (e *end) write(text string) {
	if p := e.conn(); p != nil {
		p.Write(text)
	}
}

// drop cuts the connection without a word.
func (e *end) drop() {
	if p := e.conn(); p != nil {
		p.Close()
	}
	if !e.trunk {
		e.wg.Wait()
	}
}

func (r *rig) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: r.authority.Pool(), ServerName: "box.branch.example"}
}

// connect opens the phone's connection if it has none; what comes goes to take.
func (e *end) connect(ctx context.Context) error {
	if e.conn() != nil {
		return nil
	}
	raws, err := e.r.net.dial(ctx, e.local, e.r.stack.Addr(0))
	if err != nil {
		return err
	}
	nc := tls.Client(raws, e.r.clientTLS())
	if err := nc.HandshakeContext(ctx); err != nil {
		raws.Close()
		return err
	}
	p := raw.NewPeer(abrupt{nc, raws}, 0)
	e.mu.Lock()
	e.peer = p
	e.mu.Unlock()
	e.wg.Go(func() {
		p.Run(func(m *raw.Message) { e.take(p, m) })
		p.Close()
		e.mu.Lock()
		e.peer = nil
		clear(e.pending)
		e.mu.Unlock()
		select {
		case e.inbox <- event{e, nil, p}:
		default:
		}
	})
	return nil
}

// abrupt closes without TLS's goodbye, as a device that loses power does.
type abrupt struct {
	*tls.Conn
	raw net.Conn
}

func (a abrupt) Close() error { return a.raw.Close() }

// register connects the phone and registers it. Nothing else may come meanwhile that matters.
func (e *end) register(ctx context.Context) error {
	if err := e.connect(ctx); err != nil {
		return err
	}
	p := e.conn()
	if p == nil {
		return errors.New("connection lost")
	}
	aor := "sip:" + e.user + "@" + rigDomain
	d := raw.NewDialog(p, aor, "sip:"+rigDomain)
	d.To = "<" + aor + ">"
	d.Contact += fmt.Sprintf(`;+sip.instance="<urn:uuid:00000000-0000-4000-8000-00115e4%s>";reg-id=1`, e.user)
	extra := []string{"Expires: 600", "Supported: outbound"}
	var lines []string
	for range 3 {
		p.Write(d.Request("REGISTER", nil, append(lines, extra...)...))
		res, err := e.await(ctx, d.CallID, d.Seq)
		if err != nil {
			return err
		}
		switch res.Status() {
		case 200:
			return nil
		case 401:
			lines = []string{raw.Authorization(res, "REGISTER", d.Target, e.user, rigSecret, "")}
		default:
			return fmt.Errorf("REGISTER: %s", res.Start)
		}
	}
	return errors.New("REGISTER: challenged again")
}

// await reads the inbox up to the final response to a request.
func (e *end) await(ctx context.Context, callID string, seq int) (*raw.Message, error) {
	want := fmt.Sprintf("%d ", seq)
	for {
		select {
		case ev := <-e.inbox:
			if ev.at == e && ev.m == nil {
				return nil, errors.New("connection lost")
			}
			if ev.m != nil && ev.m.Status() >= 200 && ev.m.Get("Call-ID") == callID && strings.HasPrefix(ev.m.Get("CSeq"), want) {
				return ev.m, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// rigSBCServer is the SBC: it takes the box's connections and gives each message to the line that it is for.
type rigSBCServer struct {
	r    *rig
	l    net.Listener
	addr netip.AddrPort
	cfg  *tls.Config
	tap  func(out bool, m *raw.Message)

	mu    sync.Mutex
	peer  *raw.Peer
	lines map[string]*end // by number
	calls map[string]*end // by Call-ID
	wg    sync.WaitGroup
	open  map[*raw.Peer]bool
	deaf  map[*raw.Peer]bool // connections that swallow what comes
}

func newRigSBC(r *rig, tap func(bool, *raw.Message)) (*rigSBCServer, error) {
	cert, err := r.authority.Leaf([]string{"sbc.carrier.example"}, rigSBC)
	if err != nil {
		return nil, err
	}
	l, err := r.net.Listen(netip.AddrPortFrom(rigSBC, 0))
	if err != nil {
		return nil, err
	}
	return &rigSBCServer{r: r, l: l, addr: l.Addr().(*net.TCPAddr).AddrPort(), tap: tap, lines: map[string]*end{}, calls: map[string]*end{}, open: map[*raw.Peer]bool{},
		cfg: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.authority.Pool()}}, nil
}

// line is a number behind the SBC.
func (s *rigSBCServer) line(number string, inbox chan event) *end {
	e := s.r.newEnd(number, netip.Addr{}, inbox)
	e.trunk = true
	s.mu.Lock()
	s.lines[number] = e
	s.mu.Unlock()
	return e
}

// owns says whose a Call-ID is that the SBC chose.
func (s *rigSBCServer) owns(callID string, e *end) {
	s.mu.Lock()
	s.calls[callID] = e
	s.mu.Unlock()
}

func (s *rigSBCServer) current() *raw.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

func (s *rigSBCServer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for p := range s.open {
			p.Close()
		}
	})
	defer stop()
	for {
		nc, err := s.l.Accept()
		if err != nil {
			s.wg.Wait()
			return nil
		}
		s.wg.Go(func() { s.serve(ctx, nc) })
	}
}

func (s *rigSBCServer) serve(ctx context.Context, nc net.Conn) {
	t := tls.Server(nc, s.cfg)
	hctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	err := t.HandshakeContext(hctx)
	cancel()
	if err != nil {
		nc.Close()
		return
	}
	p := raw.NewPeer(abrupt{t, nc}, 0)
	s.mu.Lock()
	s.peer, s.open[p] = p, true
	s.mu.Unlock()
	if ctx.Err() == nil {
		p.Run(func(m *raw.Message) { s.take(p, m) })
	}
	p.Close()
	s.mu.Lock()
	delete(s.open, p)
	if s.peer == p {
		s.peer = nil
	}
	lines := slices.Collect(maps.Values(s.lines))
	s.mu.Unlock()
	for _, e := range lines {
		select {
		case e.inbox <- event{e, nil, p}:
		default:
		}
	}
}

func (s *rigSBCServer) take(p *raw.Peer, m *raw.Message) {
	if s.tap != nil {
		s.tap(false, m)
	}
	id := m.Get("Call-ID")
	s.mu.Lock()
	if s.deaf[p] {
		s.mu.Unlock()
		return
	}
	e := s.calls[id]
	if e == nil && m.Method() == "INVITE" {
		number, _, _ := strings.Cut(strings.TrimPrefix(m.URI(), "sip:"), "@")
		if e = s.lines[number]; e != nil {
			s.calls[id] = e
		}
	}
	s.mu.Unlock()
	switch {
	case e != nil:
		e.take(p, m)
	case m.Status() == 0 && m.Method() == "OPTIONS":
		p.Write(m.Reply(200, "OK", "t", nil))
	case m.Status() == 0 && m.Method() != "ACK":
		p.Write(m.Reply(404, "Not Found", "t", nil))
	}
}
