package relay

import "time"

// LegStats is one leg's quality, for the call record. Counters are of authenticated RTP packets from the peer and RTP packets to it;
// bytes are those of the UDP payload.
type LegStats struct {
	RxPackets, RxBytes, TxPackets, TxBytes uint64
	RxLost                                 uint64        // by sequence numbers (RFC 3550 A.3)
	RxJitter                               time.Duration // RFC 3550 §6.4.1
	RTT                                    time.Duration // from RTCP; 0: unknown
	PeerLost                               float64       // fraction lost that the peer reports about us, 0…1
	AuthFailed, Replayed, Dropped          uint64        // from the peer, or in its name; Dropped has neither of the first two
	SendErrors                             uint64
}

// Counts is the whole relay's state, for metrics.
type Counts struct {
	Sessions, Legs                     int
	PortsUsed, PortsFree, PortsDrained int               // pairs; drained: in the pause before reuse
	RxPackets, TxPackets               uint64            // RTP and RTCP, received on any socket and sent
	SendErrors                         uint64            // sendto failed
	RecvErrors                         uint64            // recvfrom failed (not: empty)
	Drops                              map[string]uint64 // by reason
}
