// Package watchdog is the kernel's watchdog timer (Documentation/watchdog/watchdog-api.rst): once opened it resets the
// board unless it is fed in time, whatever has become of the program. When to feed it is not its job.
package watchdog

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/hal"
)

// Device is an open watchdog: it counts down.
type Device struct {
	file    *os.File
	timeout time.Duration
}

var _ hal.Watchdog = (*Device)(nil)

// Open starts the timer at path and asks for a timeout; the hardware may know a nearby one only, or has its own: Timeout
// says which. An error leaves the timer stopped, if it can be.
func Open(path string, timeout time.Duration) (*Device, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	d := &Device{file: f}
	seconds, err := d.setTimeout(int(timeout / time.Second))
	if err != nil {
		if seconds, err = unix.IoctlGetInt(int(f.Fd()), unix.WDIOC_GETTIMEOUT); err != nil {
			d.Close()
			return nil, fmt.Errorf("watchdog: %s tells no timeout: %w", path, err)
		}
	}
	d.timeout = time.Duration(seconds) * time.Second
	return d, nil
}

// setTimeout asks for seconds and returns what the driver made of it.
func (d *Device) setTimeout(seconds int) (int, error) {
	err := unix.IoctlSetPointerInt(int(d.file.Fd()), unix.WDIOC_SETTIMEOUT, seconds)
	if err != nil {
		return 0, err
	}
	return unix.IoctlGetInt(int(d.file.Fd()), unix.WDIOC_GETTIMEOUT)
}

// Timeout is how long the board lives without being fed.
func (d *Device) Timeout() time.Duration { return d.timeout }

// Feed begins the time anew: any byte does, but not the one that stops it.
func (d *Device) Feed() error {
	if _, err := d.file.Write([]byte{'.'}); err != nil {
		return fmt.Errorf("feed the watchdog: %w", err)
	}
	return nil
}

// Close stops the timer (the magic close) where the kernel was built to let it. Without Close, when the program is killed,
// the board resets after Timeout unless somebody opens the watchdog again.
func (d *Device) Close() error {
	_, err := d.file.Write([]byte{'V'})
	if e := d.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("stop the watchdog: %w", err)
	}
	return nil
}
