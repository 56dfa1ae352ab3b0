package provision

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast/sip/site"
)

// document is a site document with what is known about it.
type document struct {
	meta
	data []byte
	site *site.Site
}

// meta stands on the first line of the file, in JSON; the document's exact bytes follow. One file, so that there is no
// moment when a document stands beside another one's signature.
type meta struct {
	Format    int       `json:"format"`
	SHA256    string    `json:"sha256"`
	Source    string    `json:"source"`
	Fetched   time.Time `json:"fetched"`
	ETag      string    `json:"etag,omitempty"`
	Signature string    `json:"signature,omitempty"`
	SignedBy  string    `json:"signed_by,omitempty"`
	Keys      []string  `json:"keys,omitempty"`   // in force with this document
	Pinned    string    `json:"pinned,omitempty"` // the boot file's key when it came
}

const (
	format       = 1
	currentName  = "site.good"
	previousName = "site.good.previous"
	newName      = "site.good.new"
)

// store keeps the last good document and its predecessor.
type store struct {
	dir string
	// damaged: what is there under currentName is not to become the predecessor.
	damaged bool
	// step is called before each change of the folder; tests stop the world there. nil outside tests.
	step func(name string) error
}

// load reads the last good document; its predecessor when that is torn or keep refuses it. nil without an error
// means that there never was one. With a document, the error says what was wrong with the one that should have been it.
func (s *store) load(keep func(*document) error) (*document, error) {
	d, err := s.read(currentName, keep)
	if err == nil {
		return d, nil
	}
	missing := errors.Is(err, os.ErrNotExist)
	s.damaged = !missing
	previous, errPrevious := s.read(previousName, keep)
	switch {
	case errPrevious == nil && missing:
		return previous, nil // the power went between the two renames of save
	case errPrevious == nil:
		return previous, fmt.Errorf("%w; its predecessor serves", err)
	case missing && errors.Is(errPrevious, os.ErrNotExist):
		return nil, nil
	}
	return nil, errors.Join(err, errPrevious)
}

func (s *store) read(name string, keep func(*document) error) (*document, error) {
	path := filepath.Join(s.dir, name)
	file, err := readFileBoundedBy(path)
	if err != nil {
		return nil, err
	}
	first, data, found := bytes.Cut(file, []byte("\n"))
	d := &document{data: data}
	if !found || json.Unmarshal(first, &d.meta) != nil {
		return nil, fmt.Errorf("%s is torn", path)
	}
	sum := sha256.Sum256(data)
	if d.Format != format || d.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%s is damaged", path)
	}
	if err := keep(d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// readFileBoundedBy allows for the line before the document.
func readFileBoundedBy(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxDocument+64<<10 {
		return nil, fmt.Errorf("%s: %w", path, ErrTooBig)
	}
	return os.ReadFile(path)
}

// save makes d the last good document and the one before its predecessor. Whenever the power goes, load finds one of
// them whole: the new file is complete and synced before anything is renamed.
func (s *store) save(d *document) error {
	sum := sha256.Sum256(d.data)
	d.Format, d.SHA256 = format, hex.EncodeToString(sum[:])
	first, err := json.Marshal(d.meta)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	path := func(name string) string { return filepath.Join(s.dir, name) }
	if err := s.writeSynced(path(newName), append(append(first, '\n'), d.data...)); err != nil {
		return err
	}
	if !s.damaged {
		if err := s.do("retire", func() error { return os.Rename(path(currentName), path(previousName)) }); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := s.do("switch", func() error { return os.Rename(path(newName), path(currentName)) }); err != nil {
		return err
	}
	s.damaged = false
	return s.do("sync folder", func() error {
		folder, err := os.Open(s.dir)
		if err != nil {
			return err
		}
		defer folder.Close()
		return folder.Sync()
	})
}

func (s *store) writeSynced(path string, data []byte) error {
	if err := s.do("create", func() error {
		err := os.Remove(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// In two halves, so that a test can stop in between.
	for _, half := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		if err := s.do("write", func() error { _, err := f.Write(half); return err }); err != nil {
			return err
		}
	}
	return s.do("sync", f.Sync)
}

func (s *store) do(name string, change func() error) error {
	if s.step != nil {
		if err := s.step(name); err != nil {
			return err
		}
	}
	return change()
}
