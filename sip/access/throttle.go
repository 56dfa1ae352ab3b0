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
	level float64 // failures, leaking away
	count int     // since it was last calm
	at    time.Time
}

const (
	failuresFree = 10              // answered at once
	failureLeak  = 6 * time.Second // one is forgotten in this time
	failuresHeld = 4096            // sources remembered
	failureStep  = 200 * time.Millisecond
	failuresMost = failuresFree + 15 // counted: the longest delay is 15 steps, and forgotten in two minutes and a half
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
	f.level = max(0, f.level-now.Sub(f.at).Seconds()/failureLeak.Seconds())
	if f.level == 0 {
		f.count = 0
	}
	f.level, f.count, f.at = min(failuresMost, f.level+1), f.count+1, now
	loud = f.count <= failuresFree || f.count%100 == 0
	return time.Duration(max(0, f.level-failuresFree) * float64(failureStep)), loud
}

// sweep forgets who has calmed down; if nobody has, everybody (a flood from thousands of addresses is not slowed by
// their memory).
func (t *throttle) sweep(now time.Time) {
	for a, f := range t.sources {
		if now.Sub(f.at) > failureLeak*failuresMost {
			delete(t.sources, a)
		}
	}
	if len(t.sources) >= failuresHeld {
		clear(t.sources)
	}
}
