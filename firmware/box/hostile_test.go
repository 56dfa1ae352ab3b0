package box

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/firmware/lab/raw"
	"holdfast/sip/stack"
)

// honest are two phones that call each other and register again and again; what they see is what the branch sees.
type honest struct {
	a, b  *end
	inbox chan event
	times []time.Duration // from INVITE to 200, and of a whole registration
	calls int
	err   error
}

func newHonest(r *rig, n int) *honest {
	h := &honest{inbox: make(chan event, 256)}
	h.a = r.newEnd(extension(2*n), netip.AddrFrom4([4]byte{127, 0, 90, byte(1 + 2*n)}), h.inbox)
	h.b = r.newEnd(extension(2*n+1), netip.AddrFrom4([4]byte{127, 0, 90, byte(2 + 2*n)}), h.inbox)
	return h
}

// day registers both, then calls and refreshes until ctx ends. The first failure ends it.
func (h *honest) day(ctx context.Context) {
	limit := func(f func(context.Context) error) bool {
		if h.err == nil {
			c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			h.err = f(c)
		}
		return h.err == nil
	}
	for ctx.Err() == nil && limit(h.a.register) && limit(h.b.register) {
		began := time.Now()
		if !limit(h.call) {
			return
		}
		h.times = append(h.times, time.Since(began))
		h.calls++
		if h.calls%5 == 0 { // a phone that was switched off and on
			h.a.drop()
			for len(h.inbox) > 0 {
				<-h.inbox
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// call is a whole call; what is not of it is ignored.
func (h *honest) call(ctx context.Context) error {
	peer := h.a.conn()
	if peer == nil {
		return io.ErrUnexpectedEOF
	}
	d := raw.NewDialog(peer, "sip:"+h.a.user+"@"+rigDomain, "sip:"+h.b.user+"@"+rigDomain)
	h.a.write(d.Request("INVITE", stormSDP(h.a, 1, "sendrecv", "0 101")))
	var bye bool
	for {
		select {
		case ev := <-h.inbox:
			switch {
			case ev.m == nil:
				return fmt.Errorf("%s lost its connection", ev.at.user)
			case ev.at == h.b && ev.m.Status() == 0 && ev.m.Method() == "INVITE":
				if inv := h.b.settle(ev.m.Get("Call-ID")); inv != nil {
					ev.from.Write(inv.Reply(200, "OK", raw.Word(), answerSDP(h.b, inv.Body, "sendrecv"), "Contact: <sip:x@"+ev.from.Local().String()+">"))
				}
			case ev.at == h.a && ev.m.Get("Call-ID") == d.CallID && ev.m.Status() >= 200 && ev.m.Method() == "INVITE":
				if ev.m.Status() != 200 {
					return fmt.Errorf("call: %s", ev.m.Start)
				}
				d.Confirm(ev.m)
				h.a.write(d.Ack(ev.m, nil))
				h.a.r.overhear(overheard{d.CallID, d.From, d.To})
				if !bye {
					bye = true
					h.a.write(d.Request("BYE", nil))
				}
			case ev.at == h.a && ev.m.Get("Call-ID") == d.CallID && ev.m.Method() == "BYE" && ev.m.Status() >= 200:
				if ev.m.Status() != 200 {
					return fmt.Errorf("BYE: %s", ev.m.Start)
				}
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// attacker is one way to be hostile, again and again until ctx ends.
type attacker struct {
	name string
	run  func(ctx context.Context, r *rig, from netip.Addr)
}

// stranger opens a TLS connection that belongs to nobody.
func (r *rig) stranger(ctx context.Context, from netip.Addr) (*tls.Conn, error) {
	nc, err := r.net.dial(ctx, from, r.stack.Addr(stack.Access))
	if err != nil {
		return nil, err
	}
	t := tls.Client(nc, r.clientTLS())
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

// with gives f connection after connection.
func with(ctx context.Context, r *rig, from netip.Addr, f func(c *tls.Conn)) {
	for ctx.Err() == nil {
		c, err := r.stranger(ctx, from)
		if err != nil {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.NetConn().Close() })
		f(c)
		stop()
		c.NetConn().Close()
		pause(ctx, 5*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// flood writes as fast as the box takes it, and reads what comes.
func flood(c *tls.Conn, next func() string) {
	go io.Copy(io.Discard, c)
	for {
		if _, err := io.WriteString(c, next()); err != nil {
			return
		}
		time.Sleep(200 * time.Microsecond) // attackers and box share this machine's processors
	}
}

func attackers() []attacker {
	dialog := func(c net.Conn, from, to string) *raw.Dialog {
		return raw.NewDialog(raw.NewPeer(c, 0), "sip:"+from+"@"+rigDomain, "sip:"+to+"@"+rigDomain)
	}
	return []attacker{
		{"half-open handshakes", func(ctx context.Context, r *rig, from netip.Addr) {
			var held []net.Conn
			for ctx.Err() == nil {
				if c, err := r.net.dial(ctx, from, r.stack.Addr(stack.Access)); err == nil {
					c.Write([]byte{22, 3, 1, 2, 0, 1, 0}) // the beginning of a ClientHello
					held = append(held, c)
				}
				if len(held) == 300 {
					held[0].Close()
					held = held[1:]
				}
				pause(ctx, 2*time.Millisecond)
			}
			for _, c := range held {
				c.Close()
			}
		}},
		{"slowloris", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				for _, b := range []byte("REGISTER sip:" + rigDomain + " SIP/2.0\r\nVia: ") {
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					pause(ctx, 50*time.Millisecond)
				}
			})
		}},
		{"endless header", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				first := true
				flood(c, func() string {
					if first {
						first = false
						return "INVITE sip:1000@" + rigDomain + " SIP/2.0\r\nX: "
					}
					return strings.Repeat("x", 4096)
				})
			})
		}},
		{"huge body", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				io.WriteString(c, "INVITE sip:1000@x SIP/2.0\r\nContent-Length: 999999999\r\n\r\n")
				io.Copy(io.Discard, c)
			})
		}},
		{"REGISTER flood", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				d := dialog(c, "1000", "1000")
				flood(c, func() string { return d.Request("REGISTER", nil) })
			})
		}},
		{"INVITE flood", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				flood(c, func() string {
					return dialog(c, "1000", "1001").Request("INVITE", stormSDP(&end{}, 1, "sendrecv", "0"))
				})
			})
		}},
		{"password guessing", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				answers := make(chan *raw.Message, 64)
				p := raw.NewPeer(c, 0)
				go func() {
					defer close(answers)
					p.Run(func(m *raw.Message) { answers <- m })
				}()
				d := raw.NewDialog(p, "sip:1000@"+rigDomain, "sip:"+rigDomain)
				d.To = "<sip:1000@" + rigDomain + ">"
				lines := []string(nil)
				for range 500 {
					if p.Write(d.Request("REGISTER", nil, lines...)) != nil {
						return
					}
					m, ok := <-answers
					if !ok {
						return
					}
					if m.Status() == 200 {
						r.t.Errorf("a guess was taken")
					}
					lines = []string{raw.Authorization(m, "REGISTER", d.Target, "1000", raw.Word(), "")}
				}
			})
		}},
		{"forged requests in dialogs", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				methods := []string{"BYE", "CANCEL", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "ACK", "PRACK", "MESSAGE", "SUBSCRIBE"}
				n := 0
				flood(c, func() string {
					d := dialog(c, "1000", "1001")
					if all := r.known(); len(all) > 0 { // Call-IDs and tags that an eavesdropper might have
						k := all[n%len(all)]
						d.CallID, d.From, d.To = k.callID, k.from, k.to
					}
					n++
					return d.Request(methods[n%len(methods)], nil, "Replaces: "+d.CallID+";to-tag=x;from-tag=y", "Refer-To: <sip:evil@203.0.113.1>")
				})
			})
		}},
		{"garbage", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				flood(c, func() string { return "\r\n\r\n\x00\xff" + raw.Word() + "\r\n\r\n" })
			})
		}},
		{"answers nobody asked for", func(ctx context.Context, r *rig, from netip.Addr) {
			with(ctx, r, from, func(c *tls.Conn) {
				flood(c, func() string {
					return "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS x;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
				})
			})
		}},
	}
}

