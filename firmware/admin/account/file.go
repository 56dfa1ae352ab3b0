package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// maxFile bounds what is read, in bytes.
const maxFile = 1 << 20

// stamp tells one state of the file from another: a rename gives a new inode.
type stamp struct {
	inode uint64
	mtime time.Time
	size  int64
}

// read returns what the file says, from memory while it has not changed. A file that cannot be read lets nobody in.
func (s *Store) read() (contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

func (s *Store) load() (contents, error) {
	i, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.seen, s.data, s.fault = stamp{}, contents{}, nil
		return contents{}, nil
	}
	if err != nil {
		return contents{}, fmt.Errorf("accounts: %w", err)
	}
	now := stamp{mtime: i.ModTime(), size: i.Size()}
	if sys, ok := i.Sys().(*syscall.Stat_t); ok {
		now.inode = sys.Ino
	}
	if now != s.seen {
		s.seen = now
		s.data, s.fault = parse(s.path, i.Size())
	}
	return contents{slices.Clone(s.data.Users), slices.Clone(s.data.Tokens)}, s.fault
}

func parse(path string, size int64) (c contents, err error) {
	if size > maxFile {
		return c, fmt.Errorf("accounts: %s has %d bytes: is it the right file?", path, size)
	}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return contents{}, fmt.Errorf("accounts: %s cannot be read (%w): mend it, or remove it and make accounts anew with `holdfast admin passwd`", path, err)
	}
	return c, nil
}

// change reads, edits and writes the file under a lock that other programs obey, atomically. Where there is an admin, one stays:
// nobody could make another on a box without a shell.
func (s *Store) change(edit func(*contents) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	lock, err := os.OpenFile(s.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	defer lock.Close()
	if err := give(lock); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("accounts: lock: %w", err)
	}
	c, err := s.load()
	if err != nil {
		return err
	}
	hadAdmin := c.hasAdmin()
	if err := edit(&c); err != nil {
		return err
	}
	if hadAdmin && !c.hasAdmin() {
		return ErrLastAdmin
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	s.sweep()
	if err := replace(s.path, append(data, '\n')); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return nil
}

// sweep removes what a power cut left of writing: it holds hashes that may be good no more. Nobody else writes now.
func (s *Store) sweep() {
	left, _ := filepath.Glob(s.path + ".[0-9]*") // the pattern is right; a folder's name that looks like one finds nothing
	for _, name := range left {
		os.Remove(name)
	}
}

// give makes a file that root has made in the folder of the box's user that user's.
func give(f *os.File) error {
	i, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if sys, ok := i.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(sys.Uid), int(sys.Gid))
	}
	return nil
}

// replace writes a file beside path and renames it, each with its flush.
func replace(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, give(f), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
