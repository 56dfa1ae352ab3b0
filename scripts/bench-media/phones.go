package main

import (
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

// flow is one phone.
type flow struct {
	to     unix.RawSockaddrInet4
	fd     int
	sealer *srtp.Sealer
	opener *srtp.Opener
	header rtp.Header
	due    int64 // ns, CLOCK_REALTIME
	sent   int64 // in the measurement

	times [256]int64 // when the packets with these low bits of the sequence number were sent; 0: not in the measurement, or heard

	// What this phone hears is another's stream, with numbers that the relay may have changed.
	known bool
	other *flow  // whose
	shift uint16 // its sequence number less the one heard
	heard uint32 // packets
}

type phones struct {
	flows    []flow // in the order in which they are due
	sealed   []byte // packets to come, in the order of sending
	byPort   [65536]int32
	fds      [phoneSockets]int
	in       *inbox
	out      []byte
	from, to int64 // the measurement, by the time of sending
	latency  []int32
	late     []int32
	got, bad int64
	now      int64
	forged   int64
	forging  bool
}

// prepare spreads the phones evenly over 20 ms, first and second legs mixed.
func (p *phones) prepare(t task) error {
	n := 2 * len(t.Calls)
	p.flows = make([]flow, n)
	for i := range p.byPort {
		p.byPort[i] = -1
	}
	for i := range p.flows {
		// A permutation, so that neighbours in time are not neighbours in the relay.
		at := i * 7919 % n
		if n%7919 == 0 {
			at = i
		}
		leg := t.Calls[at/2][at%2]
		f := &p.flows[i]
		f.fd = p.fds[phoneOf(at/2, at%2)]
		f.to = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: leg.Box.Addr().As4()}
		port := leg.Box.Port()
		f.to.Port = port<<8 | port>>8
		f.header = rtp.Header{SSRC: uint32(at)*2654435761 + 1, Sequence: uint16(at), PayloadType: 0}
		if leg.Suite != "" {
			var err error
			if f.sealer, err = srtp.NewSealer(leg.Suite, leg.Says, nil); err != nil {
				return err
			}
			if f.opener, err = srtp.NewOpener(leg.Suite, leg.Hear, nil); err != nil {
				return err
			}
		}
		p.byPort[port] = int32(i)
	}
	packets := n * int(time.Duration(t.Seconds)*time.Second/packetTime+2)
	packets = min(packets+packets/8, mostKept)
	p.latency, p.late = make([]int32, 0, packets), make([]int32, 0, packets)
	for i := range p.flows {
		a := i * 7919 % n
		if n%7919 == 0 {
			a = i
		}
		partner := t.Calls[a/2][1-a%2].Box.Port()
		p.flows[i].other = &p.flows[p.byPort[partner]]
	}
	if t.Live {
		return nil
	}
	// Sealed beforehand, and read one after the other: the phones must not be what is measured.
	rounds := int((time.Duration(t.Seconds)*time.Second+warmUp)/packetTime) + 10
	for range rounds {
		for i := range p.flows {
			pkt, err := p.next(&p.flows[i])
			if err != nil {
				return err
			}
			if p.sealed == nil {
				p.sealed = make([]byte, 0, rounds*n*sealedSize)
			}
			p.sealed = append(p.sealed, byte(len(pkt)))
			p.sealed = append(p.sealed, pkt...)
			p.sealed = p.sealed[:len(p.sealed)+sealedSize-1-len(pkt)]
		}
	}
	return nil
}

// phoneOf tells which socket a phone uses.
func phoneOf(call, leg int) int { return leg*phoneSockets/2 + call%(phoneSockets/2) }

func (p *phones) talk(length time.Duration, tell *json.Encoder) (heard, error) {
	begin := realtime() + int64(10*time.Millisecond)
	for i := range p.flows {
		p.flows[i].due = begin + int64(packetTime)*int64(i)/int64(len(p.flows))
	}
	p.from = begin + int64(warmUp)
	p.to = p.from + int64(length)
	next, started := 0, false
	var usage unix.Rusage
	var used int64
	for {
		p.now = realtime()
		if !started && p.now >= p.from {
			started = true
			if err := tell.Encode("start"); err != nil {
				return heard{}, err
			}
			if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
				return heard{}, err
			}
			used = usage.Utime.Nano() + usage.Stime.Nano()
		}
		if p.now >= p.to {
			break
		}
		for f := &p.flows[next]; f.due <= p.now; f = &p.flows[next] {
			if err := p.say(f); err != nil {
				return heard{}, err
			}
			f.due += int64(packetTime)
			next = (next + 1) % len(p.flows)
		}
		if err := p.listen(); err != nil {
			return heard{}, err
		}
		sleep(max(p.flows[next].due, p.now+int64(tick)) - realtime())
	}
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return heard{}, err
	}
	used = usage.Utime.Nano() + usage.Stime.Nano() - used
	if err := tell.Encode("stop"); err != nil {
		return heard{}, err
	}
	if err := p.linger(500 * time.Millisecond); err != nil {
		return heard{}, err
	}
	if err := p.forge(); err != nil {
		return heard{}, err
	}
	return p.sum(float64(used) / float64(length)), nil
}

func (p *phones) linger(d time.Duration) error {
	for end := realtime() + int64(d); realtime() < end; sleep(int64(time.Millisecond)) {
		if err := p.listen(); err != nil {
			return err
		}
	}
	return nil
}
