package update

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve runs an updater for the card.
func serve(t *testing.T, s *Server) *Client {
	t.Helper()
	s.Group, s.Log = os.Getgid(), slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "updater.sock")
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, path) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	c := NewClient(path)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := c.Status(t.Context()); err == nil {
			return c
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestUpdater(t *testing.T) {
	card, d := newCard(t, 1)
	var reboots atomic.Int32
	c := serve(t, &Server{Card: card, Key: trusted.Key, Reboot: func() error { reboots.Add(1); return nil }})
	ctx := t.Context()
	if s, err := c.Status(ctx); err != nil || s != (Status{Release: v1, Running: A, State: State{Seq: 2, Slot: A, Good: A}}) {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, foreign)), true); err == nil || err.Error() != ErrSignature.Error() {
		t.Errorf("a foreign bundle: %v", err)
	}
	if _, err := c.Apply(ctx, bytes.NewReader(bundle(t, v1, ours)), false); err == nil || !strings.Contains(err.Error(), "by force only") {
		t.Errorf("no force: %v", err)
	}
	if r, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, ours)), false); err != nil || r != v2 {
		t.Fatalf("%+v %v", r, err)
	}
	if s, err := c.Status(ctx); err != nil || s.State != (State{Seq: 3, Slot: B, Good: A, Tries: 2}) {
		t.Errorf("%+v %v", s, err)
	}
	if back, err := c.GiveUp(ctx); err != nil || !back || card.State().Slot != A {
		t.Errorf("%v %v", back, err)
	}
	if back, err := c.GiveUp(ctx); err != nil || back {
		t.Errorf("%v %v", back, err)
	}
	if err := c.Reboot(ctx); err != nil || reboots.Load() != 1 {
		t.Error(err)
	}
	if _, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, ours)), false); err != nil {
		t.Fatal(err)
	}
	slot, trial := bootScript(t, d, bootable(t, d))
	c = serve(t, &Server{Card: cardOf(t, d, slot, trial, v2), Key: trusted.Key})
	if err := c.Confirm(ctx); err != nil {
		t.Error(err)
	}
	if s, err := c.Status(ctx); err != nil || !s.Trial || s.State.Good != B {
		t.Errorf("%+v %v", s, err)
	}
}

// slow is a sender that never comes to its end.
type slow struct {
	first io.Reader
	ctx   context.Context
}

func (s slow) Read(b []byte) (int, error) {
	n, err := s.first.Read(b)
	if n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(time.Millisecond):
		return copy(b, "more"), nil
	}
}

// TestRefusedAtOnce: who sends something large that is not wanted hears so before it is all sent.
func TestRefusedAtOnce(t *testing.T) {
	card, _ := newCard(t, 1)
	c := serve(t, &Server{Card: card, Key: trusted.Key})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := c.Apply(ctx, slow{strings.NewReader("no bundle, but long\n"), ctx}, false); err == nil || err.Error() != ErrNoBundle.Error() {
		t.Error(err)
	}
	c = serve(t, &Server{Card: card})
	if _, err := c.Apply(ctx, bytes.NewReader(bundle(t, v2, ours)), false); err == nil || !strings.Contains(err.Error(), "takes nobody's updates") {
		t.Error(err)
	}
}

// TestSenderGone: a sender that hangs up leaves the box as it was, and room for the next.
func TestSenderGone(t *testing.T) {
	card, _ := newCard(t, 1)
	c := serve(t, &Server{Card: card, Key: trusted.Key})
	b := bundle(t, v2, ours)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for !card.Status().Writing {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := c.Apply(ctx, slow{bytes.NewReader(b[:len(b)/2]), ctx}, false); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for end := time.Now().Add(20 * time.Second); card.Status().Writing && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Apply(t.Context(), bytes.NewReader(b), false); err != nil {
		t.Error(err)
	}
}

// TestRealFiles is an update on files of this machine, as the image's are: in place, without a change of size.
func TestRealFiles(t *testing.T) {
	dir := t.TempDir()
	c, d := newCard(t, 1)
	for path, p := range d.files {
		file := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, p.seen, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	c.Boot, c.Slots, c.open = filepath.Join(dir, "boot"), filepath.Join(dir, "dev"), openFile
	locked := 0
	c.unlock = func() (func() error, error) { locked++; return func() error { locked--; return nil }, nil }
	if _, err := c.Apply(t.Context(), bytes.NewReader(bundle(t, v2, ours)), trusted, nil); err != nil {
		t.Fatal(err)
	}
	if locked != 0 || c.State() != (State{Seq: 3, Slot: B, Good: A, Tries: 2}) {
		t.Errorf("locked %d, %+v", locked, c.State())
	}
	for path, p := range d.files { // the disk in memory has not changed: it is the sizes that it gave
		b, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || len(b) != len(p.seen) {
			t.Errorf("%s has %d bytes: %v", path, len(b), err)
		}
		copy(p.seen, b)
	}
	if version, whole := holds(d, B); version != v2.Version || !whole {
		t.Errorf("slot b holds %q, %v", version, whole)
	}
	if version, whole := holds(d, A); version != v1.Version || !whole {
		t.Errorf("slot a holds %q, %v", version, whole)
	}
	// A card whose lock is stuck (or a boot partition that cannot be written) is a fault with a name.
	c.unlock = func() (func() error, error) { return nil, errors.New("make /boot writable: input/output error") }
	if _, err := c.GiveUp(); err == nil || !strings.Contains(err.Error(), "make /boot writable") {
		t.Error(err)
	}
}

func TestNoUpdater(t *testing.T) {
	if _, err := NewClient(filepath.Join(t.TempDir(), "none")).Status(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	if _, err := os.Stat(releaseFile); err == nil {
		t.Skip("this machine runs from an image")
	}
	if _, err := Open(); !errors.Is(err, ErrNoImage) {
		t.Error(err)
	}
}
