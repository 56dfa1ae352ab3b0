package update

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// disk is a card in memory that loses power: what was written and not flushed is kept or lost sector by sector, and the
// sector that is being written is torn.
type disk struct {
	mu    sync.Mutex
	files map[string]*platter
	left  int // writes and flushes until the power goes; below zero: never
	dead  bool
	dice  *rand.Rand
	ops   int
	fault error // of writes
}

// platter is one file: what a reader sees, and what would be left after a cut.
type platter struct{ seen, kept []byte }

const sector = 512

var errPower = errors.New("the power is gone")

func newDisk(seed uint64) *disk {
	return &disk{files: make(map[string]*platter), left: -1, dice: rand.New(rand.NewPCG(seed, 1))}
}

// put is how the card came from the factory.
func (d *disk) put(path string, content []byte, size int) {
	b := make([]byte, size)
	copy(b, content)
	d.files[path] = &platter{append([]byte(nil), b...), b}
}

func (d *disk) open(path string, write bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errPower
	}
	p, ok := d.files[path]
	if !ok {
		return nil, errors.New("no such file: " + path)
	}
	return &handle{d, p, write}, nil
}

// step counts an operation; false when the power goes during it.
func (d *disk) step() bool {
	d.ops++
	if d.left == 0 {
		d.dead = true
		return false
	}
	d.left--
	return true
}

// powerUp is the card after the cut.
func (d *disk) powerUp() {
	for _, p := range d.files {
		for at := 0; at < len(p.seen); at += sector {
			end := min(at+sector, len(p.seen))
			if d.dice.IntN(2) == 0 { // it had reached the card by itself
				copy(p.kept[at:end], p.seen[at:end])
			}
		}
		copy(p.seen, p.kept)
	}
	d.dead, d.left = false, -1
}

type handle struct {
	d     *disk
	p     *platter
	write bool
}

func (h *handle) ReadAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, errPower
	}
	if at >= int64(len(h.p.seen)) {
		return 0, io.EOF
	}
	n := copy(b, h.p.seen[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) WriteAt(b []byte, at int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead {
		return 0, errPower
	}
	if h.d.fault != nil {
		return 0, h.d.fault
	}
	if !h.write {
		return 0, errors.New("opened for reading")
	}
	if at+int64(len(b)) > int64(len(h.p.seen)) {
		return 0, errors.New("behind the end")
	}
	if h.d.step() {
		return copy(h.p.seen[at:], b), nil
	}
	torn := h.d.dice.IntN(len(b) + 1) // in the middle of a sector
	copy(h.p.kept[at:], b[:torn])
	copy(h.p.seen[at:], b[:torn])
	return torn, errPower
}

func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.d.dead || !h.d.step() {
		return errPower
	}
	copy(h.p.kept, h.p.seen)
	return nil
}

func (h *handle) Close() error         { return nil }
func (h *handle) Size() (int64, error) { return int64(len(h.p.seen)), nil }
func (h *handle) Forget()              {}

// bootScript is board/common/boot.cmd in Go: it says which slot boots, and writes as that does. whole says whether a slot's boot
// file has its checksum.
func bootScript(t *testing.T, d *disk, whole func(Slot) bool) (slot Slot, trial bool) {
	t.Helper()
	c := &Card{Boot: "boot", Slots: "dev", open: d.open}
	for range 10 {
		s, _ := c.readState()
		write := func(next State) bool { return c.writeState(next) == nil }
		start := s.Slot
		switch {
		case s.Slot == s.Good:
		case s.Tries > 0:
			s.Tries--
			if write(s) {
				if whole(s.Slot) {
					return s.Slot, true
				}
				continue // reset
			}
			start = s.Good
		default:
			write(State{Slot: s.Good, Good: s.Good, Failed: s.Slot})
			start = s.Good
		}
		for _, try := range []Slot{start, start.Other()} {
			if whole(try) {
				return try, false
			}
		}
		t.Fatalf("neither slot can be started: %+v", s)
	}
	t.Fatal("it begins again for ever")
	return 0, false
}
