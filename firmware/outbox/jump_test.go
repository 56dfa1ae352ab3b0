package outbox

import (
	"sync/atomic"
	"testing"
	"time"
)

// TestClockJumps: what was written before the clock jumped is as young afterwards as it is, also after a restart; time that
// passes ages it.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"from the past": 3 * 365 * 24 * time.Hour, "into the past": -3 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			var passed, ahead atomic.Int64 // nanoseconds; Run reads them, too
			begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			d := newFakeDisk(1)
			o := Options{SegmentBytes: 500, MaxBytes: 5000, MaxAge: 24 * time.Hour,
				Now: func() time.Time { return begun.Add(time.Duration(passed.Load() + ahead.Load())) }, Elapsed: func() time.Duration { return time.Duration(passed.Load()) }}
			put := func(b *Box) {
				t.Helper()
				if _, err := b.Append(t.Context(), "call", make([]byte, 300)); err != nil {
					t.Fatal(err)
				}
			}
			b, stop := started(t, d, o)
			put(b)
			put(b)
			stop()
			b, stop = started(t, d, o)
			stop()
			if s := b.Stats(); s.Pending != 2 {
				t.Fatalf("before: %+v", s)
			}
			b, stop = started(t, d, o)
			ahead.Add(int64(jump))
			put(b)
			if s := b.Stats(); s.Pending != 3 || s.Expired != 0 {
				t.Errorf("after the jump: %+v", s)
			}
			stop()
			for range 2 {
				b, stop = started(t, d, o)
				stop()
				if s := b.Stats(); s.Pending != 3 || s.Expired != 0 || s.Corrupt != 0 {
					t.Errorf("after a restart: %+v", s)
				}
			}
			ahead.Add(int64(-2 * jump)) // while it was off: nobody saw it
			b, stop = started(t, d, o)
			put(b)
			stop()
			b, stop = started(t, d, o)
			stop()
			if s := b.Stats(); s.Pending != 4 || s.Expired != 0 {
				t.Errorf("after a jump while it was off: %+v", s)
			}
			passed.Add(int64(48 * time.Hour))
			b, stop = started(t, d, o)
			stop()
			if s := b.Stats(); s.Pending != 0 {
				t.Errorf("after two days: %+v", s)
			}
		})
	}
}
