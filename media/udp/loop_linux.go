// Package udp moves datagrams: sockets, the loop of a worker thread that waits for them, and the port allocator.
//
// A Loop is one thread with one epoll instance and one receive buffer. It hands each datagram to its socket's Receiver, on that thread,
// in the buffer; the Receiver may write into it, send it on and must not keep it. Nothing on that way allocates, locks or queues.
// What a datagram means is not this package's business. media/relay is its only user.
//
// Glossary: a batch is what one epoll wait brought; a slot is a socket's number inside its loop.
package udp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxPacket is the longest datagram that is received, in bytes; longer ones are dropped and counted.
	MaxPacket = 2048
	// TailRoom is the spare capacity behind each received packet, in bytes, for what encryption adds.
	TailRoom = 192

	batch  = 64 // sockets served per wait; bounds how long Quiesce takes
	wakeup = -1 // slot of the event that makes a round without a packet
)

// Receiver gets a socket's datagrams. now is the time since the loop's start; from has no IPv4-mapped address.
type Receiver interface {
	// Expect is called for a few sockets before the first of them is served, in Steps steps from 0, each for all of them. It may read
	// what Receive will need, and does nothing else: with a thousand sockets that is far from the processor, and reads for several
	// sockets, which do not wait for each other, overlap. A step follows pointers that the one before has read.
	Expect(step int)
	Receive(pkt []byte, from Addr, now time.Duration)
}

// Loop is one worker thread.
type Loop struct {
	start  time.Time
	epoll  int
	waker  int // eventfd
	woken  [8]byte
	slots  []atomic.Pointer[Socket]
	epoch  atomic.Uint64 // odd while a batch is being worked on
	buffer []byte
	events [batch]unix.EpollEvent
	ready  [batch]*Socket      // of these events
	from   unix.RawSockaddrAny // of the datagram just received
	to     sendName            // of the one being sent

	pace    pace
	looked  time.Duration // when the last wait ended
	full    bool          // and there was more than a round takes
	rounds  uint64
	napping unix.Timespec
	ticks   ticks

	received, sent, oversized, recvErrors, sendErrors, sendFull atomic.Uint64

	mu     sync.Mutex
	vacant []int32 // slots
	missed uint64  // by sockets that are closed
	closed bool
}

// NewLoop makes a loop for at most capacity sockets. Times are counted from start.
func NewLoop(start time.Time, capacity int) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	l := &Loop{
		start:  start,
		epoll:  epoll,
		waker:  waker,
		slots:  make([]atomic.Pointer[Socket], capacity),
		buffer: make([]byte, MaxPacket+TailRoom),
		vacant: make([]int32, capacity),
	}
	for i := range l.vacant {
		l.vacant[i] = int32(capacity - 1 - i)
	}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, waker, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeup}); err != nil {
		l.Close()
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return l, nil
}

// Run serves the sockets on a thread of its own until ctx ends. It is called once.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread() // and never unlocked: the thread's priority is not for other goroutines, so it ends with this one
	settle()
	stop := context.AfterFunc(ctx, l.wake)
	defer stop()
	for ctx.Err() == nil {
		if err := l.round(); err != nil {
			return err
		}
	}
	return nil
}

// round waits for packets, or naps, and serves what there is.
func (l *Loop) round() error {
	wait := -1
	if l.pace.busy {
		if d := l.pace.nap(l.looked, time.Since(l.start), l.full); d > 0 {
			l.napping = unix.NsecToTimespec(int64(d))
			_ = unix.Nanosleep(&l.napping, nil) // interrupted is long enough
		}
		wait = 0
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], wait)
	if err != nil {
		if errors.Is(err, unix.EINTR) {
			return nil
		}
		return fmt.Errorf("wait for media packets: %w", err)
	}
	l.looked = time.Since(l.start)
	l.full = n == len(l.events)
	l.serve(n, l.looked)
	l.pace.add(n, l.looked)
	return nil
}

// serve works on the first n events: one datagram a socket, so that a flood to one port delays the others little. What is left is
// reported again by the next wait; a socket that is reported time after time gets more of its queue read, or it would overflow while
// the loop naps.
func (l *Loop) serve(n int, now time.Duration) {
	l.epoch.Add(1)
	l.rounds++
	ready := l.ready[:0]
	for i := range l.events[:n] {
		slot := l.events[i].Fd
		switch slot {
		case wakeup:
			_, _ = unix.Read(l.waker, l.woken[:])
			continue
		case ticking:
			l.tick(now)
			continue
		}
		if s := l.slots[slot].Load(); s != nil { // nil: closed since the wait
			ready = append(ready, s)
		}
	}
	for some := range slices.Chunk(ready, expected) {
		if len(some) > 1 {
			for step := range Steps {
				for _, s := range some {
					s.receiver.Expect(step)
				}
			}
		}
		for _, s := range some {
			l.receive(s, now)
			if s.served+1 == l.rounds {
				l.drain(s, now)
			}
			s.served = l.rounds
		}
	}
	clear(ready)
	l.epoch.Add(1)
}

// Steps of Receiver.Expect.
const Steps = 3

// expected is how many sockets are looked after ahead: what they need has to stay in the nearest cache until they are served.
const expected = 8

// most is how many more datagrams of a flooded socket are read at a time.
const most = 15

func (l *Loop) drain(s *Socket, now time.Duration) {
	for range most {
		if !l.receive(s, now) {
			return
		}
	}
	l.full = true
}

// receive serves one datagram; false if there was none.
func (l *Loop) receive(s *Socket, now time.Duration) bool {
	n, err := recvfrom(s.fd, l.buffer[:MaxPacket], &l.from)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false
	case err != 0: // an ICMP error that was queued, most likely; it is gone now
		l.recvErrors.Add(1)
	case n > MaxPacket:
		l.oversized.Add(1)
	default:
		l.received.Add(1)
		s.receiver.Receive(l.buffer[:n], addrFrom(&l.from), now)
	}
	return true
}

// Quiesce waits until the batch that was being worked on, if any, is done. What was swapped out before the call is not in use any more
// when it returns. It must not be called from a Receiver.
func (l *Loop) Quiesce() {
	e := l.epoch.Load()
	if e%2 == 0 {
		return
	}
	for i := 0; l.epoch.Load() == e; i++ {
		if i < 10 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// Turn makes the loop turn once and waits for it: the proof that it is alive. It must not be called from a Receiver.
func (l *Loop) Turn(ctx context.Context) error {
	e := l.epoch.Load()
	until := e + 2 - e%2 // the end of the round that is under way, or of the next
	for l.wake(); l.epoch.Load() < until; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the media loop does not turn: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Count is what happened so far.
type Count struct {
	Received, Sent, Oversized, RecvErrors uint64
	SendErrors                            uint64 // for any reason,
	SendFull                              uint64 // and those because a queue was full
	Missed                                uint64 // arrived, but a socket's queue was full: the loop did not come in time
}

// Count reads the counters.
func (l *Loop) Count() Count {
	c := Count{
		Received: l.received.Load(), Sent: l.sent.Load(), Oversized: l.oversized.Load(),
		RecvErrors: l.recvErrors.Load(), SendErrors: l.sendErrors.Load(), SendFull: l.sendFull.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Missed = l.missed
	for i := range l.slots {
		if s := l.slots[i].Load(); s != nil {
			c.Missed += s.missed()
		}
	}
	return c
}

// Close frees the loop's descriptors. Run must have returned and every socket must be closed.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	unix.Close(l.epoll)
	unix.Close(l.waker)
	l.ticks.close()
}

func (l *Loop) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(l.waker, one[:]) // full means that it is awake anyway
	}
}
