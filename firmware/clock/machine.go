package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Machine is the clock of the machine; it needs CAP_SYS_TIME.
type Machine struct{}

// Step sets it.
func (Machine) Step(to time.Time) error {
	tv := unix.NsecToTimeval(to.UnixNano())
	return unix.Settimeofday(&tv)
}

// Slew moves it by half a millisecond a second (adjtimex(2), ADJ_OFFSET_SINGLESHOT).
func (Machine) Slew(by time.Duration) error {
	const singleshot = 0x8001
	x := unix.Timex{Modes: singleshot}
	assign(&x.Offset, by.Microseconds())
	_, err := unix.Adjtimex(&x)
	return err
}

// assign knows the width that the field has on this machine.
func assign[T int32 | int64](to *T, v int64) { *to = T(v) }
