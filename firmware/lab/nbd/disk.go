// Package nbd is a disk that loses what a real one would lose when its power goes: a network block device (the NBD protocol, fixed
// newstyle, as QEMU speaks it) with a write cache in memory. What was flushed is in the file; at a cut a random part of the
// rest reaches it, one write of them torn at a sector's edge, and the others are gone.
//
// Killing a virtual machine alone proves nothing about flushes, because its host keeps what it wrote. What machine
// uses the disk, and what must be on it afterwards, is not this package's job.
package nbd

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

const sector = 512

var (
	errOutside = errors.New("outside of the disk")
	errNoPower = errors.New("disk: no power")
	errWorn    = errors.New("disk: worn out")
)

// Disk is the disk. Its methods are safe for concurrent use.
type Disk struct {
	mu      sync.Mutex
	file    *os.File
	size    int64
	cached  map[int64]*[sector]byte // by sector number: what reads see before the file
	pending []write                 // in order, since the last flush
	dead    bool                    // cut: nothing more reaches the file
	worn    bool                    // writes are refused
	refused int                     // so many were
	watched []*Watch
	last    time.Time  // of the last write or flush
	cutAt   int        // so many writes from now the power goes; 0: it does not
	cutWhen []byte     // cutAt counts from a write that holds it; nil: from now
	random  *rand.Rand // for that
	lost    chan Loss
}

type write struct {
	at   int64
	data []byte
}

// Watch waits for a text on its way to the card.
type Watch struct {
	disk    *Disk
	text    []byte
	written bool
	flushes int // since then
}

// Open takes a raw image whose size is a multiple of 512 bytes.
func Open(name string) (*Disk, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	st, err := f.Stat()
	if err == nil && (st.Size() == 0 || st.Size()%sector != 0) {
		err = fmt.Errorf("%s: %d bytes are no whole sectors", name, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("disk: %w", err)
	}
	return &Disk{file: f, size: st.Size(), cached: map[int64]*[sector]byte{}}, nil
}

// Close gives the file back, without what was not flushed.
func (d *Disk) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	return d.file.Close()
}

// read fills p from an offset; both must be whole sectors.
func (d *Disk) read(p []byte, at int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inside(len(p), at); err != nil {
		return err
	}
	if _, err := d.file.ReadAt(p, at); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if len(d.cached) == 0 {
		return nil
	}
	for i := 0; i < len(p); i += sector {
		if c := d.cached[(at+int64(i))/sector]; c != nil {
			copy(p[i:], c[:])
		}
	}
	return nil
}

// write puts p into the cache; it keeps p.
func (d *Disk) write(p []byte, at int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.inside(len(p), at); err != nil {
		return err
	}
	if d.dead {
		return errNoPower
	}
	if d.worn {
		d.refused++
		return errWorn
	}
	d.pending, d.last = append(d.pending, write{at, p}), time.Now()
	for i := 0; i < len(p); i += sector {
		d.cached[(at+int64(i))/sector] = (*[sector]byte)(p[i:])
	}
	for _, w := range d.watched {
		w.written = w.written || bytes.Contains(p, w.text)
	}
	if d.cutWhen != nil && bytes.Contains(p, d.cutWhen) {
		d.cutWhen = nil
	}
	if d.cutAt > 0 && d.cutWhen == nil {
		if d.cutAt--; d.cutAt == 0 {
			loss, err := d.cut(d.random)
			d.lost <- loss
			return errors.Join(errNoPower, err)
		}
	}
	return nil
}

// WearOut makes a disk that can be read only, as cards become at the end of their lives: it refuses writes, and does not say so before.
func (d *Disk) WearOut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.worn = true
}

// Refused is how many writes a worn disk has refused.
func (d *Disk) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

func (d *Disk) inside(n int, at int64) error {
	if at < 0 || n%sector != 0 || at%sector != 0 || at > d.size-int64(n) {
		return fmt.Errorf("disk: %d bytes at %d: %w", n, at, errOutside)
	}
	return nil
}

// flush makes everything that was written so far permanent.
func (d *Disk) flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errNoPower
	}
	if err := d.apply(d.pending); err != nil {
		return err
	}
	d.pending, d.cached = nil, map[int64]*[sector]byte{}
	d.last = time.Now()
	for _, w := range d.watched {
		if w.written {
			w.flushes++
		}
	}
	return nil
}

func (d *Disk) apply(writes []write) error {
	for _, w := range writes {
		if _, err := d.file.WriteAt(w.data, w.at); err != nil {
			return fmt.Errorf("disk: %w", err)
		}
	}
	return nil
}

// Watch waits for a write that holds the text, from now on.
func (d *Disk) Watch(text string) *Watch {
	w := &Watch{disk: d, text: []byte(text)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched = append(d.watched, w)
	return w
}

// A file system that is asked to make a file safe flushes what is in it, writes its journal, and flushes again; who asked
// hears of it only then. Other files' flushes may come in between, so the disk must have been quiet besides.
const (
	flushesOfOne = 2
	quiet        = time.Second
)

// Settled reports whether whoever wrote the text, and asked for it to be safe, must have heard that it is.
func (w *Watch) Settled() bool {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	return w.flushes >= flushesOfOne && len(w.disk.pending) == 0 && time.Since(w.disk.last) >= quiet
}

// Loss is what a cut did to the writes that were not flushed.
type Loss struct{ Unflushed, Kept, Torn int }

func (l Loss) String() string {
	return fmt.Sprintf("%d writes not flushed: %d kept, %d torn, %d lost", l.Unflushed, l.Kept, l.Torn, l.Unflushed-l.Kept-l.Torn)
}

// CutAfter takes the power away with the n-th write from now, before anybody can flush it. The loss comes on the channel.
func (d *Disk) CutAfter(n int, r *rand.Rand) <-chan Loss {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt, d.cutWhen, d.random, d.lost = n, nil, r, make(chan Loss, 1)
	return d.lost
}

// CutAt is CutAfter that counts from a write that holds the text: with n = 1 that write is the last one.
func (d *Disk) CutAt(text string, n int, r *rand.Rand) <-chan Loss {
	lost := d.CutAfter(n, r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutWhen = []byte(text)
	return lost
}

// Cut takes the power away now; that it is gone already is no error.
func (d *Disk) Cut(r *rand.Rand) (Loss, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return Loss{}, nil
	}
	return d.cut(r)
}

// cut: of the unflushed writes each is kept or lost by chance, and one is torn: a part of its sectors is written, from the front or
// from the back. After it the disk takes nothing.
func (d *Disk) cut(r *rand.Rand) (Loss, error) {
	d.dead = true
	loss := Loss{Unflushed: len(d.pending)}
	torn := -1
	if len(d.pending) > 0 {
		torn = r.IntN(len(d.pending))
	}
	var kept []write
	for i, w := range d.pending {
		sectors := len(w.data) / sector
		switch {
		case i == torn && sectors > 1:
			n := (1 + r.IntN(sectors-1)) * sector
			if r.IntN(2) == 0 {
				w.data = w.data[:n]
			} else {
				w.at, w.data = w.at+int64(n), w.data[n:]
			}
			kept = append(kept, w)
			loss.Torn++
		case r.IntN(2) == 0:
			kept = append(kept, w)
			loss.Kept++
		}
	}
	d.pending, d.cached = nil, nil
	return loss, d.apply(kept)
}
