package update

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sticks takes updates from USB sticks: a stick with a file *.update in its first folder is read once when it is put in. It
// has to be signed and newer, as any other; nothing on a stick is run, and nothing is written to it.
type Sticks struct {
	Server *Server

	parts func() ([]string, error) // of sticks
	mount func(part string) (dir string, unmount func() error, err error)
	seen  []string
}

const (
	stickEvery = 2 * time.Second
	mostOnIt   = 16 // bundles on a stick that are looked at
	bundleName = "*.update"
	stickDir   = marksDir + "/stick"
)

// NewSticks watches the machine's.
func NewSticks(s *Server) *Sticks { return &Sticks{Server: s, parts: usbParts, mount: mountStick} }

// Run watches until ctx ends.
func (s *Sticks) Run(ctx context.Context) error {
	tick := time.NewTicker(stickEvery)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes what has been put in since it last looked.
func (s *Sticks) look(ctx context.Context) {
	parts, err := s.parts()
	if err != nil {
		return // as if there were none
	}
	if len(parts) == 0 {
		s.Server.stick.Store(nil) // whoever took it out has read what was wrong, or will not
	}
	fresh := slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return slices.Contains(s.seen, p) })
	s.seen = parts
	var faults []error
	foreign := 0
	for _, p := range fresh {
		switch err := s.take(ctx, p); {
		case errors.Is(err, errNoFAT):
			foreign++
		case err != nil:
			faults = append(faults, err)
		}
	}
	if len(fresh) > 0 && foreign == len(fresh) {
		faults = []error{errNoFAT}
	}
	if err := errors.Join(faults...); err != nil {
		text := err.Error()
		s.Server.stick.Store(&text)
		s.Server.Log.Error("updater: USB stick", "partitions", fresh, "err", err)
	} else if len(fresh) > 0 {
		s.Server.stick.Store(nil)
	}
}

// errNoFAT is about a partition; about a stick when none of its partitions is FAT.
var errNoFAT = errors.New("nothing on it can be read: format it as FAT32 (large sticks come as exFAT)")

// take applies the first bundle of a stick that is good; the error is that of the last one. A stick whose version runs has done its work:
// it may stay in. One whose version did not prove itself is not taken again at each start.
func (s *Sticks) take(ctx context.Context, part string) (err error) {
	dir, unmount, err := s.mount(part)
	if err != nil {
		return errNoFAT
	}
	defer func() { err = errors.Join(err, unmount()) }()
	names, err := filepath.Glob(filepath.Join(dir, bundleName))
	if err != nil || len(names) == 0 {
		return err
	}
	slices.Sort(names)
	slices.Reverse(names) // the newest most likely first
	done := false
	for _, name := range names[:min(len(names), mostOnIt)] {
		if err = s.apply(ctx, name); err == nil {
			return nil
		}
		done = done || errors.Is(err, ErrRuns)
		err = fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	if done {
		return nil
	}
	return err
}

func (s *Sticks) apply(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = s.Server.apply(ctx, f, Order{Untended: true})
	return err
}

// usbParts are the partitions of USB disks, and disks without partitions; not those that the box runs from.
func usbParts() (parts []string, err error) {
	boot, err := filepath.EvalSymlinks(slotsDir + "/boot")
	if err != nil {
		return nil, err
	}
	disks, err := filepath.Glob("/sys/block/sd*")
	if err != nil {
		return nil, err
	}
	for _, d := range disks {
		disk := filepath.Base(d)
		if strings.HasPrefix(boot, "/dev/"+disk) {
			continue
		}
		inside, err := filepath.Glob(d + "/" + disk + "[0-9]*")
		if err != nil {
			return nil, err
		}
		if len(inside) == 0 {
			inside = []string{d}
		}
		for _, p := range inside {
			parts = append(parts, "/dev/"+filepath.Base(p))
		}
	}
	return parts, nil
}

func mountStick(part string) (string, func() error, error) {
	if err := os.MkdirAll(stickDir, 0o700); err != nil {
		return "", nil, err
	}
	if err := unix.Mount(part, stickDir, "vfat", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", nil, err
	}
	return stickDir, func() error { return unix.Unmount(stickDir, 0) }, nil
}
