package box

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast/firmware/health"
	"holdfast/hal"
	"holdfast/hal/watchdog"
	"holdfast/sip/stack"
)

// buildHealth makes the two gates: vital is what calls need, card what only memory needs. Calls run without a card.
func (b *Box) buildHealth() error {
	b.fsyncs = newFsyncs()
	b.vital = health.New(time.Now,
		health.Check{Name: "SIP", Every: 10 * time.Second, Stale: 35 * time.Second, Probe: b.probeSIP},
		health.Check{Name: "media", Every: 5 * time.Second, Stale: 25 * time.Second, Probe: b.relay.Turn})
	b.card = health.New(time.Now,
		health.Check{Name: "card", Every: 30 * time.Second, Stale: 2 * time.Minute, Probe: b.probeCard})
	return nil
}

// probeSIP is a phone that asks for OPTIONS over TLS. Whatever comes back says that somebody is there: also a connection that is
// closed because a flood has taken all places. A flood must not make the watchdog reset the box.
//
// While the listener's address is not there (no cable, another machine has it) nobody can ask; a restart would not bring it.
func (b *Box) probeSIP(ctx context.Context) error {
	at := b.stack.Addr(stack.Access)
	if !here(at.Addr()) {
		return nil
	}
	return askOptions(ctx, at)
}

func askOptions(ctx context.Context, at netip.AddrPort) error {
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", at.String())
	if err != nil {
		return fmt.Errorf("nobody listens for phones: %w", err)
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		conn.SetDeadline(until)
	}
	// It is our own certificate, and the question is only whether anybody answers.
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	id := fmt.Sprintf("health%d", time.Now().UnixNano())
	fmt.Fprintf(c, "OPTIONS sip:health@%s;transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS %s;branch=z9hG4bK%s\r\nMax-Forwards: 0\r\n"+
		"From: <sip:health@%s>;tag=%s\r\nTo: <sip:health@%s>\r\nCall-ID: %s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
		at, conn.LocalAddr(), id, at.Addr(), id, at.Addr(), id)
	_, err = c.Read(make([]byte, 12))
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("no answer to OPTIONS")
	}
	return nil
}

// probeCard writes a few bytes through to the card.
func (b *Box) probeCard(context.Context) error {
	f, err := os.OpenFile(filepath.Join(b.cfg.DataDir, "health"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	began := time.Now()
	_, err = f.WriteString(began.UTC().Format(time.RFC3339) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if b.fsyncs != nil {
		b.fsyncs.Observe(time.Since(began).Seconds())
	}
	return err
}

// boardAlarms are what is wrong with the box as a thing.
func (b *Box) boardAlarms() (out []string) {
	for _, f := range append(b.vital.Faults(), b.card.Faults()...) {
		out = append(out, "health: "+f.String())
	}
	if b.front.fault != "" {
		out = append(out, b.front.fault)
	}
	if fault := b.watchdogFault.Load(); fault != nil {
		out = append(out, "nothing resets the box if it hangs: "+*fault)
	}
	return append(out, b.updates.alarms()...)
}

// fit reports whether the watchdog may be fed. A card that fails takes the box down only while nobody needs it: a
// box that runs without its card serves calls, one that does not come up again serves none.
func (b *Box) fit() bool {
	if len(b.vital.Faults()) > 0 {
		return false
	}
	return len(b.card.Faults()) == 0 || len(b.needs().wait(false)) > 0 || uptime() < tryCardEvery
}

// tryCardEvery is how long a box runs that a broken card has reset, before it tries that again.
const tryCardEvery = 6 * time.Hour

// releaseFile is there where the box runs from its own image.
const releaseFile = "/etc/holdfast-release"

// openWatchdog starts the timer that the settings name; nil: none.
func (b *Box) openWatchdog() (hal.Watchdog, error) {
	path := b.cfg.Board.Watchdog
	if path == "auto" {
		if _, err := os.Stat(releaseFile); err != nil {
			return nil, nil
		}
		path = "/dev/watchdog"
	}
	if path == "off" {
		return nil, nil
	}
	return watchdog.Open(path, watchdogTimeout)
}

// watchdogTimeout is what the Raspberry Pi's watchdog knows at most.
const watchdogTimeout = 15 * time.Second

// guard feeds the watchdog while the gate holds, until ctx ends. An orderly end stops the timer, unless the board is going to
// restart: then it makes sure that it does.
func (b *Box) guard(ctx context.Context) error {
	dog, err := b.openWatchdog()
	switch {
	case err != nil:
		fault := strings.TrimPrefix(err.Error(), "watchdog: ")
		b.watchdogFault.Store(&fault)
		b.log.Error("the box runs without a watchdog", "err", err)
		fallthrough
	case dog == nil:
		<-ctx.Done()
		return nil
	}
	b.log.Info("watchdog", "timeout", dog.Timeout())
	b.feed(ctx, dog, b.fit)
	if b.restarting.Load() {
		return nil
	}
	return dog.Close()
}

// feed feeds while fit says so.
func (b *Box) feed(ctx context.Context, dog hal.Watchdog, fit func() bool) {
	tick := time.NewTicker(max(dog.Timeout()/4, time.Second))
	defer tick.Stop()
	fed := true
	for {
		was := fed
		if fed = fit(); fed != was {
			b.log.Error("watchdog", "fed", fed, "faults", b.boardAlarms())
		}
		if fed {
			if err := dog.Feed(); err != nil {
				b.log.Error("watchdog", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
