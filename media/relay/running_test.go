package relay

import (
	"runtime"
	"testing"
	"time"
)

// passed is how many packets the relay has sent, or will never have.
func passed(r *Relay) uint64 {
	n := r.Counts()
	return n.TxPackets + n.Missed
}

// The real loop, running, with packets that come from sockets and go to sockets: nothing on the heap grows with them.
func TestRunningRelayAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("without -race only")
	}
	const packets = 4000
	r := run(t, sharedConfig())
	var from []*phone
	var to []*Leg
	var sealed [][][]byte
	for _, c := range []*call{
		newCall(t, r, "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"), newCall(t, r, "", "AES_256_CM_HMAC_SHA1_32"), sharing(t, r, "AES_CM_128_HMAC_SHA1_80"),
	} {
		defer c.session.Close()
		c.set(t)
		for _, d := range []struct {
			p *phone
			l *Leg
		}{{c.a, c.la}, {c.b, c.lb}} {
			var list [][]byte
			for range packets {
				list = append(list, d.p.next(0, "160 bytes of voice, or nearly so; the relay does not care, nor does this test, how many", false))
			}
			from, to, sealed = append(from, d.p), append(to, d.l), append(sealed, list)
		}
	}
	send := func(first, last int) {
		for n := first; n < last; n++ {
			for i, p := range from {
				if _, err := p.rtp.WriteToUDPAddrPort(sealed[i][n], to[i].Local()); err != nil {
					t.Fatal(err)
				}
			}
			if n%10 == 9 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		want := uint64(len(from) * last)
		for end := time.Now().Add(patience); passed(r) < want && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	send(0, 100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	send(100, packets)
	runtime.ReadMemStats(&after)
	n := r.Counts()
	if all := uint64(len(from) * packets); n.TxPackets+n.Missed != all || n.TxPackets < all/2 { // a busy machine may miss some
		t.Errorf("%d of %d packets came through: %+v", n.TxPackets, all, n)
	}
	// What is left is the test's own (Counts makes a map) and the runtime's.
	if allocs := after.Mallocs - before.Mallocs; allocs > packets/4 {
		t.Errorf("%d allocations for %d packets", allocs, len(from)*(packets-100))
	}
}