// overheard is a dialog as a request of the honest phones names it.
type overheard struct{ callID, from, to string }

// known are dialogs of the honest phones that run or ran.
func (r *rig) known() []overheard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dialogs
}

func p95(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)*95/100]
}

// TestHostileClients: everybody attacks at once, and the branch notices nothing but some slowness.
func TestHostileClients(t *testing.T) {
	r := newRig(t, rigOptions{net: loopback{}, users: 20, timers: stack.Timers{T1: 100 * time.Millisecond}, limits: stack.Limits{HandshakeTimeout: 5 * time.Second, MessageTimeout: time.Second, UnauthenticatedIdle: 3 * time.Second}})
	stop := r.run()
	defer stop()
	span := time.Second
	work := func(crew []*honest) (times []time.Duration, calls int) {
		ctx, cancel := context.WithTimeout(context.Background(), span)
		defer cancel()
		var wg sync.WaitGroup
		for _, h := range crew {
			wg.Go(func() { h.day(ctx) })
		}
		wg.Wait()
		for _, h := range crew {
			if h.err != nil {
				t.Errorf("phones %s and %s after %d calls: %v", h.a.user, h.b.user, h.calls, h.err)
			}
			times = append(times, h.times...)
			calls += h.calls
			h.times, h.calls = nil, 0
		}
		return times, calls
	}
	var crew []*honest
	for n := range 4 {
		crew = append(crew, newHonest(r, n+1)) // 1000 and 1001 are whom the attackers are after
	}
	quiet, before := work(crew)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for i, a := range attackers() {
		wg.Go(func() { a.run(ctx, r, netip.AddrFrom4([4]byte{127, 0, 91, byte(i + 1)})) })
	}
	time.Sleep(300 * time.Millisecond) // until the attack is at its full strength
	loud, during := work(crew)
	sc, at := r.stack.Counters(), r.access.Totals()
	counters := map[string]*atomic.Uint64{"handshakes that failed": &sc.HandshakeFailures, "malformed": &sc.Malformed, "rate limited": &sc.RateLimited,
		"stray responses": &sc.StrayResponses, "slow messages": &sc.SlowMessages, "wrong passwords": &at.Failed}
	for name, c := range counters { // the attack lasts until each has had its time
		eventually(t, "the counter of "+name+" says something", func() bool { return c.Load() > 0 })
	}
	cancel()
	wg.Wait()
	for _, h := range crew {
		h.a.drop()
		h.b.drop()
	}
	if len(quiet) == 0 || len(loud) == 0 {
		t.Fatalf("%d calls before, %d during the attack", before, during)
	}
	t.Logf("%d calls before, %d during the attack; a call took %v at most for 95 %%, then %v", before, during, p95(quiet), p95(loud))
	if most := max(20*p95(quiet), 5*time.Second); p95(loud) > most {
		t.Errorf("95 %% of the calls within %v, without an attack within %v", p95(loud), p95(quiet))
	}
	for name, c := range counters {
		t.Logf("%s: %d", name, c.Load())
	}
	if n := r.calls.Totals().Faults.Load(); n > 0 {
		t.Errorf("%d faults", n)
	}
	if n := r.registrar.Counts(time.Now()).Users; n > 8 {
		t.Errorf("%d users registered", n)
	}
	atRest(t, r, 30*time.Second)
}
