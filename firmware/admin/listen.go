package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	listenAgain = 10 * time.Second // the pause after an address was not to be had
	followEvery = 2 * time.Second  // how often Options.More is asked
)

// listen serves at one address until ctx ends. One that is not there, or not yet, keeps nobody from the others.
func (s *Server) listen(ctx context.Context, srv *http.Server, doors *doors, at netip.AddrPort) {
	said := ""
	for ctx.Err() == nil {
		l, err := doors.listen(at)
		if err == nil {
			s.log.Info("the admin page is there", "address", "https://"+at.String())
			said = ""
			stop := context.AfterFunc(ctx, func() { l.Close() })
			err = srv.ServeTLS(l, "", "")
			stop()
			if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
				return
			}
		}
		if text := err.Error(); text != said {
			s.log.Error("the admin page is not there; it is tried again", "address", at.String(), "err", err)
			said = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

// follow serves at each address that Options.More names for as long as it does, until ctx ends. Who is connected to one that is
// named no more stays until the address itself goes.
func (s *Server) follow(ctx context.Context, srv *http.Server, doors *doors) {
	var all sync.WaitGroup
	defer all.Wait()
	open := make(map[netip.AddrPort]context.CancelFunc)
	for {
		named := s.o.More()
		for at, leave := range open {
			if !slices.Contains(named, at) {
				s.log.Info("the admin page leaves an address", "address", at.String())
				leave()
				delete(open, at)
			}
		}
		for _, at := range named {
			if open[at] != nil || slices.Contains(s.o.Listen, at) {
				continue
			}
			one, leave := context.WithCancel(ctx)
			open[at] = leave
			all.Go(func() { s.listen(one, srv, doors, at) })
		}
		select {
		case <-ctx.Done():
			for _, leave := range open {
				leave()
			}
			return
		case <-time.After(followEvery):
		}
	}
}
