package access

import (
	"net/netip"
	"sync"
	"time"
)

// throttle slows a source down that fails to authenticate again and again. It never slows anybody else, and it locks
// no user out. The zero value is ready.
type throttle struct {
	mu      sync.Mutex
	sources map[netip.Addr]*failing
}

type failing struct {
	n  float64 // failures, leaking away
	at time.Time
}

const (
	failuresFree   = 10              // answered at once
	failureLeak    = 6 * time.Second // one is forgotten in this time
	failuresHeld   = 4096            // sources remembered
	failurePenalty = 3 * time.Second // the longest delay
)

// fail counts a failure: how long its answer is held back, and whether it is worth a log line.
func (t *throttle) fail(a netip.Addr, now time.Time) (wait time.Duration, loud bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sources == nil {
		t.sources = make(map[netip.Addr]*failing)
	}
	f := t.sources[a]
	if f == nil {
		if len(t.sources) >= failuresHeld {
			t.sweep(now)
		}
		f = &failing{at: now}
		t.sources[a] = f
	}
	f.n = max(0, f.n-now.Sub(f.at).Seconds()/failureLeak.Seconds()) + 1
	f.at = now
	if f.n <= failuresFree {
		return 0, true
	}
	return min(failurePenalty, time.Duration((f.n-failuresFree)*float64(200*time.Millisecond))), int(f.n)%100 == 0
}

// sweep forgets who has calmed down; if nobody has, everybody (a flood from thousands of addresses is not slowed by
// their memory).
func (t *throttle) sweep(now time.Time) {
	for a, f := range t.sources {
		if now.Sub(f.at) > failureLeak*failuresFree {
			delete(t.sources, a)
		}
	}
	if len(t.sources) >= failuresHeld {
		clear(t.sources)
	}
}
