// Package bootfile tells the person who edited the boot file on a PC what is wrong with it: in a text file beside it, on the
// card's FAT partition. That partition is mounted read-only; it is made writable for the moment, which root only can.
package bootfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrorsName is the text file's name.
const ErrorsName = "holdfast-errors.txt"

// Report writes what is wrong with the boot file beside it, or takes the text away when nothing is. What stands there
// already is not written again, so that a box in its usual life never writes to FAT.
func Report(file string, faults []error) error {
	dir := filepath.Dir(file)
	path := filepath.Join(dir, ErrorsName)
	want, wantFull := text("", filepath.Base(file), faults), text(fullSays, filepath.Base(file), faults)
	old, err := os.ReadFile(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look at %s: %w", path, err)
	case len(faults) == 0 && err != nil, len(faults) > 0 && err == nil && (bytes.Equal(old, want) || bytes.Equal(old, wantFull)):
		return nil
	}
	change := func() error {
		if len(faults) == 0 {
			err := os.Remove(path)
			_ = keepRoom(dir) // without it the box is none the worse until the next mistake
			return err
		}
		err := write(path, want)
		if err == nil {
			err = keepRoom(dir)
		}
		if errors.Is(err, unix.ENOSPC) {
			err = errors.Join(makeRoom(dir), write(path, wantFull))
		}
		return err
	}
	if err = change(); errors.Is(err, unix.EROFS) {
		err = writable(dir, change)
	}
	if err != nil {
		return fmt.Errorf("tell of the boot file's faults: %w", err)
	}
	return nil
}

// text is for a person at a PC: line ends that every editor knows, and no more than there is always room for.
func text(first, name string, faults []error) []byte {
	var b strings.Builder
	b.WriteString(first)
	fmt.Fprintf(&b, "Holdfast found mistakes in %s or in what it names.\nMend them, and start the box again; this file then disappears.\n\n", name)
	for _, f := range faults {
		for line := range strings.Lines(f.Error()) {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	all := strings.ReplaceAll(b.String(), "\n", "\r\n")
	if len(all) > mostText {
		all = strings.ToValidUTF8(all[:mostText], "") + "\r\n... and more\r\n"
	}
	return []byte(all)
}

// write leaves no empty file where there is no room: whoever finds one looks for mistakes that it does not name.
func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	n, err := f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil && n == 0 {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// writable makes the file system that dir is on writable while change runs. dir must be where it is mounted.
func writable(dir string, change func() error) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return err
	}
	// Of the mount's own flags those that a remount would otherwise take away; the numbers are the same (statfs(2), mount(2)).
	flags := uintptr(s.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
		return fmt.Errorf("make %s writable: %w", dir, err)
	}
	err := change()
	if e := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY|flags, ""); e != nil {
		err = errors.Join(err, fmt.Errorf("make %s read-only again: %w", dir, e))
	}
	return err
}
