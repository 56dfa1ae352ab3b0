package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const soakUsage = `usage: bench-media soak [flags]

Lets many SRTP calls talk through the relay for long and looks whether anything grows.

  --minutes 10            how long
  --calls 200             how many calls at once
`

// sample is the relay process at one moment.
type sample struct {
	at         time.Duration
	rss        float64 // KiB
	fds        int
	threads    int
	goroutines int
}

func (s sample) String() string {
	return fmt.Sprintf("%5.0f s: RSS %.0f KiB, %d descriptors, %d threads, %d goroutines", s.at.Seconds(), s.rss, s.fds, s.threads, s.goroutines)
}

func soak(args []string) int {
	fs := flag.NewFlagSet("soak", flag.ContinueOnError)
	fs.Usage = func() { fmt.Fprint(fs.Output(), soakUsage) }
	minutes := fs.Float64("minutes", 10, "")
	calls := fs.Int("calls", 200, "")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *minutes < 0.2 || *calls < 1 || *calls > 2000 || fs.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench-media: at least 0.2 minutes, 1 to 2000 calls\n\n%s", soakUsage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verdict, ok, err := soakFor(ctx, time.Duration(*minutes*float64(time.Minute)), *calls)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-media: soak:", err)
		return 1
	}
	fmt.Println(verdict)
	if !ok {
		return 1
	}
	return 0
}

func soakFor(ctx context.Context, length time.Duration, calls int) (verdict string, ok bool, err error) {
	load, err := startChild(ctx, "load")
	if err != nil {
		return "", false, err
	}
	defer load.stop()
	var sockets []netip.AddrPort
	if err := load.tell.Decode(&sockets); err != nil {
		return "", false, err
	}
	list := newCalls(calls, "reencrypt", sockets)
	ours, err := startChild(ctx, "relay")
	if err != nil {
		return "", false, err
	}
	defer ours.stop()
	if list, _, err = ours.place(order{Calls: list}); err != nil {
		return "", false, err
	}
	if err := load.ask.Encode(task{Calls: list, Seconds: int(length.Seconds()), Live: true}); err != nil {
		return "", false, err
	}
	if err := load.expect("start"); err != nil {
		return "", false, err
	}
	samples, err := watch(ctx, ours, length)
	if err != nil {
		return "", false, err
	}
	if err := load.expect("stop"); err != nil {
		return "", false, err
	}
	var h heard
	if err := load.tell.Decode(&h); err != nil {
		return "", false, err
	}
	// The first quarter may still be settling in.
	first, last := samples[len(samples)/4], samples[len(samples)-1]
	grown := last.rss - first.rss
	ok = grown < 0.05*first.rss && last.fds == first.fds && last.threads <= first.threads+1 && last.goroutines == first.goroutines && h.Loss <= 1e-5 && h.Bad == 0
	word := "PASS"
	if !ok {
		word = "FAIL"
	}
	return fmt.Sprintf("soak: %s minutes=%.1f calls=%d packets=%d loss=%.6f p99=%.0fµs rss=%+.0fKiB(of %.0f) descriptors=%+d threads=%+d goroutines=%+d",
		word, length.Minutes(), calls, h.Received, h.Loss, h.P99, grown, first.rss, last.fds-first.fds, last.threads-first.threads, last.goroutines-first.goroutines), ok, nil
}

// watch samples the relay for nearly as long as the phones talk.
func watch(ctx context.Context, c *child, length time.Duration) ([]sample, error) {
	step := max(length/60, time.Second)
	tick := time.NewTicker(step)
	defer tick.Stop()
	var samples []sample
	for start := time.Now(); time.Since(start) < length-2*step; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		s := sample{at: time.Since(start), rss: memoryOf(c.cmd.Process.Pid).rss}
		s.fds, s.threads = count(c, "fd"), count(c, "task")
		if err := c.ask.Encode("state"); err != nil {
			return nil, err
		}
		if err := c.tell.Decode(&s.goroutines); err != nil {
			return nil, err
		}
		samples = append(samples, s)
		if len(samples)%6 == 1 {
			fmt.Fprintln(os.Stderr, s)
		}
	}
	if len(samples) < 4 {
		return nil, fmt.Errorf("only %d samples", len(samples))
	}
	return samples, nil
}

func count(c *child, what string) int {
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(c.cmd.Process.Pid), what))
	if err != nil {
		return -1
	}
	return len(list)
}

// state is what the relay process tells of itself.
func state() int { return runtime.NumGoroutine() }
