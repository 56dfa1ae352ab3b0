package netcfg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// How an address is claimed. RFC 5227 §1.1 has three probes one to two seconds apart and two seconds of patience; a machine on
// the same switch answers within milliseconds, and a box has to be there soon.
const (
	probes     = 3
	probeEvery = 200 * time.Millisecond
	probeWait  = 500 * time.Millisecond // after the last
)

// ErrNoCarrier means that the cable has no signal: nobody can be asked.
var ErrNoCarrier = errors.New("no signal on the cable")

// Conflict is another machine with an address that should be ours.
type Conflict struct {
	Address netip.Addr
	MAC     net.HardwareAddr
}

// Error says who has it.
func (c Conflict) Error() string {
	return fmt.Sprintf("%s is taken by the machine with MAC address %s", c.Address, c.MAC)
}

// wire is a raw socket for ARP on one interface.
type wire struct {
	conn *packet.Conn
	mac  [6]byte
}

func openWire(name string) (*wire, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("interface %s is no Ethernet", name)
	}
	c, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("listen for ARP on %s: %w", name, err)
	}
	return &wire{c, [6]byte(ifi.HardwareAddr)}, nil
}

func (w *wire) close() { w.conn.Close() }

func (w *wire) send(p arp) error {
	_, err := w.conn.WriteTo(p.marshal(), &packet.Addr{HardwareAddr: broadcastMAC()})
	return err
}

func broadcastMAC() net.HardwareAddr { return net.HardwareAddr{255, 255, 255, 255, 255, 255} }

// receive waits for the next ARP packet, at most until the deadline.
func (w *wire) receive(deadline time.Time) (arp, error) {
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return arp{}, err
	}
	b := make([]byte, 128)
	for {
		n, _, err := w.conn.ReadFrom(b)
		if err != nil {
			return arp{}, err
		}
		if p, err := parseARP(b[:n]); err == nil {
			return p, nil
		}
	}
}

// claim asks on the wire whether anybody has the address (RFC 5227 §2.1.1); nil: it is free.
func claim(ctx context.Context, name string, a netip.Addr) error {
	w, err := openWire(name)
	if err != nil {
		return err
	}
	defer w.close()
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	for n := range probes {
		if err := w.send(probe(w.mac, a)); err != nil {
			if errors.Is(err, unix.ENETDOWN) {
				return ErrNoCarrier
			}
			return fmt.Errorf("probe for %s on %s: %w", a, name, err)
		}
		wait := probeEvery
		if n == probes-1 {
			wait = probeWait
		}
		for deadline := time.Now().Add(wait); ; {
			p, err := w.receive(deadline)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil {
				return fmt.Errorf("listen for %s on %s: %w", a, name, err)
			}
			if p.taken(w.mac, a) {
				return Conflict{a, hardware(p.fromMAC)}
			}
		}
	}
	return nil
}

// announce tells everybody on the wire, so that switches and old caches learn where the address is now (RFC 5227 §2.3).
func announce(name string, a netip.Addr) error {
	w, err := openWire(name)
	if err != nil {
		return err
	}
	defer w.close()
	return w.send(announcement(w.mac, a))
}
