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
// times, and one that refuses after half a second. A probe that does not even leave this machine says more of the machine, whose
// network may still be coming up: the next one has the usual distance. The first answer ends it. It returns what asks from then on,
// and when the last probe began.
func (p *Prober) first(ctx context.Context, zone func() target) (keep target, begun time.Time) {
	ctx, answered := context.WithCancel(ctx)
	defer answered()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		own bool // the last one did not leave this machine
	)
	next := time.NewTicker(p.interval / hurry)
	defer next.Stop()
	for n := 0; n < p.hurried && ctx.Err() == nil; n++ {
		begun = time.Now()
		all.Go(func() {
			t := zone()
			a := p.ask(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			own = a.here
			if a.alive {
				answered()
			}
			if keep == nil || a.alive {
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
			mu.Lock()
			slow := own
			mu.Unlock()
			if slow {
				pause(ctx, time.Until(begun.Add(p.interval)))
				next.Reset(p.interval / hurry)
			}
		}
	}
	all.Wait()
	if keep == nil {
		keep = zone() // nobody was asked any more
	}
	return keep, begun
}
