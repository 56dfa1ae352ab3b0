package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

// The phones of all calls share a few sockets, so that they cost little: what is measured is the relay between them.
const (
	phoneSockets = 8 // the first half for the first legs
	payloadSize  = 160
	packetTime   = 20 * time.Millisecond
	tick         = 200 * time.Microsecond // how often the phones wake up
	warmUp       = 2 * time.Second
	forgeries    = 50
	opened       = 16 // one packet of so many is opened; the others are known by their sequence numbers
)

// task is what the load process is asked for after it has told its sockets.
type task struct {
	Calls   [][2]side `json:"calls"`
	Seconds int       `json:"seconds"`
	Live    bool      `json:"live"` // seal while talking: for hours of it there is no room for sealed packets
}

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

// serveLoad tells its sockets' addresses, takes a task, says when the measurement begins and ends, and tells what was heard.
func serveLoad(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -19); err != nil {
		return fmt.Errorf("priority of the phones: %w", err)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	from, tell := json.NewDecoder(in), json.NewEncoder(out)
	p := &phones{in: newInbox(), out: make([]byte, 0, 2048)}
	var addrs []netip.AddrPort
	for i := range p.fds {
		var addr netip.AddrPort
		var err error
		if p.fds[i], addr, err = openPhone(); err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	if err := tell.Encode(addrs); err != nil {
		return err
	}
	var t task
	if err := from.Decode(&t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if err := p.prepare(t); err != nil {
		return err
	}
	h, err := p.talk(time.Duration(t.Seconds)*time.Second, tell)
	if err != nil {
		return err
	}
	return tell.Encode(h)
}

func openPhone() (int, netip.AddrPort, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	// Large, so that no packet is lost here.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return 0, netip.AddrPort{}, fmt.Errorf("receive buffer of the phones: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return 0, netip.AddrPort{}, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, netip.AddrPort{}, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port)), nil
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

// sealedSize is the room for a sealed packet: its length, then itself.
const sealedSize = 192

// say sends a phone's next packet, and notes when.
func (p *phones) say(f *flow) error {
	var pkt []byte
	if len(p.sealed) > 0 {
		pkt = p.sealed[1 : 1+int(p.sealed[0])]
		p.sealed = p.sealed[sealedSize:]
	} else {
		var err error
		if pkt, err = p.next(f); err != nil {
			return err
		}
	}
	now := realtime()
	at := &f.times[pkt[3]]
	*at = 0
	if p.now >= p.from && p.now < p.to {
		*at = now
		f.sent++
		p.late = keep(p.late, now-f.due)
	}
	return send(f.fd, pkt, &f.to)
}

// next seals a phone's next packet. Its payload begins with its sequence number.
func (p *phones) next(f *flow) ([]byte, error) {
	f.header.Sequence++
	f.header.Timestamp += payloadSize
	pkt := p.out[:rtp.FixedSize+payloadSize]
	f.header.Put(pkt)
	binary.BigEndian.PutUint16(pkt[rtp.FixedSize:], f.header.Sequence)
	if f.sealer == nil {
		return pkt, nil
	}
	return f.sealer.RTP(pkt)
}

// listen takes all that has arrived, and opens it.
func (p *phones) listen() error {
	for _, fd := range p.fds {
		for {
			n, err := p.in.receive(fd)
			if err != nil {
				return err
			}
			for i := range n {
				p.hear(p.in.packet(i))
			}
			if n < inboxSize {
				break
			}
		}
	}
	return nil
}

func (p *phones) hear(pkt []byte, port uint16, at int64) {
	i := p.byPort[port]
	if i < 0 || len(pkt) < rtp.FixedSize+payloadSize {
		p.bad++
		return
	}
	f := &p.flows[i]
	seq := binary.BigEndian.Uint16(pkt[2:])
	if f.heard++; !f.known || f.heard%opened == 0 || p.forging {
		if !p.open(f, pkt, seq) {
			return
		}
	}
	sent := &f.other.times[byte(seq+f.shift)]
	if *sent == 0 {
		return
	}
	p.got++
	p.latency = keep(p.latency, at-*sent)
	*sent = 0
}

// open looks into a packet: it must authenticate, and be the one that its sequence number says.
func (p *phones) open(f *flow, pkt []byte, seq uint16) bool {
	if f.opener != nil {
		var err error
		if pkt, err = f.opener.RTP(pkt); err != nil {
			p.bad++
			if p.forging {
				p.forged++
			}
			return false
		}
	}
	if len(pkt) != rtp.FixedSize+payloadSize {
		p.bad++
		return false
	}
	shift := binary.BigEndian.Uint16(pkt[rtp.FixedSize:]) - seq
	if f.known && f.shift != shift {
		p.bad++
		return false
	}
	f.known, f.shift = true, shift
	return true
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

// forge sends packets that do not authenticate, to see whether the relay looks.
func (p *phones) forge() error {
	f := &p.flows[0]
	if f.sealer == nil {
		return nil
	}
	p.forging = true
	for range forgeries {
		pkt, err := p.next(f)
		if err != nil {
			return err
		}
		pkt[rtp.FixedSize+20] ^= 1
		if err := send(f.fd, pkt, &f.to); err != nil {
			return err
		}
	}
	return p.linger(200 * time.Millisecond)
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
