package cloud

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/mode"
)

// probed is a target whose answers are told: how long each takes, and whether it is one.
type probed struct {
	mu   sync.Mutex
	plan []string // by number of the probe; the last one goes on
	open map[*one]bool
}

type one struct{ of *probed }

func (o *one) name() (string, mode.Kind) { return "east", mode.SIP }

func (o *one) close() {
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	delete(o.of.open, o)
}

func (o *one) ask(ctx context.Context) answer {
	o.of.mu.Lock()
	what := o.of.plan[0]
	if len(o.of.plan) > 1 {
		o.of.plan = o.of.plan[1:]
	}
	o.of.open[o] = true
	o.of.mu.Unlock()
	word, after, _ := strings.Cut(what, "@")
	d, err := time.ParseDuration(after)
	if err != nil {
		panic(err)
	}
	if !pause(ctx, d) {
		return answer{detail: "no answer in time"}
	}
	return answer{alive: word == "yes", detail: word, here: word == "here"}
}

// TestStart: the first probes of a zone overlap, and everything after them has the usual rhythm.
func TestStart(t *testing.T) {
	for name, c := range map[string]struct {
		plan string
		want string // what was reported in 7.9 s: second:outcome, by the time of the report; and of the machine
	}{
		"swallows everything": {"no@1h", "2:- 2.125:- 2.25:- down 4.25:- 6.25:-"},
		"refuses":             {"no@0s", "0:- 0.5:- 1:- down 3:- 5:- 7:-"},
		"answers":             {"yes@10ms", "0.01:+ 2.01:+ 4.01:+ 6.01:+"},
		"answers late":        {"yes@1.9s yes@10ms", "0.135:+ 2.135:+ 4.135:+ 6.135:+"},
		"one is lost":         {"no@1h yes@100ms", "0.225:+ 2.225:+ 4.225:+ 6.225:+"},
		"two are refused":     {"no@0s no@0s yes@50ms", "0:- 0.5:- 1.05:+ 3.05:+ 5.05:+ 7.05:+"},
		"no way out":          {"here@0s", "0:- 2:- 4:- down 6:-"},
		"no way out yet":      {"here@10ms yes@10ms", "0.01:- 2.01:+ 4.01:+ 6.01:+"},
		"then no cloud":       {"here@0s no@0s", "0:- 2:- 2.5:- down 4.5:- 6.5:-"},
		"the last is slow":    {"no@1h no@1h yes@1.7s yes@0s", "1.95:+ 2.25:+ 4.25:+ 6.25:+"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone := &probed{plan: strings.Fields(c.plan), open: make(map[*one]bool)}
				began := time.Now()
				m, err := mode.New(mode.Settings{Zones: []string{"east"}, Missed: 3, HoldOff: time.Minute}, began)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				report := func(p mode.Probe) {
					sign := "-"
					if p.Alive {
						sign = "+"
					}
					got = append(got, fmt.Sprintf("%g:%s", time.Since(began).Seconds(), sign))
					for range m.Probe(time.Now(), p) {
						got = append(got, "down")
					}
				}
				p := newProber(config.Cloud{Interval: 2 * time.Second, Timeout: 2 * time.Second, Missed: 3}, nil, report, slog.New(slog.DiscardHandler), nil)
				p.zones = []func() target{func() target { return &one{zone} }}
				ctx, stop := context.WithTimeout(t.Context(), 7900*time.Millisecond)
				defer stop()
				p.Run(ctx)
				if all := strings.Join(got, " "); all != c.want {
					t.Errorf("\ngot  %s\nwant %s", all, c.want)
				}
				if len(zone.open) != 0 {
					t.Errorf("%d connections are left", len(zone.open))
				}
			})
		})
	}
}

// TestNeverLeft: what says more of this machine than of the cloud.
func TestNeverLeft(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("dial: %w", &net.OpError{Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}), true},
		{&net.OpError{Err: os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)}, true},
		{&net.OpError{Err: &net.DNSError{Err: "no such host"}}, true},
		{&net.OpError{Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false},
		{&net.OpError{Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, false}, // the LAN is there, and the router is not
		{context.DeadlineExceeded, false},
	} {
		if got := neverLeft(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
