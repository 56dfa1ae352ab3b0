// Package cloud probes whether the cloud phone system can be reached: SIP OPTIONS over TLS to each zone, and an HTTPS
// request as evidence. It reports every outcome and judges none of them: that is firmware/mode's job. It has a small SIP
// client of its own, because a probe must not share connections, timers or faults with the stack that serves calls.
package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"sync"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/mode"
)

// Prober asks every target once an interval, and the zones faster at its start (see first).
type Prober struct {
	zones    []func() target // makes one anew
	web      target          // nil: none
	interval time.Duration
	timeout  time.Duration
	hurried  int // probes at the start
	log      *slog.Logger

	mu     sync.Mutex // one report at a time
	last   map[string]answer
	report func(mode.Probe)
}

// target is one thing to ask. ask returns what was answered, how long the answer took and whether that means alive; ctx
// ends at the probe's deadline. It is called by one goroutine only.
type target interface {
	name() (zone string, kind mode.Kind)
	ask(ctx context.Context) answer
	close()
}

type answer struct {
	alive  bool
	rtt    time.Duration // from the request to the answer; 0: none
	detail string
	here   bool // the probe did not leave this machine: no address, no route, no name
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// New makes a prober. roots nil means the system's. report is called for every probe, never twice at a time, and must
// not block for long. New connects to nothing.
func New(c config.Cloud, roots *x509.CertPool, report func(mode.Probe), log *slog.Logger) *Prober {
	return newProber(c, roots, report, log, new(net.Dialer).DialContext)
}

func newProber(c config.Cloud, roots *x509.CertPool, report func(mode.Probe), log *slog.Logger, dial dialer) *Prober {
	p := &Prober{interval: c.Interval, timeout: c.Timeout, hurried: max(c.Missed, 1), last: make(map[string]answer), report: report, log: log}
	for _, z := range c.Zones {
		p.zones = append(p.zones, func() target {
			return &zone{
				label:   z.Name,
				address: z.Address,
				dial:    dial,
				tls:     &tls.Config{ServerName: z.TLSName, RootCAs: roots, MinVersion: tls.VersionTLS12},
			}
		})
	}
	if c.HTTPS != "" {
		p.web = newWeb(c.HTTPS, roots, c.Timeout, dial)
	}
	return p
}

// Run probes until ctx ends, then returns nil; every connection is closed by then. The first probes go out at once.
func (p *Prober) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, z := range p.zones {
		wg.Go(func() {
			t, begun := p.first(ctx, z)
			if pause(ctx, time.Until(begun.Add(p.interval))) {
				p.watch(ctx, t)
			} else {
				t.close()
			}
		})
	}
	if p.web != nil {
		wg.Go(func() { p.watch(ctx, p.web) })
	}
	wg.Wait()
	return nil
}

// watch asks one target. A probe's deadline is never after the next tick, so that a cloud that swallows everything is
// noticed as fast as one that refuses: after so many intervals and one timeout.
func (p *Prober) watch(ctx context.Context, t target) {
	defer t.close()
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		p.ask(ctx, t)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ask makes one probe and reports it.
func (p *Prober) ask(ctx context.Context, t target) answer {
	zone, kind := t.name()
	at := time.Now()
	one, cancel := context.WithDeadline(ctx, at.Add(p.timeout))
	a := t.ask(one)
	cancel()
	if ctx.Err() != nil {
		return answer{} // the probe was cut short, not the cloud
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := p.last[zone]; a.alive != last.alive || a.detail != last.detail {
		p.log.Debug("cloud probe changed", "zone", zone, "kind", kind.String(), "alive", a.alive, "detail", a.detail)
		p.last[zone] = a
	}
	p.report(mode.Probe{Zone: zone, Kind: kind, At: at, Alive: a.alive, RTT: a.rtt, Detail: a.detail})
	return a
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
