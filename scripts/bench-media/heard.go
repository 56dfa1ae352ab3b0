package main

import "slices"

// heard is what the phones found.
type heard struct {
	Sent, Received int64   // of the packets sent in the measurement
	Loss           float64 // fraction of Sent
	Bad            int64   // arrived but did not authenticate, or were nobody's
	P50, P99, Max  float64 // added latency, µs: from before the phone's send to the arrival at the other phone's socket
	Share          float64 // of one core that the phones used
	Late99         float64 // µs by which the phones sent too late, 99th percentile
	Forged         int64   // forged packets that came through, of the forgeries sent at the end
}

// mostKept is how many measurements are kept of a kind; a long soak has more.
const mostKept = 4 << 20

// keep appends a time in ns, up to 2 s, if there is room.
func keep(list []int32, ns int64) []int32 {
	if len(list) == cap(list) {
		return list
	}
	return append(list, int32(min(max(ns, 0), 1<<31-1)))
}

func (p *phones) sum(share float64) heard {
	h := heard{Received: p.got, Bad: p.bad - p.forged, Share: share, Forged: p.forged}
	for i := range p.flows {
		h.Sent += p.flows[i].sent
	}
	if h.Sent > 0 {
		h.Loss = 1 - float64(h.Received)/float64(h.Sent)
	}
	slices.Sort(p.latency)
	slices.Sort(p.late)
	h.P50, h.P99, h.Max = at(p.latency, 0.5), at(p.latency, 0.99), at(p.latency, 1)
	h.Late99 = at(p.late, 0.99)
	return h
}

// at is a quantile in µs of sorted nanoseconds.
func at(sorted []int32, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]) / 1000
}
