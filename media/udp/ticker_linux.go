package udp

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// TickPeriod is the time between two ticks. What is paced by it is off by half of it at most.
const TickPeriod = 5 * time.Millisecond

// ticking is the slot of the event that is a tick.
const ticking = -2

// Ticker does what is due by time and not by packet. Tick runs on the loop's thread, as a Receiver does; false: there is nothing to do
// until someone calls StartTicks again.
type Ticker interface {
	Tick(now time.Duration) (more bool)
}

// ticks are a loop's timer. It stands still while nothing needs it, so that an idle loop sleeps.
type ticks struct {
	ticker  Ticker // nil: none
	fd      int    // timerfd
	expired [8]byte

	mu sync.Mutex
	on bool
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

// StartTicks makes the ticks run until the Ticker has nothing to do. Whatever the Ticker looks at must have been published before.
// Any goroutine may call it.
func (l *Loop) StartTicks() { l.ticks.set(true) }

// tick serves the timer. The order at the end matters: whoever publishes work after the second look starts the ticks itself.
func (l *Loop) tick(now time.Duration) {
	if _, err := unix.Read(l.ticks.fd, l.ticks.expired[:]); err != nil {
		return // stopped since the wait
	}
	if l.ticks.ticker.Tick(now) {
		return
	}
	l.ticks.set(false)
	if l.ticks.ticker.Tick(now) {
		l.ticks.set(true)
	}
}

func (t *ticks) set(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticker == nil || t.on == on {
		return
	}
	var spec unix.ItimerSpec
	if on {
		period := unix.NsecToTimespec(TickPeriod.Nanoseconds())
		spec = unix.ItimerSpec{Interval: period, Value: period}
	}
	if err := unix.TimerfdSettime(t.fd, 0, &spec, nil); err == nil {
		t.on = on
	}
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
