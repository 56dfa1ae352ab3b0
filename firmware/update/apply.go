package update

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// Order is an update as a person asks for it.
type Order struct {
	Key   ed25519.PublicKey // whose bundles the box takes
	Force bool              // also an older version, or the same
	// Untended: nobody has asked for it just now, so a version that was tried and did not prove itself is not tried again.
	Untended bool
}

// Progress is how far an update has come, in bytes; Checking is the end, when the card is read back.
type Progress struct {
	Done, Total int64
	Checking    bool
}

// bootHead is the part of a boot file that is written last, so that half a file never starts.
const bootHead = 512

// ErrOnTrial says that the last update has not proven itself yet.
var ErrOnTrial = errors.New("the last update is still on trial: wait until it is confirmed, about a minute after its start")

// ErrFailed says that this very version was tried already.
var ErrFailed = errors.New("this version was tried and did not prove itself")

// ErrBusy says that another update is being written.
var ErrBusy = errors.New("another update is being written")

// Apply writes a bundle to the slot that does not run, checks it, and makes the next start try it. Nothing is
// written before the signature has been checked; whatever happens before the last step, the slot that runs boots again. progress may be nil.
func (c *Card) Apply(ctx context.Context, r io.Reader, o Order, progress func(Progress)) (*Manifest, error) {
	if !c.writing.TryLock() {
		return nil, ErrBusy
	}
	defer c.writing.Unlock()
	if progress == nil {
		progress = func(Progress) {}
	}
	in := bufio.NewReader(r)
	m, err := readManifest(in, o.Key)
	if err != nil {
		return nil, err
	}
	if m.Board != c.Now.Board {
		return m, fmt.Errorf("the bundle is for board %s, this is a %s", m.Board, c.Now.Board)
	}
	if err := m.newer(c.Now); err != nil && !o.Force {
		return m, fmt.Errorf("%w: it is taken by force only", err)
	}
	s, _ := c.readState()
	if c.Trial && s.Good != c.Running || c.switched(s) {
		return m, ErrOnTrial
	}
	if o.Untended && s.Failed == c.Running.Other() && c.holds(ctx, s.Failed, m) {
		return m, fmt.Errorf("%s: %w", m.Version, ErrFailed)
	}
	err = c.withBoot(func() error {
		if s.Slot != c.Running || s.Good != c.Running { // the good slot is damaged: what runs is what a failure must come back to
			if err := c.writeState(State{Slot: c.Running, Good: c.Running}); err != nil {
				return err
			}
		}
		return c.replace(ctx, in, m, progress)
	})
	if err != nil {
		return m, fmt.Errorf("update to %s: %w", m.Version, err)
	}
	return m, nil
}

// replace writes the slot that does not run, and says how it then is.
func (c *Card) replace(ctx context.Context, in *bufio.Reader, m *Manifest, progress func(Progress)) error {
	slot := c.Running.Other()
	c.health.say(slot, Health{Why: "an update is being written"})
	if err := c.write(ctx, in, m, progress); err != nil {
		c.health.say(slot, Health{Why: "an update was cut off"})
		select {
		case c.doubt <- struct{}{}:
		default: // somebody is on the way
		}
		return err
	}
	c.health.say(slot, Health{Verdict: Whole, At: time.Now()}) // it has been read back
	return nil
}

func (c *Card) write(ctx context.Context, in *bufio.Reader, m *Manifest, progress func(Progress)) error {
	slot := c.Running.Other()
	p := Progress{Total: m.Files[0].Size + m.Files[1].Size}
	step := func(n int64) { p.Done += n; progress(p) }
	progress(p)
	// From here on the other slot is no whole one; without a head its boot file does not start.
	if err := c.writeThrough(c.bootPath(slot), make([]byte, bootHead)); err != nil {
		return err
	}
	if _, err := c.stream(ctx, in, c.rootPath(slot), m.Files[0], 0, step); err != nil {
		return err
	}
	head, err := c.stream(ctx, in, c.bootPath(slot), m.Files[1], bootHead, step)
	if err != nil {
		return err
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is more than the manifest names", ErrDamaged)
	}
	if err := c.writeThrough(c.bootPath(slot), head); err != nil {
		return err
	}
	p.Checking = true
	progress(p)
	for path, f := range map[string]File{c.rootPath(slot): m.Files[0], c.bootPath(slot): m.Files[1]} {
		if err := c.compare(ctx, path, f); err != nil {
			return err
		}
	}
	return c.switchTo(State{Slot: slot, Good: c.Running, Tries: maxTries})
}

// holds reports whether a slot has just what the manifest names.
func (c *Card) holds(ctx context.Context, s Slot, m *Manifest) bool {
	return c.compare(ctx, c.rootPath(s), m.Files[0]) == nil && c.compare(ctx, c.bootPath(s), m.Files[1]) == nil
}

// stream writes one of the bundle's files in place, flushes it and checks its hash. The first held bytes are not written
// but returned.
func (c *Card) stream(ctx context.Context, in io.Reader, path string, want File, held int64, step func(int64)) (head []byte, err error) {
	f, err := c.open(path, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size, err := f.Size(); err != nil || size < want.Size {
		return nil, fmt.Errorf("%s has %d bytes and does not fit into the card's %d: %w", want.Name, want.Size, size, err)
	}
	hash := sha256.New()
	buffer := make([]byte, c.chunk)
	var at, unflushed int64
	for at < want.Size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.ReadFull(in, buffer[:min(c.chunk, want.Size-at)])
		if err != nil {
			return nil, fmt.Errorf("%w: it ends in the middle: %w", ErrDamaged, err)
		}
		b := buffer[:n]
		hash.Write(b)
		first := at
		if rest := held - at; rest > 0 {
			rest = min(rest, int64(n))
			head = append(head, b[:rest]...)
			b, first = b[rest:], at+rest
		}
		if _, err := f.WriteAt(b, first); err != nil {
			return nil, err
		}
		at += int64(n)
		if unflushed += int64(n); unflushed >= c.flush {
			if err := f.Sync(); err != nil {
				return nil, err
			}
			unflushed = 0
		}
		step(int64(n))
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return head, sameHash(hash.Sum(nil), want)
}

// compare reads back what is on the card.
func (c *Card) compare(ctx context.Context, path string, want File) error {
	f, err := c.open(path, false)
	if err != nil {
		return err
	}
	defer f.Close()
	f.Forget()
	hash := sha256.New()
	buffer := make([]byte, c.chunk)
	for at := int64(0); at < want.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buffer[:min(c.chunk, want.Size-at)], at)
		if err != nil && !(errors.Is(err, io.EOF) && n > 0) {
			return fmt.Errorf("read %s back: %w", want.Name, err)
		}
		hash.Write(buffer[:n])
		at += int64(n)
	}
	if err := sameHash(hash.Sum(nil), want); err != nil {
		return fmt.Errorf("the card does not keep what is written: %w", err)
	}
	return nil
}

func sameHash(sum []byte, want File) error {
	if raw, err := hex.DecodeString(want.SHA256); err != nil || !bytes.Equal(raw, sum) {
		return fmt.Errorf("%w: %s", ErrDamaged, want.Name)
	}
	return nil
}

// State is what the card says about its slots.
func (c *Card) State() State {
	s, _ := c.readState()
	return s
}
