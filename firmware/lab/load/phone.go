// Package load plays thousands of phones that register and call, against Holdfast or against Kamailio with rtpengine, and
// measures what that costs the server. The phones say no more than they must: they leave the processor to the server.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/lab/raw"
)

// phone is one with an address and a connection of its own.
type phone struct {
	user   string
	local  netip.Addr
	server *target

	mu      sync.Mutex
	peer    *raw.Peer
	waiting map[string]chan *raw.Message // by Call-ID
	wg      sync.WaitGroup
}

// target is a server under load.
type target struct {
	addr     netip.AddrPort
	domain   string
	password string
	tls      *tls.Config
}

func newPhone(n int, t *target) *phone {
	return &phone{user: strconv.Itoa(10000 + n), local: netip.AddrFrom4([4]byte{127, 1, byte(n / 250), byte(n%250 + 1)}), server: t,
		waiting: make(map[string]chan *raw.Message)}
}

func (p *phone) conn() *raw.Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.peer
}

// connect opens the connection with a full handshake.
func (p *phone) connect(ctx context.Context) error {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.local, 0))}
	nc, err := d.DialContext(ctx, "tcp4", p.server.addr.String())
	if err != nil {
		return err
	}
	t := tls.Client(nc, p.server.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return err
	}
	peer := raw.NewPeer(t, 2048)
	p.mu.Lock()
	p.peer = peer
	p.mu.Unlock()
	p.wg.Go(func() {
		peer.Run(func(m *raw.Message) { p.take(peer, m) })
		nc.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.peer = nil
		for id, ch := range p.waiting {
			close(ch)
			delete(p.waiting, id)
		}
	})
	return nil
}

// cut ends the connection.
func (p *phone) cut() {
	if peer := p.conn(); peer != nil {
		peer.Close()
	}
	p.wg.Wait()
}

// take answers calls at once and gives responses to who waits.
func (p *phone) take(peer *raw.Peer, m *raw.Message) {
	if m.Status() != 0 {
		p.mu.Lock()
		ch := p.waiting[m.Get("Call-ID")]
		if ch != nil {
			select {
			case ch <- m:
			default:
			}
		}
		p.mu.Unlock()
		return
	}
	switch m.Method() {
	case "INVITE":
		tag := raw.Word()
		contact := fmt.Sprintf("Contact: <sip:%s@%s;transport=tls>", p.user, peer.Local())
		peer.Write(m.Reply(180, "Ringing", tag, nil, contact))
		peer.Write(m.Reply(200, "OK", tag, answer(p.local, m.Body), contact))
	case "BYE", "OPTIONS":
		peer.Write(m.Reply(200, "OK", "t", nil))
	}
}

func (p *phone) wait(id string) chan *raw.Message {
	ch := make(chan *raw.Message, 16)
	p.mu.Lock()
	p.waiting[id] = ch
	p.mu.Unlock()
	return ch
}

func (p *phone) done(id string) {
	p.mu.Lock()
	delete(p.waiting, id)
	p.mu.Unlock()
}

var errLost = errors.New("connection lost")

// final waits for the final response to the request with the CSeq.
func final(ctx context.Context, ch chan *raw.Message, seq int) (*raw.Message, error) {
	want := strconv.Itoa(seq) + " "
	for {
		select {
		case m, ok := <-ch:
			if !ok {
				return nil, errLost
			}
			if m.Status() >= 200 && strings.HasPrefix(m.Get("CSeq"), want) {
				return m, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// register registers over the open connection.
func (p *phone) register(ctx context.Context) error {
	peer := p.conn()
	if peer == nil {
		return errLost
	}
	aor := "sip:" + p.user + "@" + p.server.domain
	d := raw.NewDialog(peer, aor, "sip:"+p.server.domain)
	d.To = "<" + aor + ">"
	ch := p.wait(d.CallID)
	defer p.done(d.CallID)
	lines := []string{"Expires: 600"}
	for range 2 {
		if err := peer.Write(d.Request("REGISTER", nil, lines...)); err != nil {
			return err
		}
		res, err := final(ctx, ch, d.Seq)
		if err != nil {
			return err
		}
		switch res.Status() {
		case 200:
			return nil
		case 401:
			lines = []string{raw.Authorization(res, "REGISTER", d.Target, p.user, p.server.password, "MD5"), "Expires: 600"}
		default:
			return errors.New("REGISTER: " + res.Start)
		}
	}
	return errors.New("REGISTER: challenged again")
}

// arrive connects and registers.
func (p *phone) arrive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.connect(ctx); err != nil {
		return err
	}
	return p.register(ctx)
}
