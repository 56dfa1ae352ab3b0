// Package admin is the box's own page: what a person sees of the box from a browser before, during and after an outage,
// and the JSON API under the same login. It shows and asks; what an order means, and the state itself, are firmware/box's.
//
// A page is rendered by the server, and so is every change of it: parts of pages are rendered once a second for all who
// look at them, and only what has changed is sent (live.go). So there is one place that knows how things look, and text
// from the network (a phone's name, its User-Agent) is always escaped by html/template.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/doctor"
)

// Options of a Server.
type Options struct {
	Name        string // of the box, which everybody may know
	Listen      []netip.AddrPort
	More        func() []netip.AddrPort // addresses that come and go, asked again and again; nil: none
	Certificate func() *tls.Certificate // asked for with each connection
	Accounts    *account.Store
	Box         Box
	Tracer      Tracer                                 // nil: none
	Updater     Updater                                // nil: none
	Reports     Reports                                // nil: none
	Examine     func(context.Context) []doctor.Finding // looks at everything that the box needs, outside too; nil: nobody does
	Log         *slog.Logger
	Tail        *Tail // of the box's log; nil: not shown
	Now         func() time.Time
}

// Server is the page and the API.
type Server struct {
	o        Options
	log      *slog.Logger
	now      func() time.Time
	pages    *pages
	sessions *sessions
	guesses  *guesses
	uses     *uses
	history  *history
	live     *live
	update   update
	checkup  checkup
	shelf    shelf
	handler  http.Handler
}

// New prepares a server; it listens in Run.
func New(o Options) (*Server, error) {
	if o.Box == nil || o.Accounts == nil || o.Certificate == nil {
		return nil, errors.New("admin: no box, accounts or certificate")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o, log: o.Log, now: o.Now, sessions: newSessions(o.Now), guesses: newGuesses(o.Now), uses: newUses(o.Now), history: newHistory()}
	var err error
	if s.pages, err = newPages(); err != nil {
		return nil, err
	}
	s.live = newLive(s)
	s.handler = s.guard(s.routes())
	return s, nil
}

// Limits of a connection. Handlers that take longer (live pages, uploads) set their own.
const (
	headerWithin = 5 * time.Second
	bodyWithin   = 20 * time.Second
	answerWithin = 30 * time.Second
	idleFor      = 2 * time.Minute
	maxHeader    = 16 << 10
)

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerWithin, ReadTimeout: bodyWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
		MaxHeaderBytes: maxHeader, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 32},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.o.Certificate(), nil }},
	}
	doors := newDoors()
	for _, at := range s.o.Listen {
		group.Go(func() error { s.listen(ctx, srv, doors, at); return nil })
	}
	if s.o.More != nil {
		group.Go(func() error { s.follow(ctx, srv, doors); return nil })
	}
	group.Go(func() error { s.live.run(ctx); return nil })
	group.Go(func() error { s.sample(ctx); return nil })
	group.Go(func() error { <-ctx.Done(); srv.Close(); return nil }) // it tells only of listeners that are closed already
	return group.Wait()
}

// Handler answers requests; for tests that need no connection.
func (s *Server) Handler() http.Handler { return s.handler }
