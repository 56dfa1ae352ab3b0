package update

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Card is the card that the box runs from.
type Card struct {
	Boot    string // the FAT partition's folder
	Slots   string // the folder with slot-a and slot-b, the partitions of the root file systems
	Marks   string // the folder where this boot's trial and its confirmation are noted
	Running Slot
	Trial   bool // this boot is a try of Running
	Now     Release

	chunk   int64 // is written at once
	flush   int64 // may wait to be written: so little that calls do not feel it
	open    func(path string, write bool) (file, error)
	unlock  func() (lock func() error, err error) // makes Boot writable
	writing sync.Mutex
	health  healths
	doubt   chan struct{} // a slot should be looked at now
}

// file is what is written in place.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Size() (int64, error)
	Forget() // what is read next comes from the card
}

// Paths of the image.
const (
	bootDir     = "/boot"
	slotsDir    = "/dev/holdfast"
	marksDir    = "/run/slot"
	releaseFile = "/etc/holdfast-release"
	cmdline     = "/proc/cmdline"
)

// ErrNoImage says that the machine does not run from a Holdfast image: there are no slots to write.
var ErrNoImage = errors.New("this machine does not run from a Holdfast image: there is nothing that an update could replace")

// Open finds the card of the running image.
func Open() (*Card, error) {
	text, err := os.ReadFile(releaseFile)
	if err != nil {
		return nil, ErrNoImage
	}
	release, err := ParseRelease(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", releaseFile, err)
	}
	args, err := os.ReadFile(cmdline)
	if err != nil {
		return nil, fmt.Errorf("which slot runs: %w", err)
	}
	c := &Card{Boot: bootDir, Slots: slotsDir, Marks: marksDir, Now: release, chunk: 256 << 10, flush: 4 << 20, open: openFile, unlock: remount(bootDir), doubt: make(chan struct{}, 1)}
	for _, word := range strings.Fields(string(args)) {
		switch {
		case strings.HasPrefix(word, "holdfast.slot="):
			c.Running = letter(strings.TrimPrefix(word, "holdfast.slot="))
		case word == "holdfast.trial=1":
			c.Trial = true
		}
	}
	if !c.Running.valid() {
		return nil, ErrNoImage
	}
	return c, nil
}

// remount makes a read-only file system writable for a while.
func remount(dir string) func() (func() error, error) {
	const flags = unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	return func() (func() error, error) {
		if err := unix.Mount("", dir, "", flags, ""); err != nil {
			return nil, fmt.Errorf("make %s writable: %w", dir, err)
		}
		return func() error {
			return patiently(func() error { return unix.Mount("", dir, "", flags|unix.MS_RDONLY, "") })
		}, nil
	}
}

// patiently tries for a second what another program's open file stands in the way of: what was written is written all the same.
func patiently(try func() error) error {
	for range 10 {
		if err := try(); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return try()
}

// withBoot runs do while the FAT partition can be written.
func (c *Card) withBoot(do func() error) error {
	lock, err := c.unlock()
	if err != nil {
		return err
	}
	err = do()
	return errors.Join(err, lock())
}

func (c *Card) rootPath(s Slot) string { return c.Slots + "/slot-" + s.String() }
func (c *Card) bootPath(s Slot) string { return c.Boot + "/slot-" + s.String() + "/" + BootFile }

func (c *Card) readAll(path string, most int64) ([]byte, error) {
	f, err := c.open(path, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.Forget()
	size, err := f.Size()
	if err != nil || size > most {
		return nil, fmt.Errorf("%s has %d bytes: %w", path, size, err)
	}
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// writeThrough writes from the file's start; it is on the card when nil is returned.
func (c *Card) writeThrough(path string, b []byte) error {
	f, err := c.open(path, true)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// mark leaves a note for init, in RAM.
func (c *Card) mark(name string) error {
	f, err := os.Create(filepath.Join(c.Marks, name))
	if err != nil {
		return err
	}
	return f.Close()
}

// osFile is a file or a block device.
type osFile struct{ *os.File }

// openFile opens for writing only what will be written: a file that is open for writing keeps its file system from becoming
// read-only again, and whoever asks for the state meanwhile would be in the update's way.
func openFile(path string, write bool) (file, error) {
	how := os.O_RDONLY
	if write {
		how = os.O_RDWR
	}
	f, err := os.OpenFile(path, how, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Size works for block devices, too.
func (f osFile) Size() (int64, error) { return f.Seek(0, io.SeekEnd) }

// Forget drops what the kernel keeps of the file; where it cannot, reading back proves less.
func (f osFile) Forget() { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }
