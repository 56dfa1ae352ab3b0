package relay

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// Everything at once, for the race detector: packets of all kinds on several calls, while signalling changes keys, connections, hold
// and legs as fast as it can. Afterwards the calls still work.
func TestSignallingUnderTraffic(t *testing.T) {
	cfg := config()
	cfg.Drain = 0
	r := run(t, cfg)
	t.Run("calls", func(t *testing.T) {
		for _, name := range []string{"one", "two", "three"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				storm(t, r)
			})
		}
	})
	if n := r.Counts(); n.Sessions != 0 || n.PortsUsed != 0 {
		t.Errorf("%+v", n)
	}
}

func storm(t *testing.T, r *Relay) {
	c := newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM")
	defer c.session.Close()
	c.set(t)
	stop := make(chan struct{})
	var noise sync.WaitGroup
	defer noise.Wait()
	defer close(stop)
	for _, to := range []*Leg{c.la, c.lb} {
		from := newPhone(t, "AES_CM_128_HMAC_SHA1_80")
		noise.Add(1)
		go func() {
			defer noise.Done()
			// Slower than the relay, or the kernel would throw the calls' own packets away.
			for pace := time.NewTicker(300 * time.Microsecond); ; {
				select {
				case <-stop:
					pace.Stop()
					return
				case <-pace.C:
				}
				from.say(to, "noise")
				from.report(from.ctl, rtcpPortOf(to), &rtcp.ReceiverReport{SSRC: 1})
				_, _ = to.Stats(), r.Counts()
			}
		}()
	}
	for range 40 {
		c.a.rekey("AES_CM_128_HMAC_SHA1_80")
		c.b.rekey("AEAD_AES_128_GCM")
		c.set(t)
		branch := addLeg(t, c.session, Access)
		set(t, branch, newPhone(t, "AEAD_AES_256_GCM").stream)
		c.session.Connect(branch, c.lb)
		branch.Close()
		c.session.Connect(c.la, c.lb)
		c.session.look(r.now() + keyGrace)
		c.a.say(c.la, "between")
		c.b.hears("between")
		c.b.say(c.lb, "and back")
		c.a.hears("and back")
	}
}

// The project's limit is 8 KiB a leg beyond its sockets.
func TestMemoryOfALeg(t *testing.T) {
	cfg := config()
	cfg.PortMax = cfg.PortMin + 401
	testPorts += 400
	r := newRelay(t, cfg)
	a, b := newPhone(t, "AES_256_CM_HMAC_SHA1_80").stream, newPhone(t, "AES_256_CM_HMAC_SHA1_80").stream
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const calls = 90
	sessions := make([]*Session, calls)
	for i := range sessions {
		s := r.Open("memory", Options{})
		x, y := addLeg(t, s, Access), addLeg(t, s, Trunk)
		set(t, x, a)
		set(t, y, b)
		s.Connect(x, y)
		sessions[i] = s
	}
	each := (heap() - before) / (2 * calls)
	t.Logf("%d bytes a leg", each)
	if each > 8<<10 {
		t.Errorf("%d bytes a leg", each)
	}
	for _, s := range sessions {
		s.Close()
	}
}

// BenchmarkThrough is one packet's whole way through a relay that runs, from one socket to another, sealing and opening at both
// phones (by pion) included.
func BenchmarkThrough(b *testing.B) {
	c := newCall(b, run(b, config()), "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80")
	c.set(b)
	for b.Loop() {
		c.a.say(c.la, "20 ms of somebody's voice")
		c.b.hears("20 ms of somebody's voice")
	}
}
