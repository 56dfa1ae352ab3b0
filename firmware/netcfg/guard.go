package netcfg

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// guard listens for ARP on one interface for as long as the box is on it: who else has our addresses, and does the gateway
// answer. Of a flood only what matters is passed on, and never more than the channel holds.
type guard struct {
	name   string
	index  int
	wire   *wire
	listen atomic.Pointer[listening]
	heard  chan<- heard
	ended  chan struct{}
}

// listening is what a guard has an ear for.
type listening struct {
	mine    []netip.Addr
	gateway netip.Addr
}

// heard is a packet that matters.
type heard struct {
	guard *guard
	arp   arp
}

// stand opens the interface and listens until ctx ends or the interface goes.
func stand(ctx context.Context, name string, index int, out chan<- heard, all *sync.WaitGroup) (*guard, error) {
	w, err := openWire(name)
	if err != nil {
		return nil, err
	}
	g := &guard{name: name, index: index, wire: w, heard: out, ended: make(chan struct{})}
	g.listen.Store(&listening{})
	all.Go(func() {
		defer close(g.ended)
		defer w.close()
		stop := context.AfterFunc(ctx, w.close)
		defer stop()
		for {
			p, err := w.receive(time.Time{})
			if err != nil {
				if downForNow(err) && ctx.Err() == nil {
					continue
				}
				return
			}
			l := g.listen.Load()
			for _, a := range l.mine {
				if p.contests(w.mac, a) {
					g.pass(p)
				}
			}
			if p.from == l.gateway {
				g.pass(p)
			}
		}
	})
	return g, nil
}

// downForNow is what a read says once when the interface is switched off.
func downForNow(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Temporary() && !op.Timeout()
}

func (g *guard) pass(p arp) {
	select {
	case g.heard <- heard{g, p}:
	default:
	}
}

// dead reports whether the guard has to be replaced.
func (g *guard) dead() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// ask makes a machine of the own network answer.
func (g *guard) ask(from, whom netip.Addr) error {
	return g.wire.send(arp{op: arpRequest, fromMAC: g.wire.mac, from: from, to: whom})
}
