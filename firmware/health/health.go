// Package health is the gate that decides whether the box's program is alive: a few probes of its own parts, each of which
// has to succeed again and again. What hangs on the gate (the watchdog's food, a new slot's confirmation, a light) is
// the business of firmware/box, and so is what the probes do.
package health

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Check is one probe.
type Check struct {
	Name  string
	Every time.Duration // from one probe's end to the next; also the time that a probe gets by its context
	Stale time.Duration // without a success for so long the check fails
	Probe func(context.Context) error
}

// Gate holds while every check does. It is safe for concurrent use.
type Gate struct {
	now    func() time.Time
	checks []*check
	mu     sync.Mutex
	held   time.Time // since when all hold, after each has succeeded once; zero: they do not
}

type check struct {
	Check
	ok   time.Time // the last success; before the first, the gate's beginning
	ever bool      // there has been one
	err  error     // of the last probe
}

// endWithin is how long the end waits for probes: one that hangs (a dead card) does not hold it up.
const endWithin = 2 * time.Second

// New makes a gate; now is the clock. Until a check has gone stale for the first time it gets the benefit of the doubt.
func New(now func() time.Time, checks ...Check) *Gate {
	g := &Gate{now: now}
	for _, c := range checks {
		g.checks = append(g.checks, &check{Check: c, ok: now()})
	}
	return g
}

// Run probes until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	for _, c := range g.checks {
		probes.Go(func() {
			for ctx.Err() == nil {
				g.probe(ctx, c)
				select {
				case <-time.After(c.Every):
				case <-ctx.Done():
				}
			}
		})
	}
	<-ctx.Done()
	ended := make(chan struct{})
	go func() { probes.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(endWithin):
	}
	return nil
}

func (g *Gate) probe(ctx context.Context, c *check) {
	within, cancel := context.WithTimeout(ctx, c.Every)
	defer cancel()
	err := c.Probe(within)
	if ctx.Err() != nil {
		return // it says nothing about the part
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle() // what was before the news
	if c.err = err; err == nil {
		c.ok, c.ever = g.now(), true
	}
	g.settle()
}

// Fault is a check that fails.
type Fault struct {
	Name  string
	Since time.Time // its last success
	Err   error     // nil: the probe hangs
}

// String is the fault for people.
func (f Fault) String() string {
	if f.Err == nil {
		return f.Name + " does not answer"
	}
	return fmt.Sprintf("%s: %v", f.Name, f.Err)
}

// Faults are the checks that fail now; none means that the gate holds.
func (g *Gate) Faults() []Fault {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settle()
}

// Held is how long the gate has held without a gap, with every check proven; 0 when it does not.
func (g *Gate) Held() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.settle(); g.held.IsZero() {
		return 0
	}
	return g.now().Sub(g.held)
}

// settle looks what has gone stale.
func (g *Gate) settle() (faults []Fault) {
	now, proven := g.now(), true
	for _, c := range g.checks {
		proven = proven && c.ever
		if now.Sub(c.ok) >= c.Stale {
			faults = append(faults, Fault{c.Name, c.ok, c.err})
		}
	}
	switch {
	case len(faults) > 0 || !proven:
		g.held = time.Time{}
	case g.held.IsZero():
		g.held = now
	}
	return faults
}
