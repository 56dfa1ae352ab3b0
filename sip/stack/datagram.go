package stack

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Bounds of one device on UDP. Anybody on the LAN can borrow its address, so what that can cost is its own share only.
const (
	flowsPerDevice        = 64   // ports that it sends from: a gateway has one a line, at the most
	transactionsPerDevice = 1024 // server transactions, those that linger included
)

// datagrams are the devices on UDP and their flows. The socket comes and goes with SetPlain; the flows, which are nothing but
// addresses, stay as long as the site names their device.
type datagrams struct {
	s    *Stack
	sock atomic.Pointer[PacketConn] // nil: closed

	mu      sync.Mutex
	devices map[netip.Addr]*device
	contact netip.AddrPort
}

// device is one that may speak SIP over UDP.
type device struct {
	meter meter
	flows map[uint16]*Conn // by port; guarded by datagrams.mu
}

// wire carries a flow's output. What cannot be sent is lost, as datagrams are: the transactions see to it.
type wire struct {
	net.Conn // nil: nothing else is called
	d        *datagrams
	to       netip.AddrPort
}

func (w wire) Write(b []byte) (int, error) {
	if sock := w.d.sock.Load(); sock != nil {
		(*sock).WriteToUDPAddrPort(b, w.to)
	}
	return len(b), nil
}

func (w wire) Close() error                     { return nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

// name sets who may speak; the flows of all others end.
func (d *datagrams) name(addrs []netip.Addr, contact netip.AddrPort) {
	next := make(map[netip.Addr]*device, len(addrs))
	var gone []*Conn
	d.mu.Lock()
	d.contact = contact
	for _, a := range addrs {
		if next[a] = d.devices[a]; next[a] == nil {
			next[a] = &device{flows: make(map[uint16]*Conn), meter: meter{tokens: float64(d.s.o.Limits.AuthenticatedRate), at: time.Now()}}
		}
	}
	for a, dev := range d.devices {
		if next[a] == nil {
			for _, c := range dev.flows {
				gone = append(gone, c)
			}
		}
	}
	d.devices = next
	d.mu.Unlock()
	for _, c := range gone {
		c.Close()
	}
}

// at sets where devices reach the box.
func (d *datagrams) at(contact netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contact = contact
}

// flow is the connection of a device's address; nil if the site does not name it.
func (d *datagrams) flow(at netip.AddrPort, now time.Time) *Conn {
	d.mu.Lock()
	dev := d.devices[at.Addr()]
	if dev == nil {
		d.mu.Unlock()
		return nil
	}
	if c := dev.flows[at.Port()]; c != nil {
		c.last = now
		d.mu.Unlock()
		return c
	}
	victim := dev.crowded()
	if victim != nil {
		delete(dev.flows, victim.remote.Port())
	}
	var c *Conn
	c = d.s.makeConn(Access, wire{d: d, to: at}, UDP, at, d.contact, &dev.meter, func() { d.drop(dev, c) })
	c.last = now
	dev.flows[at.Port()] = c
	d.mu.Unlock()
	if victim != nil {
		victim.Close()
	}
	d.s.start(c)
	return c
}

// crowded finds the flow that makes room for another one: of those that have not authenticated the one that was heard
// least recently, then of the others. nil if there is room. The caller holds datagrams.mu.
func (dev *device) crowded() *Conn {
	if len(dev.flows) < flowsPerDevice {
		return nil
	}
	var worst *Conn
	rank := func(c *Conn) int {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case !c.kept.IsZero(): // an emergency call
			return 2
		case c.authenticated.Load():
			return 1
		}
		return 0
	}
	for _, c := range dev.flows {
		if worst == nil || rank(c) < rank(worst) || rank(c) == rank(worst) && c.last.Before(worst.last) {
			worst = c
		}
	}
	return worst
}

func (d *datagrams) drop(dev *device, c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dev.flows[c.remote.Port()] == c {
		delete(dev.flows, c.remote.Port())
	}
}

// sweep ends flows that had time to authenticate and did not.
func (d *datagrams) sweep(now time.Time) {
	var stale []*Conn
	d.mu.Lock()
	for _, dev := range d.devices {
		for _, c := range dev.flows {
			c.mu.Lock()
			last := c.born.Add(d.s.o.Limits.UnauthenticatedIdle)
			if c.kept.After(last) {
				last = c.kept
			}
			c.mu.Unlock()
			if !c.authenticated.Load() && now.After(last) {
				stale = append(stale, c)
			}
		}
	}
	d.mu.Unlock()
	for _, c := range stale {
		c.Close()
	}
}

// serve reads until the socket is closed.
func (d *datagrams) serve(sock PacketConn) {
	buf := make([]byte, maxHeader+maxBody+1)
	for {
		n, from, err := sock.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.s.log.Warn("receive failed", "err", err)
			time.Sleep(5 * time.Millisecond) // the socket is sound; never in a tight loop
			continue
		}
		d.receive(unmap(from), buf[:n])
	}
}

// receive takes one datagram. One of an address that the site does not name is counted, and nothing more is done about it.
func (d *datagrams) receive(from netip.AddrPort, data []byte) {
	d.mu.Lock()
	_, named := d.devices[from.Addr()]
	d.mu.Unlock()
	if !named {
		d.s.counters.Foreign.Add(1)
		return
	}
	data = bytes.TrimLeft(data, "\r\n\x00 ")
	if len(data) == 0 {
		return // a keepalive
	}
	now := time.Now()
	var m sip.Message
	msg, err := cutDatagram(data)
	if err == nil {
		m, err = contain(parse, msg)
	}
	at := from
	if r, ok := m.(*sip.Request); ok {
		at = replyTo(r, from)
	}
	c := d.flow(at, now)
	if c == nil {
		return // the document has changed just now
	}
	if d.s.o.Trace != nil {
		d.s.o.Trace(c, false, msg)
	}
	if err == nil {
		c.handle(m)
		return
	}
	d.s.counters.Malformed.Add(1)
	if c.allow(now) {
		status, reason := framingStatus(err)
		if b, ok := err.(*malformed); ok {
			status, reason = b.status, b.reason
		}
		c.refuse(msg, status, reason)
	}
}

// replyTo is where the answer to a request goes (RFC 3261 §18.2.2, RFC 3581 §4), and so where its sender is reached: the
// address that it came from, and the port of its Via unless that has an rport. No other host that a Via may name.
func replyTo(r *sip.Request, from netip.AddrPort) netip.AddrPort {
	via := r.Via()
	if via.Params.Has("rport") {
		return from
	}
	port := via.Port
	if port <= 0 || port > 65535 {
		port = 5060
	}
	return netip.AddrPortFrom(from.Addr(), uint16(port))
}

// cutDatagram is the message in a datagram (RFC 3261 §18.3): without a Content-Length all of it, else no more than that says.
// With an error it is what can be answered.
func cutDatagram(data []byte) ([]byte, error) {
	n, err := frame(data)
	switch err {
	case nil:
		return data[:n], nil
	case errNoLength: // the datagram's end is the body's, as long as no two lengths disagree
		return data, nil
	case errIncomplete:
		return data, bad(400, "Message Is Cut Off")
	}
	return data[:min(max(n, 0), len(data))], err
}
