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
	flowsPerDevice        = 64       // ports that it sends from: a gateway has one a line, at the most; as many again for emergency calls alone
	flowsPerSecond        = 8        // new ones, once as many as there may be have come
	transactionsPerDevice = 1024     // server transactions, those that linger included
	bytesPerDevice        = 2 << 20  // of them
	maxDatagram           = 16 << 10 // bytes of a message; a phone's longest has a quarter
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

	fresh   float64 // flows that may be made; owned by the read loop
	freshAt time.Time
}

// admits is the token bucket of new flows.
func (dev *device) admits(now time.Time) bool {
	dev.fresh = min(flowsPerDevice, dev.fresh+now.Sub(dev.freshAt).Seconds()*flowsPerSecond)
	dev.freshAt = now
	if dev.fresh < 1 {
		return false
	}
	dev.fresh--
	return true
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
			now := time.Now()
			next[a] = &device{flows: make(map[uint16]*Conn), meter: meter{tokens: float64(d.s.o.Limits.AuthenticatedRate), at: now}, fresh: flowsPerDevice, freshAt: now}
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

// find is the flow of a device's address; nil if there is none.
func (d *datagrams) find(at netip.AddrPort, now time.Time) *Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dev := d.devices[at.Addr()]; dev != nil {
		if c := dev.flows[at.Port()]; c != nil {
			c.last = now
			return c
		}
	}
	return nil
}

// flow is the flow of a device's address, made if there is none; nil if the site does not name it or there is no room.
func (d *datagrams) flow(at netip.AddrPort, now time.Time, urgent bool) *Conn {
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
	victim, full := dev.crowded(urgent)
	if full {
		d.mu.Unlock()
		return nil
	}
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

// passing is a connection for one message that is worth no flow: it is kept nowhere.
func (d *datagrams) passing(dev *device, at netip.AddrPort) *Conn {
	d.mu.Lock()
	contact := d.contact
	d.mu.Unlock()
	return d.s.makeConn(Access, wire{d: d, to: at}, UDP, at, contact, &dev.meter, nil)
}

// crowded finds the flow that makes room for another one: of those that have not authenticated the one that was heard
// least recently, then of the others. None with a request that waits for its answer goes, and none that is kept for an
// emergency call goes for less than another such call, which has room beyond the limit first. The caller holds datagrams.mu.
func (dev *device) crowded(urgent bool) (victim *Conn, full bool) {
	if len(dev.flows) < flowsPerDevice {
		return nil, false
	}
	const kept = 2
	rank := func(c *Conn) int {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case !c.kept.IsZero(): // an emergency call
			return kept
		case c.authenticated.Load():
			return 1
		}
		return 0
	}
	for _, c := range dev.flows {
		if c.unanswered.Load() > 0 {
			continue
		}
		if victim == nil || rank(c) < rank(victim) || rank(c) == rank(victim) && c.last.Before(victim.last) {
			victim = c
		}
	}
	if victim != nil && rank(victim) < kept {
		return victim, false
	}
	if !urgent {
		return nil, true
	}
	if len(dev.flows) < 2*flowsPerDevice {
		return nil, false
	}
	return victim, victim == nil
}

func (d *datagrams) drop(dev *device, c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dev.flows[c.remote.Port()] == c {
		delete(dev.flows, c.remote.Port())
	}
}

// sweep ends flows that had time to authenticate and did not, but for those that wait for an answer.
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
			if !c.authenticated.Load() && now.After(last) && c.unanswered.Load() == 0 {
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
	buf := make([]byte, maxDatagram+1) // one more: the rest of a longer one is lost, and it is refused
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
// Only a request that can begin something makes a flow: not what cannot be read, no response, no ACK and no CANCEL.
func (d *datagrams) receive(from netip.AddrPort, data []byte) {
	defer d.contained(from)
	d.mu.Lock()
	dev := d.devices[from.Addr()]
	d.mu.Unlock()
	if dev == nil {
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
		if m, err = contain(parse, msg); err != nil {
			m, err = d.passing(dev, from).indulge(m, err)
		}
	}
	at := from
	r, asks := m.(*sip.Request)
	if asks {
		at = replyTo(r, from)
	}
	c, refused := d.find(at, now), false
	if c == nil {
		c = d.passing(dev, at)
		if asks && r.Method != sip.ACK && r.Method != sip.CANCEL {
			if made := d.admit(dev, c, r, now); made != nil {
				c = made
			} else {
				refused = true
			}
		}
	}
	if d.s.o.Trace != nil {
		d.s.o.Trace(c, false, msg)
	}
	switch {
	case refused:
		d.s.counters.RateLimited.Add(1)
		if c.allow(now) {
			c.Write(NewResponse(r, 503, "Service Unavailable", ""))
		}
	case err == nil:
		c.handle(m, len(msg))
	default:
		d.s.counters.Malformed.Add(1)
		if c.allow(now) {
			status, reason := framingStatus(err)
			if b, ok := err.(*malformed); ok {
				status, reason = b.status, b.reason
			}
			c.refuse(msg, status, reason)
		}
	}
}

// admit makes the flow that a request came on, as far as the device's rate and room go, and for an emergency call beyond.
func (d *datagrams) admit(dev *device, passing *Conn, r *sip.Request, now time.Time) *Conn {
	if dev.admits(now) {
		if c := d.flow(passing.remote, now, false); c != nil {
			return c
		}
	}
	if passing.isUrgent(r) && passing.allowUrgent(now) {
		return d.flow(passing.remote, now, true)
	}
	return nil
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
	if len(data) > maxDatagram {
		return data[:bytes.LastIndex(data[:maxDatagram], crlf)+2], errHeaderTooLong
	}
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
