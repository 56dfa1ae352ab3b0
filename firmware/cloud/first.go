package cloud

import (
	"context"
	"sync"
	"time"
)

// first asks one zone for the first time. Nothing is known yet, and in an outage people wait: so many probes as make a zone down
// begin a sixteenth of an interval apart, each on a connection of its own and with its full time, without waiting for each other. With
// the usual settings a zone that swallows everything is known to be down after 2.25 seconds instead of 6, in which TCP has tried six
// times. Where a probe fails at once, such as by a refusal, the next one waits for a quarter of an interval, so that a moment does not
// decide; where it did not even leave this machine, whose network may still be coming up, for a whole one. The first answer ends it. It
// returns what asks from then on, and when the last probe began.
func (p *Prober) first(ctx context.Context, zone func() target) (keep target, begun time.Time) {
	ctx, answered := context.WithCancel(ctx)
	defer answered()
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		far time.Duration // from the last probe to the next, as it failed
	)
	for n := 0; n < p.hurried && ctx.Err() == nil; n++ {
		begun = time.Now()
		all.Go(func() {
			t := zone()
			a := p.ask(ctx, t)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.alive:
				answered()
			case a.here:
				far = p.interval
			default:
				far = p.interval / 4
			}
			if keep == nil || a.alive {
				keep, t = t, keep
			}
			if t != nil {
				t.close()
			}
		})
		if n < p.hurried-1 && pause(ctx, p.interval/16) {
			mu.Lock()
			next := begun.Add(far)
			mu.Unlock()
			pause(ctx, time.Until(next))
		}
	}
	all.Wait()
	if keep == nil {
		keep = zone() // nobody was asked any more
	}
	return keep, begun
}
