// Package sbc is the lab's session border controller with a PSTN behind it: mutual TLS, SDES-SRTP, subscribers that
// answer, ring, refuse or hang up as their numbers say, and callers that dial in. It records everything that the box
// sends, byte for byte, and tells what of it an SBC of a carrier would object to.
//
// It is strict where the product must be right (early offer, E.164, caller ID, nothing from inside) and uses no
// part of the box's own stack.
package sbc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// Config of the SBC.
type Config struct {
	Listen      netip.AddrPort // port 0: a free one
	Certificate tls.Certificate
	Roots       *x509.CertPool
	BoxName     string         // the name that the box's client certificate must carry
	Box         netip.AddrPort // where the box's trunk side listens
	BoxTLSName  string         // the name that its server certificate must carry
	Domain      string         // host part of the SBC's own URIs
	Voice       voice.Config
	Subscribers map[string]ua.Behaviour // by E.164; others get 404
}

// SBC is a running one.
type SBC struct {
	*ua.Agent
	cfg      Config
	listener net.Listener
	owned    sync.WaitGroup

	mu          sync.Mutex
	subscribers map[string]ua.Behaviour
	conns       map[*wire.Conn]bool
	toBox       *wire.Conn
	options     int
	refused     []string // TLS failures
	record      strings.Builder
}

const (
	maxRecord     = 4 << 20 // bytes of the box's messages kept
	handshakeWait = 5 * time.Second
)

// Start listens and serves until Close.
func Start(cfg Config) (*SBC, error) {
	l, err := net.Listen("tcp4", cfg.Listen.String())
	if err != nil {
		return nil, fmt.Errorf("sbc: %w", err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	cfg.Listen = at
	cfg.Voice.IP = at.Addr()
	s := &SBC{cfg: cfg, listener: l, conns: map[*wire.Conn]bool{}, subscribers: maps.Clone(cfg.Subscribers)}
	s.Agent = ua.New(ua.Config{User: "pstn", Domain: cfg.Domain, UserAgent: "Lab SBC", Contact: at, Outlives: true, Voice: cfg.Voice, Incoming: s.behaviour})
	s.owned.Go(func() { s.serve(l) })
	return s, nil
}

// Addr is where the SBC listens.
func (s *SBC) Addr() netip.AddrPort { return s.cfg.Listen }

// Cut takes the SBC off the net: its connections fall, and new ones are refused, until Mend.
func (s *SBC) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
}

// Mend brings it back at the same address.
func (s *SBC) Mend() error {
	l, err := net.Listen("tcp4", s.cfg.Listen.String())
	if err != nil {
		return fmt.Errorf("sbc: %w", err)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.owned.Go(func() { s.serve(l) })
	return nil
}

func (s *SBC) serve(l net.Listener) {
	cfg := &tls.Config{
		Certificates: []tls.Certificate{s.cfg.Certificate}, MinVersion: tls.VersionTLS12,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.cfg.Roots,
		VerifyConnection: func(cs tls.ConnectionState) error { return s.nameOf(cs, s.cfg.BoxName) },
	}
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		s.owned.Go(func() {
			nc := tls.Server(raw, cfg)
			ctx, done := context.WithTimeout(context.Background(), handshakeWait)
			defer done()
			if err := nc.HandshakeContext(ctx); err != nil {
				raw.Close()
				s.mu.Lock()
				defer s.mu.Unlock()
				if len(s.refused) < 100 {
					s.refused = append(s.refused, err.Error())
				}
				return
			}
			s.run(wire.New(nc, s.handle, s.tap))
		})
	}
}

func (s *SBC) nameOf(cs tls.ConnectionState, want string) error {
	if len(cs.PeerCertificates) == 0 || !slices.Contains(cs.PeerCertificates[0].DNSNames, want) {
		return fmt.Errorf("certificate does not carry the name %s", want)
	}
	return nil
}

func (s *SBC) run(c *wire.Conn) {
	s.mu.Lock()
	s.conns[c] = true
	s.mu.Unlock()
	c.Run()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

func (s *SBC) handle(c *wire.Conn, req *sip.Request) {
	if req.Method == sip.OPTIONS {
		s.mu.Lock()
		s.options++
		s.mu.Unlock()
	}
	s.Agent.Handle(c, req)
}

func (s *SBC) tap(_ *wire.Conn, received bool, raw []byte) {
	if !received {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.Len()+len(raw) <= maxRecord {
		s.record.Write(raw)
		s.record.WriteByte('\n')
	}
}

// Behave changes how a number takes its calls from now on.
func (s *SBC) Behave(number string, b ua.Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers[number] = b
}

func (s *SBC) behaviour(req *sip.Request) ua.Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.subscribers[req.Recipient.User]
	if !ok {
		return ua.Behaviour{Reject: 404}
	}
	return b
}

// CallIn dials a number of the branch from a PSTN number, over the SBC's own connection to the box's trunk side.
func (s *SBC) CallIn(ctx context.Context, from, number string, o ua.DialOptions) (*ua.Call, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	o.From, o.Host = from, s.cfg.Box.Addr().String()
	return s.Agent.Dial(conn, number, o)
}

func (s *SBC) connect(ctx context.Context) (*wire.Conn, error) {
	s.mu.Lock()
	c := s.toBox
	s.mu.Unlock()
	if c != nil {
		select {
		case <-c.Done():
		default:
			return c, nil
		}
	}
	ctx, done := context.WithTimeout(ctx, handshakeWait)
	defer done()
	c, err := wire.Dial(ctx, s.cfg.Listen.Addr(), s.cfg.Box, &tls.Config{
		Certificates: []tls.Certificate{s.cfg.Certificate}, RootCAs: s.cfg.Roots, ServerName: s.cfg.BoxTLSName, MinVersion: tls.VersionTLS12,
	}, s.handle, s.tap)
	if err != nil {
		return nil, fmt.Errorf("sbc: %w", err)
	}
	s.mu.Lock()
	s.toBox = c
	s.mu.Unlock()
	s.owned.Go(func() { s.run(c) })
	return c, nil
}

// Options is the number of OPTIONS that came.
func (s *SBC) Options() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options
}

// Refused are the connections that the SBC did not take, and why.
func (s *SBC) Refused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refused)
}

// Fetch waits for the next call from the box.
func (s *SBC) Fetch(ctx context.Context) (*ua.Call, error) {
	select {
	case c := <-s.Incoming():
		return c, nil
	case <-ctx.Done():
		return nil, errors.New("sbc: no call arrived")
	}
}

// Close ends the SBC and waits for its goroutines.
func (s *SBC) Close() {
	s.mu.Lock()
	s.listener.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.Agent.Close()
	s.owned.Wait()
}
