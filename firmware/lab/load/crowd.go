package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// crowd is all phones.
type crowd struct{ phones []*phone }

func newCrowd(n int, t *target) *crowd {
	c := &crowd{phones: make([]*phone, n)}
	for i := range c.phones {
		c.phones[i] = newPhone(i, t)
	}
	return c
}

// rush is what came of many doing the same at once.
type rush struct {
	Took   time.Duration
	Failed int
	Why    string // one failure
}

// all has every phone do something, so many at a time.
func (c *crowd) all(ctx context.Context, atOnce int, do func(context.Context, *phone) error) rush {
	var next, failed atomic.Int64
	var why atomic.Pointer[string]
	var wg sync.WaitGroup
	began := time.Now()
	for range atOnce {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.phones) {
					return
				}
				if err := do(ctx, c.phones[i]); err != nil {
					failed.Add(1)
					text := err.Error()
					why.Store(&text)
				}
			}
		})
	}
	wg.Wait()
	r := rush{Took: time.Since(began), Failed: int(failed.Load())}
	if w := why.Load(); w != nil {
		r.Why = *w
	}
	return r
}

// cut ends all connections at the same time.
func (c *crowd) cut() {
	c.all(context.Background(), 64, func(_ context.Context, p *phone) error {
		p.cut()
		return nil
	})
}
