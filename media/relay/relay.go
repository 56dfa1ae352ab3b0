package relay

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/media/srtp"
	"holdfast/media/udp"
)

// Errors a caller branches on.
var (
	ErrNoPorts   = errors.New("no media ports left")
	ErrClosed    = errors.New("media session is closed")
	ErrKeyReused = errors.New("an SRTP key that was replaced must not seal again")
)

// Config of a relay.
type Config struct {
	AccessAddr, TrunkAddr netip.Addr
	PortMin, PortMax      uint16        // even RTP ports, each with the odd RTCP port above, inside this range
	Drain                 time.Duration // pause before a port pair is used again
	Silence               time.Duration // neither RTP nor RTCP for so long is an event; 0: never
	Reserved              int           // port pairs kept for emergency calls
	DSCP                  int           // of every packet sent; 46 is EF (RFC 3246)
	SharedKeys            bool          // lets two phones have each other's keys (Stream.Shared)
	Workers               int           // threads; 0: half as many as cores, which leaves room for signalling
	Log                   *slog.Logger
}

// Options of one session.
type Options struct {
	Emergency bool // may use the reserved ports
}

// Relay owns the worker threads, the ports and the sessions.
type Relay struct {
	cfg     Config
	start   time.Time
	workers []*worker

	mu       sync.Mutex
	ports    *udp.Ports
	sessions map[*Session]struct{}
	closed   bool
	plays    atomic.Uint64 // how many there were: their numbers
}

// worker is one thread and what its packets need.
type worker struct {
	loop     *udp.Loop
	scratch  *srtp.Scratch
	spare    []byte // copy of a packet that may have to be opened twice
	report   []byte // RTCP being made
	drops    [reasons]atomic.Uint64
	sessions int // guarded by Relay.mu

	expected uint32 // what Expect has read

	frame   []byte // packet of a prompt being made
	keypads []*Leg // with a key held down
	players players
}

// New checks cfg and prepares the workers; nothing runs before Run.
func New(cfg Config) (*Relay, error) {
	if !cfg.AccessAddr.IsValid() || !cfg.TrunkAddr.IsValid() || cfg.AccessAddr.IsUnspecified() || cfg.TrunkAddr.IsUnspecified() {
		return nil, errors.New("media relay: both local addresses must be given, as peers shall reach them")
	}
	if cfg.DSCP < 0 || cfg.DSCP > 63 {
		return nil, fmt.Errorf("media relay: DSCP %d is not between 0 and 63", cfg.DSCP)
	}
	if cfg.Silence < 0 || cfg.Workers < 0 {
		return nil, errors.New("media relay: silence and workers must not be negative")
	}
	if cfg.Workers == 0 {
		cfg.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ports, err := udp.NewPorts(cfg.PortMin, cfg.PortMax, cfg.Drain, cfg.Reserved, uint(random32()))
	if err != nil {
		return nil, fmt.Errorf("media relay: %w", err)
	}
	r := &Relay{cfg: cfg, start: time.Now(), ports: ports, sessions: make(map[*Session]struct{})}
	for range cfg.Workers {
		loop, err := udp.NewLoop(r.start, 2*ports.Len())
		if err != nil {
			r.closeLoops()
			return nil, fmt.Errorf("media relay: %w", err)
		}
		scratch, err := srtp.NewScratch()
		if err != nil {
			loop.Close()
			r.closeLoops()
			return nil, fmt.Errorf("media relay: %w", err)
		}
		w := &worker{
			loop:    loop,
			scratch: scratch,
			spare:   make([]byte, udp.MaxPacket),
			report:  make([]byte, 0, udp.MaxPacket),
			frame:   make([]byte, udp.MaxPacket+udp.TailRoom),
		}
		r.workers = append(r.workers, w)
		if err := loop.SetTicker(w); err != nil {
			r.closeLoops()
			return nil, fmt.Errorf("media relay: %w", err)
		}
	}
	return r, nil
}

// Run relays until ctx ends, then closes every session. It is called once.
//
// Order at the end: threads first, since they use sockets and keys; then the sessions; then the threads' descriptors.
func (r *Relay) Run(ctx context.Context) error {
	udp.Unhurry()
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range r.workers {
		group.Go(func() error { return w.loop.Run(ctx) })
	}
	group.Go(func() error { r.watch(ctx); return nil })
	err := group.Wait()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, s := range r.list() {
		s.Close()
	}
	for _, w := range r.workers {
		w.scratch.Wipe()
	}
	r.closeLoops()
	return err
}

// Turn makes every worker turn once and waits for it: the proof that media are alive.
func (r *Relay) Turn(ctx context.Context) error {
	for _, w := range r.workers {
		if err := w.loop.Turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *Relay) closeLoops() {
	for _, w := range r.workers {
		w.loop.Close()
	}
}

// Open starts the media session of one call; id names it in logs. It takes no port yet. All legs of a session live on one worker, so
// that their packets need no lock.
func (r *Relay) Open(id string, o Options) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	least := r.workers[0]
	for _, w := range r.workers[1:] {
		if w.sessions < least.sessions {
			least = w
		}
	}
	s := &Session{id: id, emergency: o.Emergency, relay: r, worker: least, events: make(chan Event, eventRoom)}
	if r.closed {
		s.closed = true
		close(s.events)
		return s
	}
	least.sessions++
	r.sessions[s] = struct{}{}
	return s
}

func (r *Relay) forget(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.sessions[s]; ok {
		delete(r.sessions, s)
		s.worker.sessions--
	}
}

func (r *Relay) list() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.sessions))
	for s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// now is the relay's steady clock: the workers' too.
func (r *Relay) now() time.Duration { return time.Since(r.start) }

func random32() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return binary.NativeEndian.Uint32(b[:])
}
