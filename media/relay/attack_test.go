package relay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"
)

// A flood of everything that an attacker can send, beside live calls: the calls lose nothing, what is refused is counted as what it is,
// and memory stays as it was.
func TestFloodBesideLiveCalls(t *testing.T) {
	t.Run("on all ports", func(t *testing.T) { floodBesideLiveCalls(t, false) })
	t.Run("on one port", func(t *testing.T) { floodBesideLiveCalls(t, true) })
}

// A machine that stands still for longer than the kernel's queue of a socket lasts (12 ms at this rate) loses packets before the relay
// can have them. The relay says so (Missed); then it is tried again.
func floodBesideLiveCalls(t *testing.T, onePort bool) {
	for range 5 {
		lost, missed := floodOnce(t, onePort)
		switch {
		case lost == 0:
			return
		case missed == 0:
			t.Fatalf("%d packets of live calls were lost", lost)
		}
		t.Logf("%d packets were lost, and %d found a full queue: the machine is too busy", lost, missed)
	}
	t.Error("lost packets each time")
}

func floodOnce(t *testing.T, onePort bool) (lost int, missed uint64) {
	const calls = 8
	length, rate := 1500*time.Millisecond, 20000 // packets a second
	if racing {
		rate = 4000 // the race detector is that much slower
	}
	cfg := config()
	cfg.Workers = 1
	r := run(t, cfg)
	var live []*call
	for i := range calls {
		c := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", []string{"AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM"}[i%2])
		defer c.session.Close()
		c.set(t)
		live = append(live, c)
	}
	f := newFlood(t, live, onePort)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() { f.run(rate, done) })
	rounds := 0
	for start := time.Now(); time.Since(start) < length; rounds++ {
		for _, c := range live {
			c.a.say(c.la, fmt.Sprint(rounds))
			c.b.say(c.lb, fmt.Sprint(rounds))
		}
		time.Sleep(time.Until(start.Add(time.Duration(rounds+1) * 20 * time.Millisecond)))
	}
	close(done)
	flooding.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	for _, c := range live {
		for _, p := range []*phone{c.a, c.b} {
			for i := 0; i < rounds; {
				pkt, ok := p.hearSoon()
				if !ok {
					lost += rounds - i
					break
				}
				n, err := strconv.Atoi(string(pkt.Payload))
				if err != nil || n < i {
					t.Fatalf("heard %q, want %d", pkt.Payload, i)
				}
				lost += n - i
				i = n + 1
			}
		}
	}
	n := r.Counts()
	t.Logf("%d packets of the flood, %v", f.sent.Load(), n.Drops)
	for _, why := range []string{"garbage", "malformed", "forged", "replayed", "oversized"} {
		if n.Drops[why] == 0 {
			t.Errorf("nothing was %s", why)
		}
	}
	if after.HeapAlloc > before.HeapAlloc+256<<10 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, after.HeapAlloc)
	}
	return lost, n.Missed
}

// hearSoon is hear for a packet that may be lost.
func (p *phone) hearSoon() (*pionrtp.Packet, bool) {
	p.t.Helper()
	b := make([]byte, 3000)
	p.rtp.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	n, _, err := p.rtp.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil, false
	}
	if b, err = p.open.DecryptRTP(nil, b[:n], nil); err != nil {
		p.t.Fatalf("what arrived does not open: %v", err)
	}
	pkt := &pionrtp.Packet{}
	if err := pkt.Unmarshal(b); err != nil {
		p.t.Fatal(err)
	}
	return pkt, true
}

// flood sends bad packets to the legs of live calls: from strangers' sockets, and from the peers' own, as if their address were spoofed.
type flood struct {
	t     testing.TB
	from  []*net.UDPConn
	to    []netip.AddrPort
	bad   [][]byte
	peers [][][]byte // packets that each leg has had already
	calls []*call
	sent  atomic.Int64

	single bool // all on one port
}

func newFlood(t testing.TB, calls []*call, onePort bool) *flood {
	f := &flood{t: t, calls: calls, single: onePort}
	for range 4 {
		f.from = append(f.from, listen(t))
	}
	stranger := newPhone(t, "AES_CM_128_HMAC_SHA1_80") // sealed well, under another key
	for _, c := range calls {
		for _, p := range []struct {
			leg   *Leg
			phone *phone
		}{{c.la, c.a}, {c.lb, c.b}} {
			f.to = append(f.to, p.leg.Local(), rtcpPortOf(p.leg))
			recorded := p.phone.next(0, "recorded", false)
			p.phone.send(p.leg, recorded)
			other := c.a
			if p.phone == c.a {
				other = c.b
			}
			other.hears("recorded")
			f.peers = append(f.peers, [][]byte{recorded})
		}
	}
	good := stranger.next(0, "a voice that nobody knows, in a packet of usual size ............................", false)
	noise := make([]byte, 600)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	noise[0] &= 0x7f
	extended := bytes.Clone(good) // a header that claims more than there is
	extended[0] |= 0x1f
	report := append([]byte{0x80, 200, 0, 6}, make([]byte, 38)...)
	f.bad = [][]byte{good, good[:13], good[:3], {}, noise, extended, report, make([]byte, 3000)}
	foreign, err := (&pionrtp.Packet{Header: pionrtp.Header{Version: 2, SSRC: 99, SequenceNumber: 7}, Payload: make([]byte, 170)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	f.bad = append(f.bad, foreign)
	return f
}

func (f *flood) run(rate int, done chan struct{}) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	start := time.Now()
	for i := 0; ; {
		select {
		case <-done:
			return
		case <-pace.C:
		}
		// No more than a few at once, or the kernel's queue of a socket would be what is tested.
		for n := 0; n < rate/250 && i < int(time.Since(start).Seconds()*float64(rate)); n++ {
			f.one(i)
			i++
		}
	}
}

func (f *flood) one(i int) {
	pkt, to := f.bad[i/3%len(f.bad)], f.to[i/3/len(f.bad)%len(f.to)]
	from := f.from[i%len(f.from)]
	leg := i % len(f.peers)
	c := f.calls[leg/2]
	p, l := c.a, c.la
	if leg%2 == 1 {
		p, l = c.b, c.lb
	}
	if f.single {
		leg, p, l, to = 0, f.calls[0].a, f.calls[0].la, f.to[0]
	}
	switch i % 3 {
	case 0: // from the peer's own address
		from, to = p.rtp, l.Local()
	case 1: // and what it has sent before
		pkt, from, to = f.peers[leg][0], p.rtp, l.Local()
	}
	if _, err := from.WriteToUDPAddrPort(pkt, to); err == nil {
		f.sent.Add(1)
	}
}
