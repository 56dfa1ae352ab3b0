package udp

import (
	"fmt"
	"time"
)

// Ports hands out pairs of ports: an even one for RTP and the odd one above it for RTCP (RFC 3550 §11). A pair that comes back rests
// for a while, so that late packets of one call do not reach the next. It opens nothing, reads no clock (any steady one will do) and is
// not safe for concurrent use.
type Ports struct {
	drain    time.Duration
	reserved int
	free     queue[uint16] // used in turns, so that each rests as long as possible
	resting  queue[rest]   // oldest first
	used     map[uint16]bool
}

type rest struct {
	port uint16
	till time.Duration
}

// NewPorts covers the even ports p with min ≤ p and p+1 ≤ max. The last reserved pairs are for emergency calls. first, any number, says
// where to begin.
func NewPorts(min, max uint16, drain time.Duration, reserved int, first uint) (*Ports, error) {
	if min == 0 || min > max {
		return nil, fmt.Errorf("media ports %d to %d are not a range", min, max)
	}
	low, high := (int(min)+1)&^1, (int(max)-1)&^1
	n := (high-low)/2 + 1
	if high < low {
		return nil, fmt.Errorf("media ports %d to %d hold no even port with the odd one above it", min, max)
	}
	if reserved < 0 || reserved >= n {
		return nil, fmt.Errorf("of %d port pairs %d cannot be reserved", n, reserved)
	}
	if drain < 0 {
		return nil, fmt.Errorf("a drain of %v is negative", drain)
	}
	p := &Ports{drain: drain, reserved: reserved, used: make(map[uint16]bool)}
	for i := range n {
		p.free.push(uint16(low + 2*((i+int(first%uint(n)))%n)))
	}
	return p, nil
}

// Len is the number of pairs, used or not.
func (p *Ports) Len() int { return p.free.len() + p.resting.len() + len(p.used) }

// Take gives the RTP port of a pair that nobody has; false when there is none. An emergency may use the reserved pairs, and rather
// takes a pair that still rests than none.
func (p *Ports) Take(now time.Duration, emergency bool) (uint16, bool) {
	p.wake(now)
	var port uint16
	switch {
	case emergency && p.free.len() == 0 && p.resting.len() > 0:
		port = p.resting.pop().port
	case p.free.len() == 0, !emergency && p.free.len() <= p.reserved:
		return 0, false
	default:
		port = p.free.pop()
	}
	p.used[port] = true
	return port, true
}

// Give returns a pair. One that is not in use is ignored: two calls must never share one.
func (p *Ports) Give(port uint16, now time.Duration) {
	if !p.used[port] {
		return
	}
	delete(p.used, port)
	p.resting.push(rest{port, now + p.drain})
}

// Count tells how many pairs are in use, free, and resting.
func (p *Ports) Count(now time.Duration) (used, free, resting int) {
	p.wake(now)
	return len(p.used), p.free.len(), p.resting.len()
}

func (p *Ports) wake(now time.Duration) {
	for p.resting.len() > 0 && p.resting.peek().till <= now {
		p.free.push(p.resting.pop().port)
	}
}

// queue is first in, first out.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) peek() T { return q.items[q.head] }

func (q *queue[T]) push(v T) {
	if q.head > 64 && q.head > len(q.items)/2 { // reuse the front
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() T {
	v := q.items[q.head]
	q.head++
	return v
}
