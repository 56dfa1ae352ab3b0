package netcfg

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"holdfast/firmware/config"
)

// Rhythm of the watch.
const (
	tickEvery     = 10 * time.Second
	defendEvery   = 10 * time.Second // RFC 5227 §1.1, DEFEND_INTERVAL
	conflictOver  = time.Minute      // without another sign of the other machine
	gatewaySilent = 3                // ticks
	announceAgain = 2 * time.Second  // RFC 5227 §1.1, ANNOUNCE_INTERVAL
	settle        = 50 * time.Millisecond
)

// Options of a Manager.
type Options struct {
	Dir        string        // where the state is written, in RAM
	ResolvConf string        // the resolver's file; "" leaves it alone
	Tick       time.Duration // what is missing is tried again, the gateway is asked, the state is written; 0: 10 s
	Log        *slog.Logger
}

// Manager keeps the machine's network as the settings want it.
type Manager struct {
	o      Options
	kernel kernel
	wake   chan struct{}

	mu       sync.Mutex
	settings config.Network

	// Only Run's goroutine has these.
	fallbacks int       // candidates that others have
	movedOn   time.Time // when the last of them was given up
	conflicts map[netip.Addr]*conflict
	tried     map[netip.Addr]time.Time
	carriers  map[string]bool // by interface, at the last look
	guards    map[string]*guard
	heard     chan heard
	gateways  map[netip.Addr]*gateway
	faults    map[string]bool
	all       sync.WaitGroup
}

// conflict is another machine with an address of ours.
type conflict struct {
	mac         string
	since, seen time.Time
	taken       bool // it was there first, and the address is not ours
	defendedAt  time.Time
}

// gateway is when a router last answered, and since when it is asked.
type gateway struct{ since, seen time.Time }

// New makes a Manager; nothing is touched before Run.
func New(settings config.Network, o Options) *Manager {
	if o.Tick == 0 {
		o.Tick = tickEvery
	}
	return &Manager{o: o, kernel: kernel{"/proc"}, wake: make(chan struct{}, 1), settings: settings,
		conflicts: make(map[netip.Addr]*conflict), tried: make(map[netip.Addr]time.Time), carriers: make(map[string]bool),
		guards: make(map[string]*guard), heard: make(chan heard, 64), gateways: make(map[netip.Addr]*gateway), faults: make(map[string]bool)}
}

// Update changes the settings.
func (m *Manager) Update(n config.Network) {
	m.mu.Lock()
	m.settings = n
	m.mu.Unlock()
	m.Wake()
}

// Wake has everything looked at now, and the state written anew: after the clock was set, for example, which makes it look old.
func (m *Manager) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run keeps the network until ctx ends. It leaves addresses and routes behind: the end of the helper is not the end of
// the calls.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer m.all.Wait()
	defer cancel()
	m.subscribe(ctx)
	tick := time.NewTicker(m.o.Tick)
	defer tick.Stop()
	m.look(ctx, true)
	for {
		select {
		case <-ctx.Done():
			return nil
		case h := <-m.heard:
			m.hear(h, time.Now())
		case <-m.wake:
			if !pause(ctx, settle) { // events come in bursts
				return nil
			}
			m.look(ctx, false)
		case <-tick.C:
			m.look(ctx, true)
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// subscribe wakes Run at every change in the kernel, and begins anew when the kernel lost count.
func (m *Manager) subscribe(ctx context.Context) {
	failed := func(err error) {
		if ctx.Err() == nil {
			m.o.Log.Warn("network events were lost; they are asked for again", "err", err)
		}
	}
	watch := func(begin func() (<-chan struct{}, error)) {
		m.all.Go(func() {
			for ctx.Err() == nil {
				events, err := begin()
				if err != nil {
					failed(err)
				} else {
					for range events {
						m.Wake()
					}
				}
				m.Wake()
				pause(ctx, time.Second)
			}
		})
	}
	watch(func() (<-chan struct{}, error) {
		c := make(chan netlink.LinkUpdate)
		err := netlink.LinkSubscribeWithOptions(c, ctx.Done(), netlink.LinkSubscribeOptions{ErrorCallback: failed})
		return signals(c), err
	})
	watch(func() (<-chan struct{}, error) {
		c := make(chan netlink.AddrUpdate)
		err := netlink.AddrSubscribeWithOptions(c, ctx.Done(), netlink.AddrSubscribeOptions{ErrorCallback: failed})
		return signals(c), err
	})
	watch(func() (<-chan struct{}, error) {
		c := make(chan netlink.RouteUpdate)
		err := netlink.RouteSubscribeWithOptions(c, ctx.Done(), netlink.RouteSubscribeOptions{ErrorCallback: failed})
		return signals(c), err
	})
}

// signals forgets what an event says: everything is looked at again.
func signals[T any](events <-chan T) <-chan struct{} {
	out := make(chan struct{})
	go func() { // ends with events, which end with the subscription
		defer close(out)
		for range events {
			out <- struct{}{}
		}
	}()
	return out
}

// look brings what is to what should be, as far as that can be done now.
func (m *Manager) look(ctx context.Context, tick bool) {
	m.mu.Lock()
	n := m.settings
	m.mu.Unlock()
	clear(m.faults)
	have, err := m.kernel.read()
	if err != nil {
		m.fault("the network cannot be read: %v", err)
		return
	}
	if m.o.ResolvConf != "" && len(n.DNS) > 0 { // before the addresses: programs that begin with them look names up at once
		if err := writeFile(m.o.ResolvConf, resolvConf(n.DNS)); err != nil {
			m.fault("the list of DNS servers cannot be written: %v", err)
		}
	}
	want := wants(n, have, m.fallback(n, have))
	for range 4 { // a fallback that somebody has makes room for the next
		before := m.fallbacks
		m.apply(ctx, have, Plan(have, want))
		if have, err = m.kernel.read(); err != nil {
			m.fault("the network cannot be read: %v", err)
			return
		}
		if m.fallbacks == before {
			break
		}
		want = wants(n, have, m.fallback(n, have))
	}
	now := time.Now()
	m.cables(have)
	m.guard(ctx, have, want)
	if tick {
		m.askGateways(want, now)
		m.forget(now)
	}
	m.tell(have, want, n, now)
}

// fault notes what a person should hear, once in the log and in the state for as long as it is so.
func (m *Manager) fault(format string, args ...any) {
	m.faults[fmt.Sprintf(format, args...)] = true
}

// fallback is the one that is there already, or the next that nobody is known to have.
func (m *Manager) fallback(n config.Network, have Have) netip.Prefix {
	l, ok := have.link(fallbackLink(n, have))
	if !ok {
		return netip.Prefix{}
	}
	for _, a := range l.Addresses {
		if a.Ours && fallbackNetwork.Contains(a.Prefix.Addr()) && m.conflicts[a.Prefix.Addr()] == nil {
			return a.Prefix
		}
	}
	return fallback(l.MAC, m.fallbacks)
}
