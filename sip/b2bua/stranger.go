package b2bua

import (
	"net/netip"
	"sync"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// strangers bounds emergency calls of phones that nobody knows: a few at once, then one every some seconds, of one connection and
// of one address, behind which there may be a whole floor. The zero value is ready.
type strangers struct {
	mu   sync.Mutex
	seen map[origin]stranger
}

// origin is a connection or a gateway's line, or with neither an address.
type origin struct {
	addr netip.Addr
	flow uint64
	line string
}

// originOf is a phone's connection. A gateway without TLS has none for each of its lines: there it is the user of the site that the
// request claims to be from, so that one line that calls again and again leaves the others their calls.
func originOf(tx *stack.ServerTx, st *site.Site) origin {
	o := origin{addr: tx.Conn().Remote().Addr()}
	name := tx.Request().From().Address.User
	switch u, ok := st.UserByUsername(name); {
	case tx.Conn().Over() == stack.TLS:
		o.flow = tx.Conn().Flow()
	case ok:
		o.line = u.ID
	default:
		if u, ok = st.Lookup(name); ok {
			o.line = u.ID
		}
	}
	return o
}

type stranger struct {
	n  float64 // calls, leaking away
	at time.Time
}

const (
	strangerBurst = 5  // calls of one connection
	sourceBurst   = 20 // of one address
	strangerEvery = 5 * time.Second
	strangersKept = 4096
)

// allow counts a call.
func (s *strangers) allow(one origin, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(now)
	all := origin{addr: one.addr}
	x, y := s.leaked(one, now), s.leaked(all, now)
	ok := (one == all || x.n+1 <= strangerBurst) && y.n+1 <= sourceBurst
	if ok {
		x.n++
		y.n++
	}
	s.seen[one], s.seen[all] = x, y
	return ok
}

func (s *strangers) leaked(o origin, now time.Time) stranger {
	x := s.seen[o]
	return stranger{max(0, x.n-now.Sub(x.at).Seconds()/strangerEvery.Seconds()), now}
}

// makeRoom forgets those who have not called for long; an emergency call is never refused for want of memory.
func (s *strangers) makeRoom(now time.Time) {
	if len(s.seen) < strangersKept-1 && s.seen != nil {
		return
	}
	for o, x := range s.seen {
		if now.Sub(x.at) > sourceBurst*strangerEvery {
			delete(s.seen, o)
		}
	}
	if len(s.seen) >= strangersKept-1 || s.seen == nil {
		s.seen = make(map[origin]stranger)
	}
}
