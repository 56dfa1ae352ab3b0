// Package snapshot keeps a copy of what the program holds in RAM (registrations, dialogs, pins) in one file on tmpfs, so
// that a crash or a restart of the program loses none of it. A power cut does, as intended: nothing here is written to
// the card or survives a reboot. What must survive that belongs into firmware/outbox.
//
// The file is a log of puts and deletes, each with a CRC. A put is on its way to the kernel before it returns, and the
// kernel keeps tmpfs pages when the program is killed: what was acknowledged after its put is there after a kill -9.
// Rewriting 5,000 bindings for each of them would cost milliseconds; appending one costs microseconds. When the log has
// grown to several times of what lives in it, it is rewritten beside itself and renamed over.
package snapshot

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
)

// Bounds. What is kept is made from what phones send, so all of it has a limit.
const (
	MaxKey   = 1 << 10  // bytes of a key
	MaxValue = 64 << 10 // bytes of a value's JSON
	MaxLive  = 64 << 20 // bytes of all keys and values
	slack    = 1 << 20  // the log may be so much longer than twice of what lives
)

// Errors of Put.
var (
	ErrTooBig = errors.New("snapshot: key or value too big")
	ErrFull   = errors.New("snapshot: full")
	ErrClosed = errors.New("snapshot: closed")
)

// File is the snapshot file. Its methods are safe for concurrent use and block for one write to RAM at most.
type File struct {
	path string

	mu   sync.Mutex
	f    *os.File // nil: closed
	live map[string]map[string][]byte
	size int64 // of the log
	used int64 // of what lives, as records
	bad  bool  // the end of the log is not known to be right: rewrite before appending
}

// Report is what Open found.
type Report struct {
	Entries int
	Fault   string // why part or all of the old file was ignored; "" when nothing was
}

// Open reads the snapshot of the program's last life and goes on writing to it. A file that is torn, corrupt or of another
// version is used as far as it is right and Report says so; the error is for a file that cannot be written.
func Open(path string) (*File, Report, error) {
	s := &File{path: path, live: make(map[string]map[string][]byte)}
	var r Report
	switch data, err := readBounded(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		r.Fault = err.Error()
	default:
		r.Fault = s.replay(data)
	}
	for _, section := range s.live {
		r.Entries += len(section)
	}
	// A rewritten file has nothing wrong in it, and shows at once whether writing works.
	if err := s.rewrite(); err != nil {
		return nil, r, fmt.Errorf("snapshot: %w", err)
	}
	return s, r, nil
}

// Put keeps value, as JSON, under a key of a section. When it returns nil a kill of the program does not lose it.
func (s *File) Put(section, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", section, err)
	}
	if len(section)+len(key) > MaxKey || len(data) > MaxValue {
		return fmt.Errorf("%w: %s, %d bytes of key, %d of value", ErrTooBig, section, len(key), len(data))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, had := s.live[section][key]
	if had && bytes.Equal(old, data) {
		return nil
	}
	record := appendRecord(nil, put, section, key, data)
	grows := int64(len(record))
	if had {
		grows -= recordSize(section, key, old)
	}
	if s.used+grows > MaxLive {
		return ErrFull
	}
	// Memory first: should writing fail, the rewrite that follows has it.
	if s.live[section] == nil {
		s.live[section] = make(map[string][]byte)
	}
	s.live[section][key] = data
	s.used += grows
	return s.append(record)
}

// Delete forgets a key; one that is not there is no error.
func (s *File) Delete(section, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, had := s.live[section][key]
	if !had {
		return nil
	}
	delete(s.live[section], key)
	s.used -= recordSize(section, key, old)
	return s.append(appendRecord(nil, remove, section, key, nil))
}

// Load decodes all that a section holds, by key. Entries that do not fit T (from another version of the program) are
// left out and counted.
func Load[T any](s *File, section string) (entries map[string]T, unfit int) {
	s.mu.Lock()
	raw := maps.Clone(s.live[section])
	s.mu.Unlock()
	entries = make(map[string]T, len(raw))
	for key, data := range raw {
		var v T
		if json.Unmarshal(data, &v) != nil {
			unfit++
			continue
		}
		entries[key] = v
	}
	return entries, unfit
}

// Close ends writing; the file stays.
func (s *File) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}

// append writes one record, or the whole file anew when that is due or the last write failed.
func (s *File) append(record []byte) error {
	if s.f == nil {
		return ErrClosed
	}
	if s.bad || s.size+int64(len(record)) > 2*s.used+slack {
		if err := s.rewrite(); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		return nil
	}
	if _, err := s.f.Write(record); err != nil {
		s.bad = true
		return fmt.Errorf("snapshot: %w", err)
	}
	s.size += int64(len(record))
	return nil
}

// rewrite replaces the file by one that holds only what lives. The rename is atomic: a kill leaves the old or the new.
func (s *File) rewrite() error {
	data := []byte(magic)
	for _, section := range slices.Sorted(maps.Keys(s.live)) {
		for key, value := range s.live[section] {
			data = appendRecord(data, put, section, key, value)
		}
	}
	temporary := s.path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = os.Rename(temporary, s.path)
	}
	if err != nil {
		f.Close()
		os.Remove(temporary)
		return err
	}
	if s.f != nil {
		s.f.Close()
	}
	s.f, s.size, s.bad = f, int64(len(data)), false
	return nil
}
