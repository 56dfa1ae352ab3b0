package box

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"holdfast/firmware/clock"
	"holdfast/firmware/netcfg"
	"holdfast/firmware/ports"
	"holdfast/sip/stack"
)

// rememberEvery is how often the time is kept on the card: a power cut without internet costs the clock so much at most.
const rememberEvery = 10 * time.Minute

// rememberTime keeps the time on the card until ctx ends.
func (b *Box) rememberTime(ctx context.Context) error {
	tick := time.NewTicker(rememberEvery)
	defer tick.Stop()
	for {
		now := time.Now()
		state, err := clock.ReadState(netcfg.Dir)
		if err := clock.Remember(b.cfg.DataDir, now, err == nil && state.Sure(now)); err != nil {
			b.log.Warn("the time is not kept on the card", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// machineAlarms are what the network helper says, as far as one runs here, and whether the box's addresses are there.
func machineAlarms(dir string, listeners []netip.AddrPort, now time.Time) (out []string) {
	network, err := netcfg.ReadState(dir)
	helper := err == nil
	if helper {
		out = network.Alarms(now)
	} else if !errors.Is(err, fs.ErrNotExist) {
		out = append(out, err.Error())
	}
	if when, err := clock.ReadState(dir); err == nil {
		out = append(out, when.Alarms(now)...)
	} else if !errors.Is(err, fs.ErrNotExist) {
		out = append(out, err.Error())
	}
	for _, l := range listeners {
		if !here(l.Addr()) {
			out = append(out, fmt.Sprintf("%s is no address of this machine now: nobody reaches the box at %s", l.Addr(), l))
		}
	}
	return out
}

// Ports is every flow of the box, for the firewall's admin.
func (b *Box) Ports() []ports.Flow {
	if !b.provisioned() {
		return ports.Table(b.cfg, nil)
	}
	return ports.Table(b.cfg, b.site.Load().Doc())
}

func (b *Box) listeners() []netip.AddrPort {
	return []netip.AddrPort{b.stack.Addr(stack.Access), b.stack.Addr(stack.Trunk)}
}

// addressWithin is how long the cloud is not asked while the box has no address: a cable that negotiates, an address that is claimed.
const addressWithin = 10 * time.Second

// awaitAddress waits until the machine has an address, but not for long. A box that cannot ask yet knows nothing of the cloud, and must
// not take that for an outage; one that stays without its address is past asking.
func awaitAddress(ctx context.Context, a netip.Addr, most time.Duration) {
	until := time.Now().Add(most)
	for !here(a) && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// here reports whether the machine has an address. When it does not say, it has.
func here(a netip.Addr) bool {
	list, err := net.InterfaceAddrs()
	if err != nil || a.IsUnspecified() {
		return true
	}
	for _, x := range list {
		if n, ok := x.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP.To4()); ok && (own == a || own.IsLoopback() && a.IsLoopback()) {
				return true
			}
		}
	}
	return false
}
