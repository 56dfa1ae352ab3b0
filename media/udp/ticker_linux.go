package udp

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ticking is the slot of the event that is a tick.
const ticking = -2

// Ticker does what is due by time and not by packet. Tick runs on the loop's thread, as a Receiver does, and says when it wants to be
// called next; 0: not before someone calls StartTicks.
type Ticker interface {
	Tick(now time.Duration) (next time.Duration)
}

// ticks are a loop's timer. It is set for one tick at a time, so that a loop with nothing due sleeps.
type ticks struct {
	ticker  Ticker // nil: none
	fd      int    // timerfd
	started atomic.Uint64

	mu sync.Mutex
}

// SetTicker names who gets the ticks. It is called once, before Run.
func (l *Loop) SetTicker(t Ticker) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create timer: %w", err)
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: ticking}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("watch timer: %w", err)
	}
	l.ticks.ticker, l.ticks.fd = t, fd
	return nil
}

// StartTicks makes the Ticker run at once. Whatever it is to look at must have been published before. Any goroutine may call it.
func (l *Loop) StartTicks() {
	t := &l.ticks
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started.Add(1)
	t.set(1)
}

// tick serves the timer. What is published while the Ticker runs starts the timer itself, and that is not undone here.
func (l *Loop) tick(now time.Duration) {
	t := &l.ticks
	started := t.started.Load()
	next := t.ticker.Tick(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.started.Load() != started:
	case next == 0:
		t.set(0)
	default:
		t.set(max(next-now, 1))
	}
}

// set makes the timer run out after d; 0: never. Either way it has not run out now, so that nobody needs to read it.
func (t *ticks) set(d time.Duration) {
	if t.ticker == nil {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	_ = unix.TimerfdSettime(t.fd, 0, &spec, nil) // fails for no timer that is open
}

// close frees the timer. Run must have returned.
func (t *ticks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticker != nil {
		unix.Close(t.fd)
		t.ticker = nil
	}
}
