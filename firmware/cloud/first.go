package cloud

import (
	"context"
	"sync"
	"time"
)

// hurry is how many probes begin in an interval at the start.
const hurry = 8

// first asks one zone for the first time. Nothing is known yet, and in an outage people wait: so many probes as make a zone down
// begin an eighth of an interval apart, each on a connection of its own and with its full time, without waiting for each other. With
// the usual settings a zone that swallows everything is known to be down after 2.5 seconds instead of 6, in which TCP has tried six
// times, and one that refuses after half a second. The first answer ends it. It returns what asks from then
// on, and when the last probe began.
func (p *Prober) first(ctx context.Context, zone func() target) (keep target, begun time.Time) {
	ctx, answered := context.WithCancel(ctx)
	defer answered()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	next := time.NewTicker(p.interval / hurry)
	defer next.Stop()
	for n := 0; n < p.hurried && ctx.Err() == nil; n++ {
		begun = time.Now()
		all.Go(func() {
			t := zone()
			alive := p.ask(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			if alive {
				answered()
			}
			if keep == nil || alive {
				keep, t = t, keep
			}
			if t != nil {
				t.close()
			}
		})
		if n < p.hurried-1 {
			select {
			case <-next.C:
			case <-ctx.Done():
			}
		}
	}
	all.Wait()
	if keep == nil {
		keep = zone() // nobody was asked any more
	}
	return keep, begun
}
