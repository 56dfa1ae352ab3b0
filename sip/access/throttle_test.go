package access

import (
	"net/netip"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestThrottleSlowsDown(t *testing.T) {
	var th throttle
	a := address(1)
	last := time.Duration(0)
	for n := 1; n <= 40; n++ {
		wait, loud := th.fail(a, epoch)
		switch {
		case n <= failuresFree && (wait != 0 || !loud):
			t.Errorf("failure %d: wait %v, loud %v", n, wait, loud)
		case n > failuresFree && n <= failuresMost && wait <= last:
			t.Errorf("failure %d waits %v after %v: no growth", n, wait, last)
		case n > failuresMost && wait != 3*time.Second:
			t.Errorf("failure %d waits %v, want the most", n, wait)
		case n > failuresFree && loud:
			t.Errorf("failure %d floods the log", n)
		}
		last = wait
	}
	if wait, loud := th.fail(address(2), epoch); wait != 0 || !loud {
		t.Errorf("another source: wait %v, loud %v", wait, loud)
	}
}

func TestThrottleForgets(t *testing.T) {
	flood := func() *throttle {
		th := new(throttle)
		for range 100_000 {
			th.fail(address(1), epoch)
		}
		return th
	}
	for name, c := range map[string]struct {
		calm time.Duration
		want time.Duration
	}{
		"at once":              {0, 3 * time.Second},
		"one is forgotten":     {failureLeak, 3 * time.Second},
		"two are forgotten":    {2 * failureLeak, 2800 * time.Millisecond},
		"down to what is due":  {15 * failureLeak, failureStep},
		"down to what is free": {16 * failureLeak, 0},
		"a day":                {24 * time.Hour, 0},
	} {
		if wait, _ := flood().fail(address(1), epoch.Add(c.calm)); wait.Round(time.Millisecond) != c.want {
			t.Errorf("%s: waits %v, want %v", name, wait, c.want)
		}
	}
	if _, loud := flood().fail(address(1), epoch.Add(time.Hour)); !loud {
		t.Error("a failure after an hour's calm is not logged")
	}
}

func TestThrottleLogsSomeOfAFlood(t *testing.T) {
	var th throttle
	lines := 0
	for range 1000 {
		if _, loud := th.fail(address(1), epoch); loud {
			lines++
		}
	}
	if lines != failuresFree+10 {
		t.Errorf("%d lines for 1000 failures", lines)
	}
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	var th throttle
	for n := range 3 * failuresHeld {
		th.fail(address(n), epoch)
		if len(th.sources) > failuresHeld {
			t.Fatalf("%d sources kept", len(th.sources))
		}
	}
	// Who has calmed down makes room; who has not stays slow.
	th = throttle{}
	for n := range failuresHeld - 1 {
		th.fail(address(n), epoch)
	}
	now := epoch.Add(time.Hour)
	bad := address(1 << 20)
	for range failuresMost {
		th.fail(bad, now)
	}
	th.fail(address(1<<20+1), now)
	if wait, _ := th.fail(bad, now); wait != 3*time.Second || len(th.sources) != 2 {
		t.Errorf("wait %v, %d sources", wait, len(th.sources))
	}
}
