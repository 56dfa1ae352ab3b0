package load

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"holdfast/firmware/lab/ca"
)

// Options of a comparison.
type Options struct {
	Box     string // the holdfast program
	Phones  int
	Rounds  int
	Rate    int  // calls a second
	Highest bool // look for the highest rate in the last round
	Only    string
	Out     io.Writer
}

// figures of one server in one round; times are processor time of all its processes.
type figures struct {
	Register, Return, Refresh, Call time.Duration // each
	Storm, Back                     rush
	PhoneBytes                      int
	Calls                           calls
}

const (
	atOnce   = 256 // phones that connect at the same time
	settling = 8 * time.Second
)

// Compare measures both servers in alternating rounds and returns Holdfast's part of Kamailio's cost. It is an error when
// a phone failed at Holdfast.
func Compare(ctx context.Context, o Options) error {
	authority, err := ca.New("bench-sip")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-sip-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all := map[string][]figures{}
	faults := 0
	for round := range o.Rounds {
		for _, which := range []string{"kamailio", "holdfast"} {
			if o.Only != "" && which != o.Only {
				continue
			}
			run := filepath.Join(dir, fmt.Sprintf("%s-%d", which, round))
			if err := os.Mkdir(run, 0o700); err != nil {
				return err
			}
			var s *server
			if which == "kamailio" {
				s, err = startKamailio(ctx, run, authority)
			} else {
				s, err = startHoldfast(ctx, o.Box, run, o.Phones, authority)
			}
			if err != nil {
				return err
			}
			f := measure(ctx, s, o, round == o.Rounds-1)
			s.stop()
			all[which] = append(all[which], f)
			if which == "holdfast" {
				faults += f.Storm.Failed + f.Back.Failed + f.Calls.Failed
			}
			fmt.Fprintf(o.Out, "round %d %-8s  registration %.3f ms, after a cut %.3f ms, refresh %.3f ms, %.1f kB a phone; %d phones in %.1f s (%d failed %s), back in %.1f s (%d failed %s); call %.3f ms at %d/s, setup p50 %v p99 %v (%d failed %s)\n",
				round+1, which, ms(f.Register), ms(f.Return), ms(f.Refresh), float64(f.PhoneBytes)/1000, o.Phones, f.Storm.Took.Seconds(), f.Storm.Failed, f.Storm.Why,
				f.Back.Took.Seconds(), f.Back.Failed, f.Back.Why, ms(f.Call), f.Calls.Rate, f.Calls.P50.Round(100*time.Microsecond), f.Calls.P99.Round(100*time.Microsecond), f.Calls.Failed, f.Calls.Why)
		}
	}
	h, k := all["holdfast"], all["kamailio"]
	if len(h) == 0 || len(k) == 0 {
		return nil
	}
	ratio := func(of func(figures) float64) (float64, float64, float64) {
		a, b := median(h, of), median(k, of)
		return a, b, a / b
	}
	show := func(what, unit string, of func(figures) float64) float64 {
		a, b, r := ratio(of)
		fmt.Fprintf(o.Out, "%-36s holdfast %9.3f %s   kamailio %9.3f %s   ratio %.2f\n", what, a, unit, b, unit, r)
		return r
	}
	reg := show("processor a registration", "ms", func(f figures) float64 { return (ms(f.Register) + ms(f.Return)) / 2 })
	show("  first storm", "ms", func(f figures) float64 { return ms(f.Register) })
	show("  after a cut", "ms", func(f figures) float64 { return ms(f.Return) })
	show("processor a refresh", "ms", func(f figures) float64 { return ms(f.Refresh) })
	show("all phones back after a cut", "s ", func(f figures) float64 { return f.Back.Took.Seconds() })
	show("memory an idle phone (PSS)", "kB", func(f figures) float64 { return float64(f.PhoneBytes) / 1000 })
	show("setup p99", "ms", func(f figures) float64 { return ms(f.Calls.P99) })
	call := show("processor a call", "ms", func(f figures) float64 { return ms(f.Call) })
	fmt.Fprintf(o.Out, "bench-sip: reg=%.2f call=%.2f\n", reg, call)
	if faults > 0 {
		return fmt.Errorf("%d failures at holdfast", faults)
	}
	return nil
}

func measure(ctx context.Context, s *server, o Options, last bool) (f figures) {
	c := newCrowd(o.Phones, s.target)
	defer c.cut()
	empty := pss(s.groups)
	each := func(n int, do func()) time.Duration {
		before := cpu(s.groups)
		do()
		return (cpu(s.groups) - before) / time.Duration(max(1, n))
	}
	arrive := func(ctx context.Context, p *phone) error { return p.arrive(ctx) }
	f.Register = each(o.Phones, func() { f.Storm = c.all(ctx, atOnce, arrive) })
	time.Sleep(settling)
	f.PhoneBytes = (pss(s.groups) - empty) / o.Phones
	f.Return = each(o.Phones, func() {
		c.cut()
		f.Back = c.all(ctx, atOnce, arrive)
	})
	f.Refresh = each(o.Phones, func() {
		c.all(ctx, 16, func(ctx context.Context, p *phone) error { return p.register(ctx) })
	})
	const length = 10 * time.Second
	f.Call = each(int(length.Seconds())*o.Rate, func() { f.Calls = c.call(ctx, o.Rate, length) })
	if last && o.Highest {
		best := 0
		for rate := 100; rate <= 1600 && ctx.Err() == nil; rate += 100 {
			got := c.call(ctx, rate, 3*time.Second)
			if got.Failed > 0 || got.P99 > 500*time.Millisecond {
				fmt.Fprintf(o.Out, "%s: at %d calls/s %d of %d fail (%s), setup p99 %v\n", s.name, rate, got.Failed, got.Done+got.Failed, got.Why, got.P99.Round(time.Millisecond))
				break
			}
			best = rate
			time.Sleep(callTime)
		}
		fmt.Fprintf(o.Out, "%s: %d calls/s with 100 %% success and a setup p99 under 500 ms\n", s.name, best)
	}
	return f
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func median(all []figures, of func(figures) float64) float64 {
	var v []float64
	for _, f := range all {
		v = append(v, of(f))
	}
	slices.Sort(v)
	return v[len(v)/2]
}
