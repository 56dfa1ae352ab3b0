package relay

import (
	"sync/atomic"
	"time"

	"holdfast/media/rtp"
)

// LegStats is one leg's quality, for the call record. Counters are of authenticated RTP packets from the peer and RTP packets to it;
// bytes are those of the UDP payload.
type LegStats struct {
	RxPackets, RxBytes, TxPackets, TxBytes uint64
	RxLost                                 uint64        // by sequence numbers (RFC 3550 A.3)
	RxJitter                               time.Duration // RFC 3550 §6.4.1
	RTT                                    time.Duration // from RTCP; 0: unknown
	PeerLost                               float64       // fraction lost that the peer reports about us, 0…1
	AuthFailed, Replayed, Dropped          uint64        // Dropped: for any other reason but hold and having nowhere to go
	SendErrors                             uint64
}

// counters are a leg's, written by the worker and read by anyone.
type counters struct {
	rxPackets, rxBytes, lost atomic.Uint64
	jitter                   atomic.Uint64 // rtp.Jitter
	txPackets, txBytes       atomic.Uint64
	rtt                      atomic.Int64  // time.Duration
	peerLost                 atomic.Uint32 // 1/256
	forged, replayed         atomic.Uint64
	dropped, sendErrors      atomic.Uint64
}

// Stats is the leg's quality so far; it stays readable after Close.
func (l *Leg) Stats() LegStats {
	c := &l.count
	return LegStats{
		RxPackets: c.rxPackets.Load(), RxBytes: c.rxBytes.Load(), TxPackets: c.txPackets.Load(), TxBytes: c.txBytes.Load(),
		RxLost: c.lost.Load(), RxJitter: rtp.Jitter(c.jitter.Load()).Duration(), RTT: time.Duration(c.rtt.Load()),
		PeerLost:   float64(c.peerLost.Load()) / 256,
		AuthFailed: c.forged.Load(), Replayed: c.replayed.Load(), Dropped: c.dropped.Load(), SendErrors: c.sendErrors.Load(),
	}
}

// Counts is the whole relay's state, for metrics.
type Counts struct {
	Sessions, Legs                     int
	PortsUsed, PortsFree, PortsDrained int               // pairs; drained: in the pause before reuse
	RxPackets, TxPackets               uint64            // RTP and RTCP, received on any socket and sent
	SendErrors                         uint64            // the kernel refused to send: no room, no route, port closed
	SendFull                           uint64            // of these, because a queue was full
	Missed                             uint64            // arrived, but the relay did not come in time and a socket's queue was full
	RecvErrors                         uint64            // the kernel reported an error instead of a packet
	Drops                              map[string]uint64 // by reason
}

// Counts sums up the relay, for metrics.
func (r *Relay) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := Counts{Sessions: len(r.sessions), Drops: make(map[string]uint64, reasons+1)}
	c.PortsUsed, c.PortsFree, c.PortsDrained = r.ports.Count(r.now())
	c.Legs = c.PortsUsed
	for _, w := range r.workers {
		n := w.loop.Count()
		c.RxPackets += n.Received + n.Oversized
		c.TxPackets += n.Sent
		c.SendErrors += n.SendErrors
		c.SendFull += n.SendFull
		c.Missed += n.Missed
		c.RecvErrors += n.RecvErrors
		c.Drops["oversized"] += n.Oversized
		for i, name := range reasonNames {
			c.Drops[name] += w.drops[i].Load()
		}
	}
	return c
}
