package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// store is the folder with the reports: one file of JSON each.
type store struct {
	dir  string
	keep int
}

const (
	reportSuffix = ".json"
	mostFile     = 64 << 20 // of one report that is read
	mostStored   = 64 << 20 // of all reports together
)

// ErrUnknown says that there is no such report.
var ErrUnknown = errors.New("no such report")

// save writes a report so that it is whole or not there, then lets the oldest go.
func (s store) save(r *Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("report %s: %w", r.ID, err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("report %s: %w", r.ID, err)
	}
	temporary := filepath.Join(s.dir, r.ID+".new")
	if err := writeSynced(temporary, data); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("report %s: %w", r.ID, err)
	}
	if err := os.Rename(temporary, filepath.Join(s.dir, r.ID+reportSuffix)); err != nil {
		return fmt.Errorf("report %s: %w", r.ID, err)
	}
	if err := s.sync(); err != nil {
		return err
	}
	return s.retain(r.ID)
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// discard removes a file, durably.
func (s store) discard(name string) error {
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("report: %w", err)
	}
	return s.sync()
}

func (s store) sync() error {
	f, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("report: sync folder: %w", err)
	}
	return nil
}

// retain removes the oldest reports beyond the number and the size that are kept, never the newest.
func (s store) retain(newest string) error {
	ids, err := s.ids()
	if err != nil {
		return err
	}
	var total int64
	for n, id := range slices.Backward(ids) {
		path := filepath.Join(s.dir, id+reportSuffix)
		if i, err := os.Stat(path); err == nil {
			total += i.Size()
		}
		if (len(ids)-n > s.keep || total > mostStored) && id != newest {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
	return nil
}

// ids are the reports' names, the oldest first: they sort by time.
func (s store) ids() ([]string, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reports: %w", err)
	}
	var ids []string
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), reportSuffix)
		if _, err := time.Parse(idFormat, id); ok && err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (s store) list() ([]Summary, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(ids))
	var faults []error
	for _, id := range ids {
		r, err := s.get(id)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		out = append(out, r.summary())
	}
	if len(out) == 0 {
		return out, errors.Join(faults...)
	}
	return out, nil
}

// get reads a report; only a name that the box gives itself is looked for.
func (s store) get(id string) (*Report, error) {
	if id == "" {
		ids, err := s.ids()
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			return nil, fmt.Errorf("%w: no outage and no drill is over yet", ErrUnknown)
		}
		id = ids[len(ids)-1]
	}
	if _, err := time.Parse(idFormat, id); err != nil {
		return nil, fmt.Errorf("%w: %q is no report's name; `holdfast report list` shows them", ErrUnknown, id)
	}
	path := filepath.Join(s.dir, id+reportSuffix)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w: %s; `holdfast report list` shows those that are kept", ErrUnknown, id)
	case err != nil:
		return nil, fmt.Errorf("report: %w", err)
	case info.Size() > mostFile:
		return nil, fmt.Errorf("report %s has %d bytes: this is not what the box has written", id, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("report %s is damaged: %w", id, err)
	}
	return r, nil
}
