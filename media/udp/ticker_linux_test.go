package udp

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

const period = 5 * time.Millisecond

// countdown is a Ticker that has something to do so many times, at a pace.
type countdown struct {
	left   atomic.Int64
	ticks  atomic.Int64
	latest atomic.Int64
}

func (c *countdown) Tick(now time.Duration) time.Duration {
	c.ticks.Add(1)
	c.latest.Store(int64(now))
	if c.left.Add(-1) > 0 {
		return now + period
	}
	return 0
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
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	for range 3 {
		before, began := c.ticks.Load(), time.Since(l.start)
		c.left.Store(10)
		l.StartTicks()
		wait("ten ticks", func() bool { return c.left.Load() <= 0 })
		if took := time.Duration(c.latest.Load()) - began; took < 9*period {
			t.Errorf("ten ticks within %v", took)
		}
		l.StartTicks() // settles what the loop did last
		wait("another", func() bool { return c.left.Load() < 0 })
		if n := c.ticks.Load() - before; n != 11 {
			t.Errorf("%d ticks", n)
		}
	}
	// Work that is published while the ticks come to their end is not forgotten.
	for range 2000 {
		c.left.Store(1)
		l.StartTicks()
		for c.left.Load() > 0 {
			if time.Duration(c.latest.Load())+5*time.Second < time.Since(l.start) {
				t.Fatal("never: a tick")
			}
		}
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
	if n := testing.AllocsPerRun(100, func() { l.tick(time.Since(l.start)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
