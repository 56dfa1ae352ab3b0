package update

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Sentry reads both slots back, again and again, so slowly that calls do not feel it: a worn card loses bits in places that are not read until
// they are needed. It tells what it finds in Card.Status, and mends nothing.
type Sentry struct {
	Card         *Card
	Log          *slog.Logger
	After, Every time.Duration // the first look after the start; from one look's end to the next
	Rate         int           // bytes a second
}

// Defaults of a Sentry: both slots of a board take less than a minute.
const (
	SentryAfter = 5 * time.Minute
	SentryEvery = 24 * time.Hour
	SentryRate  = 2 << 20
)

// againAfter is how long a look that an update was in the way of waits.
const againAfter = time.Minute

// Run looks until ctx ends. Its thread is the machine's last, for the card and for the processor.
func (s *Sentry) Run(ctx context.Context) error {
	runtime.LockOSThread() // for good: the thread ends with this goroutine
	last()
	wait := time.NewTimer(s.After)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.Card.doubt:
		case <-wait.C:
		}
		next := s.Every
		if !s.look(ctx) {
			next = againAfter
		}
		wait.Reset(next)
	}
}

// last makes the thread the last one; that the kernel does not is no fault.
func last() {
	const (
		who  = 1       // IOPRIO_WHO_PROCESS, of a thread; 0: this one
		idle = 3 << 13 // IOPRIO_CLASS_IDLE
	)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, who, 0, idle)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
}

// look reads both slots, the one that runs first; false: an update was in the way.
func (s *Sentry) look(ctx context.Context) bool {
	for _, slot := range []Slot{s.Card.Running, s.Card.Running.Other()} {
		before, word := s.Card.health.now()
		if s.Card.Status().Writing {
			return false
		}
		now := s.Card.examine(ctx, slot, s.pace)
		switch {
		case ctx.Err() != nil:
			return true
		case !s.Card.health.found(slot, now, word):
			return false
		case now.Verdict == Damaged:
			s.Log.Error("updater: a slot is damaged", "slot", slot.String(), "why", now.Why)
		case now.Verdict != before.Of(slot).Verdict:
			s.Log.Info("updater: a slot was read back", "slot", slot.String(), "verdict", string(now.Verdict), "why", now.Why)
		}
	}
	return true
}

// pace waits as long as so many bytes may take.
func (s *Sentry) pace(ctx context.Context, n int) error {
	wait := time.NewTimer(time.Duration(n) * time.Second / time.Duration(s.Rate))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}

// examine reads a slot. What looks damaged is read a second time, which costs seconds; a new card costs more.
func (c *Card) examine(ctx context.Context, s Slot, pace func(context.Context, int) error) (h Health) {
	for range 2 {
		err := c.checkRoot(ctx, s, pace)
		var damage unsound
		if !errors.As(err, &damage) {
			err = errors.Join(err, c.checkBoot(ctx, s, pace))
		}
		h = Health{Verdict: Whole, At: time.Now()}
		switch {
		case errors.As(err, &damage):
			h.Verdict, h.Why = Damaged, string(damage)
			continue
		case err != nil:
			h.Verdict, h.Why = Unchecked, err.Error()
		}
		return h
	}
	return h
}
