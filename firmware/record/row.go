package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// row is the files of one kind: call.jsonl is the current one, call.1.jsonl the one before, and so on.
type row struct {
	dir   string
	kind  string
	bytes int64
	files int
	sync  bool // after each line: a power cut loses the line that is being written at most

	f     *os.File // nil: to be opened
	size  int64
	dirty bool // something was written since the last flush
}

// write appends a line. After an error the file is opened anew with the next line.
func (r *row) write(text []byte) error {
	if r.f != nil && r.size+int64(len(text)) >= r.bytes {
		if err := r.flush(); err != nil {
			return err
		}
		r.close()
		if err := r.shift(); err != nil {
			return err
		}
	}
	if r.f == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	n, err := r.f.Write(append(append(make([]byte, 0, len(text)+1), text...), '\n'))
	r.size += int64(n)
	r.dirty = true
	if err == nil && r.sync {
		err = r.flush()
	}
	if err != nil {
		r.close()
	}
	return err
}

// flush makes what was written safe from a power cut.
func (r *row) flush() error {
	if !r.dirty || r.f == nil {
		return nil
	}
	if err := r.f.Sync(); err != nil {
		r.close()
		return err
	}
	r.dirty = false
	return nil
}

// open goes on with the current file; a line that a crash has torn is ended, so that it spoils none but itself.
func (r *row) open() error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(r.path(0), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, size-1); err == nil && last[0] != '\n' {
			_, err = f.Write([]byte{'\n'})
			size++
		}
	}
	if err != nil {
		f.Close()
		return err
	}
	if size == 0 { // what is safe in a file whose name a power cut loses is not
		if err := syncFolder(r.dir); err != nil {
			f.Close()
			return err
		}
	}
	r.f, r.size = f, size
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// shift makes room for a new current file and lets the oldest go.
func (r *row) shift() error {
	for n := r.files - 1; n >= 0; n-- {
		var err error
		if n == r.files-1 {
			err = os.Remove(r.path(n))
		} else {
			err = os.Rename(r.path(n), r.path(n+1))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (r *row) path(n int) string {
	if n == 0 {
		return filepath.Join(r.dir, r.kind+".jsonl")
	}
	return filepath.Join(r.dir, fmt.Sprintf("%s.%d.jsonl", r.kind, n))
}

func (r *row) close() {
	if r.f != nil {
		r.f.Close()
		r.f = nil
	}
}
