package b2bua

import (
	"net/netip"
	"sync"
	"time"
)

// strangers bounds emergency calls of phones that nobody knows: a few at once, then one every some seconds a source. The
// zero value is ready.
type strangers struct {
	mu   sync.Mutex
	seen map[netip.Addr]stranger
}

type stranger struct {
	n  float64 // calls, leaking away
	at time.Time
}

const (
	strangerBurst = 5
	strangerEvery = 5 * time.Second
	strangersKept = 4096
)

// allow counts a call.
func (s *strangers) allow(a netip.Addr, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[netip.Addr]stranger)
	}
	x, known := s.seen[a]
	if !known && len(s.seen) >= strangersKept {
		for b, y := range s.seen {
			if now.Sub(y.at) > strangerBurst*strangerEvery {
				delete(s.seen, b)
			}
		}
		if len(s.seen) >= strangersKept {
			clear(s.seen) // an emergency call is never refused for want of memory
		}
	}
	x.n = max(0, x.n-now.Sub(x.at).Seconds()/strangerEvery.Seconds())
	x.at = now
	ok := x.n+1 <= strangerBurst
	if ok {
		x.n++
	}
	s.seen[a] = x
	return ok
}
