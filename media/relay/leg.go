package relay

import "net/netip"

// Leg is one side's sockets: RTP and, one port above, RTCP.
type Leg struct{}

// Local is where the peer sends RTP to; RTCP is one port above.
func (l *Leg) Local() netip.AddrPort { return netip.AddrPort{} }

// Set puts a negotiated stream into effect, atomically: nothing of the old one is used after it returns, except that packets sealed
// with the old key are still accepted for a short while. A key that stays the same keeps its state.
func (l *Leg) Set(s Stream) error { return nil }

// Stats is the leg's quality so far.
func (l *Leg) Stats() LegStats { return LegStats{} }

// Close frees this leg only (a fork branch that lost).
func (l *Leg) Close() {}
