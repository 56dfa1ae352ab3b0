package udp

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Waking a thread costs about as much as relaying a packet. So a busy loop does not let each packet wake it, but sleeps for a moment and
// finds several. What that adds to a packet's delay is bounded by Nap; a loop with little to do wakes at once.

// Nap is how long a busy loop sleeps at most between two looks at its sockets.
const Nap = 250 * time.Microsecond

const (
	weighing = 5 * time.Millisecond // how often it is decided anew whether the loop is busy
	drowsy   = 4                    // packets expected in a nap from which on the loop is busy,
	awake    = 2                    // and below which it is not any more
	shortest = 30 * time.Microsecond
)

// pace decides when to nap.
type pace struct {
	busy  bool
	since time.Duration // beginning of what is weighed now
	count int           // packets since
}

// add counts the packets of a batch that ended at now.
func (p *pace) add(packets int, now time.Duration) {
	p.count += packets
	length := now - p.since
	if length < weighing {
		return
	}
	threshold := drowsy
	if p.busy {
		threshold = awake
	}
	// A thread that slept for long has no rate to speak of.
	p.busy = length < 4*weighing && int64(p.count)*int64(Nap) >= int64(threshold)*int64(length)
	p.since, p.count = now, 0
}

// nap is how long to sleep before the next look, when the last one was at from; 0: wait for the next packet, or look again at once if
// the loop is busy.
func (p *pace) nap(from, now time.Duration, full bool) time.Duration {
	if !p.busy || full {
		return 0
	}
	if d := from + Nap - now; d >= shortest {
		return d
	}
	return 0
}

// settle gives the calling thread, which must be the loop's own for good, precedence over ordinary programs and short naps. Both only
// help: without the right to it (CAP_SYS_NICE) the thread works all the same.
func settle() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(5*time.Microsecond), 0, 0, 0)
}

const niceness = -15

// Unhurry lets the process's threads come up to slack late where they sleep for a time, and so those that they start; a loop's own takes
// it back. One of them is the Go runtime's monitor: it takes the processor (P) away from a loop that naps, since a nap is a system call, and
// sees every 20 µs whether there is more to take, which is several per cent of what a busy relay costs. Go's timers are rounded to
// milliseconds anyway. It only helps, and does nothing without CAP_SYS_NICE or /proc.
func Unhurry() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		_ = os.WriteFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), strconv.AppendInt(nil, int64(slack), 10), 0)
	}
}

// slack is long enough to matter, and shorter than anything that the rest of a telephone system waits for.
const slack = 250 * time.Microsecond
