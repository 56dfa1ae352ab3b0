package outbox

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
)

// fakeDisk is a card that forgets what was not synced. It can be made to fail, and to die after so many steps.
type fakeDisk struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	names   map[string]*fakeFile // as the program sees them
	durable map[string]*fakeFile // as the card has them
	left    int                  // steps until the power goes; negative: never
	failing float64              // chance that a step fails
}

type fakeFile struct {
	disk   *fakeDisk
	data   []byte
	synced []byte
}

var (
	errPower = errors.New("no power")
	errCard  = errors.New("card error")
)

func newFakeDisk(seed uint64) *fakeDisk {
	return &fakeDisk{rnd: rand.New(rand.NewPCG(seed, 1)), names: map[string]*fakeFile{}, durable: map[string]*fakeFile{}, left: -1}
}

// step is called with mu held before anything changes.
func (d *fakeDisk) step() error {
	if d.left == 0 {
		return errPower
	}
	if d.left > 0 {
		d.left--
	}
	if d.rnd.Float64() < d.failing {
		return errCard
	}
	return nil
}

// restart is the disk as it is found after the power came back: of what was not synced, any part may be there, and
// torn.
func (d *fakeDisk) restart() *fakeDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := &fakeDisk{rnd: d.rnd, names: map[string]*fakeFile{}, durable: map[string]*fakeFile{}, left: -1}
	candidates := map[string]*fakeFile{}
	for name, f := range d.durable {
		if d.names[name] == f || d.rnd.IntN(2) == 0 { // a removal may not have reached the card
			candidates[name] = f
		}
	}
	for name, f := range d.names {
		if d.durable[name] == nil && d.rnd.IntN(2) == 0 { // nor a creation
			candidates[name] = f
		}
	}
	for name, f := range candidates {
		data := bytes.Clone(f.synced)
		if !bytes.Equal(f.data, f.synced) {
			switch d.rnd.IntN(4) {
			case 0: // nothing of it
			case 1: // all of it
				data = bytes.Clone(f.data)
			default: // a part of what was added, perhaps with a hole or rubbish in it
				if len(f.data) > len(f.synced) && bytes.HasPrefix(f.data, f.synced) {
					data = bytes.Clone(f.data[:len(f.synced)+d.rnd.IntN(len(f.data)-len(f.synced)+1)])
					if n := len(data) - len(f.synced); n > 0 && d.rnd.IntN(2) == 0 {
						at := len(f.synced) + d.rnd.IntN(n)
						for i := at; i < len(data) && i < at+64; i++ {
							data[i] = byte(d.rnd.Uint32())
						}
					}
				}
			}
		}
		g := &fakeFile{disk: next, data: data, synced: bytes.Clone(data)}
		next.names[name], next.durable[name] = g, g
	}
	return next
}

func (d *fakeDisk) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.names {
		names = append(names, name)
	}
	return names, nil
}

func (d *fakeDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.names[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (d *fakeDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	f := &fakeFile{disk: d}
	d.names[name] = f
	return f, nil
}

func (d *fakeDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *fakeDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step(); err != nil {
		return err
	}
	d.durable = map[string]*fakeFile{}
	for name, f := range d.names {
		d.durable[name] = f
	}
	return nil
}

func (f *fakeFile) ReadAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *fakeFile) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step(); err != nil {
		p = p[:f.disk.rnd.IntN(len(p)+1)] // a part may have been written
		f.put(p, at)
		return len(p), err
	}
	f.put(p, at)
	return len(p), nil
}

func (f *fakeFile) put(p []byte, at int64) {
	if f.disk.left == 0 {
		return
	}
	if need := int(at) + len(p); need > len(f.data) {
		f.data = append(f.data, make([]byte, need-len(f.data))...)
	}
	copy(f.data[at:], p)
}

func (f *fakeFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step(); err != nil {
		return err
	}
	f.synced = bytes.Clone(f.data)
	return nil
}

func (f *fakeFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step(); err != nil {
		return err
	}
	if int(size) < len(f.data) {
		f.data = f.data[:size:size]
	}
	return nil
}

func (f *fakeFile) size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *fakeFile) Close() error { return nil }
