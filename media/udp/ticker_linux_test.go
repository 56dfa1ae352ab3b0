package udp

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// countdown is a Ticker that has something to do so many times.
type countdown struct {
	left   atomic.Int64
	ticks  atomic.Int64
	latest atomic.Int64
}

func (c *countdown) Tick(now time.Duration) bool {
	c.ticks.Add(1)
	c.latest.Store(int64(now))
	return c.left.Add(-1) > 0
}

func TestTicksRunOnlyWhileNeeded(t *testing.T) {
	l, err := NewLoop(time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	l.StartTicks() // nobody is there yet: nothing happens
	c := &countdown{}
	if err := l.SetTicker(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	stopped := func() bool {
		l.ticks.mu.Lock()
		defer l.ticks.mu.Unlock()
		return !l.ticks.on
	}
	for range 3 {
		before, began := c.ticks.Load(), time.Since(l.start)
		c.left.Store(10)
		l.StartTicks()
		l.StartTicks()
		wait("ten ticks", func() bool { return c.left.Load() <= 0 })
		wait("a stop", stopped)
		if took := time.Duration(c.latest.Load()) - began; took < 9*TickPeriod {
			t.Errorf("ten ticks within %v", took)
		}
		if n := c.ticks.Load() - before; n != 11 { // the last one is looked at twice
			t.Errorf("%d ticks", n)
		}
	}
	// Work that is published while the ticks are being stopped is not forgotten.
	for range 200 {
		c.left.Store(1)
		l.StartTicks()
		wait("a tick", func() bool { return c.left.Load() <= 0 })
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.Close()
	l.StartTicks() // too late, and harmless
}

func TestTickAllocatesNothing(t *testing.T) {
	l, err := NewLoop(time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &countdown{}
	c.left.Store(1 << 40)
	if err := l.SetTicker(c); err != nil {
		t.Fatal(err)
	}
	l.StartTicks()
	if n := testing.AllocsPerRun(5, func() {
		time.Sleep(TickPeriod + time.Millisecond) // the timer must have run out, or there is nothing to read
		l.tick(time.Since(l.start))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if c.ticks.Load() != 6 {
		t.Errorf("%d ticks", c.ticks.Load())
	}
}
