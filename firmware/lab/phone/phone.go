// Package phone is a desk phone: it registers with the first of its servers that takes it (cloud zone 1, zone 2, the
// box), watches that server, moves on when it falls silent, and goes home when the cloud is back, by itself or only
// when it is told, as its model does.
//
// Calls are package ua's job. A call stays on the connection where it began until it ends, wherever the phone registers.
package phone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/wire"
)

// Server is one entry of the server list.
type Server struct {
	Name    string
	Addr    netip.AddrPort
	TLSName string // name that its certificate must carry
}

// Config of a phone. Durations have defaults of a brisk desk phone.
type Config struct {
	UA       ua.Config // user, domain, password, codecs
	Local    netip.Addr
	Servers  []Server // in order; the last is the box
	Roots    *x509.CertPool
	Instance string        // +sip.instance URN
	Expires  time.Duration // asked for, default 60s
	Timeout  time.Duration // for a connection or an answer, default 1s
	Probe    time.Duration // OPTIONS to the current server, default 1s
	Retry    time.Duration // pause after all servers failed, default 500ms
	Home     time.Duration // how often it tries the servers before the current one; 0: it leaves only when told
}

// Phone is one phone. Run it; its other methods are safe for concurrent use.
type Phone struct {
	*ua.Agent
	cfg Config
	tls *tls.Config

	mu      sync.Mutex
	at      *session      // where it is registered; nil: nowhere
	since   time.Time     // of at
	changed chan struct{} // closed and replaced when at changes
	last    error         // why the last attempt failed, or the last place was left
	owned   sync.WaitGroup
}

// ErrNotRegistered is returned by calls of a phone that is nowhere.
var ErrNotRegistered = errors.New("phone: not registered")

var errTold = errors.New("told to go")

// New makes a phone.
func New(cfg Config) *Phone {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Expires, time.Minute)
	def(&cfg.Timeout, time.Second)
	def(&cfg.Probe, time.Second)
	def(&cfg.Retry, 500*time.Millisecond)
	cfg.UA.Voice.IP = cfg.Local
	return &Phone{Agent: ua.New(cfg.UA), cfg: cfg, changed: make(chan struct{}),
		tls: &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}}
}

// User is the phone's user name.
func (p *Phone) User() string { return p.cfg.UA.User }

// Run works the server list until ctx ends, then unregisters and ends its calls.
func (p *Phone) Run(ctx context.Context) {
	first := 0
	for ctx.Err() == nil {
		s, i := p.pass(ctx, first)
		if s == nil {
			first = 0
			pause(ctx, p.cfg.Retry)
			continue
		}
		first = p.stay(ctx, s, i)
	}
	if s := p.leave(errors.New("switched off")); s != nil {
		bye, done := context.WithTimeout(context.Background(), p.cfg.Timeout)
		s.register(bye, 0)
		done()
		s.conn.Close()
	}
	p.Agent.Close()
	p.owned.Wait()
}

// pass tries the servers once, from the given one on.
func (p *Phone) pass(ctx context.Context, first int) (*session, int) {
	for k := range p.cfg.Servers {
		i := (first + k) % len(p.cfg.Servers)
		s, err := p.join(ctx, p.cfg.Servers[i])
		if err == nil {
			p.move(s, nil)
			return s, i
		}
		p.mu.Lock()
		p.last = err
		p.mu.Unlock()
		if ctx.Err() != nil {
			break
		}
	}
	return nil, 0
}

// stay keeps a registration until it is lost, and returns where to go on in the server list.
func (p *Phone) stay(ctx context.Context, s *session, i int) int {
	probe := time.NewTicker(p.cfg.Probe)
	defer probe.Stop()
	refresh := time.NewTimer(s.refreshAfter())
	defer refresh.Stop()
	var home <-chan time.Time
	if p.cfg.Home > 0 && i > 0 {
		t := time.NewTicker(p.cfg.Home)
		defer t.Stop()
		home = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return 0
		case <-s.conn.Done():
			p.leave(errors.New("connection lost"))
			return i + 1
		case <-probe.C:
			switch err := s.options(ctx); {
			case err == nil || ctx.Err() != nil:
			case errors.Is(err, errTold):
				p.leave(err)
				p.retire(ctx, s)
				return 0
			default:
				p.leave(fmt.Errorf("no answer to OPTIONS: %w", err))
				s.conn.Close() // its calls are lost with it: the phone has no other way to that server
				return i + 1
			}
		case <-refresh.C:
			status, err := s.refresh(ctx)
			switch {
			case ctx.Err() != nil:
				return 0
			case err != nil:
				p.leave(fmt.Errorf("no answer to REGISTER: %w", err))
				s.conn.Close()
				return i + 1
			case status != 200:
				p.leave(fmt.Errorf("%w: REGISTER answered %d", errTold, status))
				p.retire(ctx, s)
				return 0
			}
			refresh.Reset(s.refreshAfter())
		case <-home:
			for k, server := range p.cfg.Servers[:i] {
				better, err := p.join(ctx, server)
				if err != nil {
					continue
				}
				p.move(better, nil)
				p.retire(ctx, s)
				return p.stay(ctx, better, k)
			}
		}
	}
}

// retire gives up a server: unregisters at once, and closes the connection when its last call has ended.
func (p *Phone) retire(ctx context.Context, s *session) {
	bye, done := context.WithTimeout(ctx, p.cfg.Timeout)
	defer done()
	s.register(bye, 0)
	p.owned.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for p.Running(s.conn) > 0 {
			select {
			case <-tick.C:
			case <-s.conn.Done():
				return
			case <-ctx.Done():
				s.conn.Close()
				return
			}
		}
		s.conn.Close()
	})
}

// Dial calls through the server where the phone is registered.
func (p *Phone) Dial(to string, o ua.DialOptions) (*ua.Call, error) {
	p.mu.Lock()
	s := p.at
	p.mu.Unlock()
	if s == nil {
		return nil, ErrNotRegistered
	}
	return p.Agent.Dial(s.conn, to, o)
}

// Conn is the connection to the current server; nil when there is none.
func (p *Phone) Conn() *wire.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		return nil
	}
	return p.at.conn
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
