package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// started opens a box and runs it until the returned stop is called (or the test ends).
func started(t testing.TB, d disk, o Options) (b *Box, stop func()) {
	t.Helper()
	b, err := open(d, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	finished := make(chan error, 1)
	go func() { finished <- b.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-finished; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return b, stop
}

// pending is what the box would deliver, by ID.
func pending(t testing.TB, b *Box, kind string) map[ID]string {
	t.Helper()
	all := map[ID]string{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Next returns what there is before it looks at ctx
	for after := uint64(0); ; {
		e, err := b.Next(ctx, kind, after)
		if errors.Is(err, context.Canceled) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[e.ID] = string(e.Payload)
		after = e.ID.Seq
	}
}

func TestPutDeliverDone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	b, stop := started(t, folder(dir), Options{})
	ctx := t.Context()
	var ids []ID
	for n := range 3 {
		id, err := b.Append(ctx, "call", fmt.Append(nil, "record ", n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := b.Append(ctx, "notice", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Done(ctx, ids[1]), b.Done(ctx, ids[1]), b.Done(ctx, ID{Seq: 1})); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := b.Append(ctx, "call", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("append after the end: %v", err)
	}
	if err := b.AppendAsync("call", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("async append after the end: %v", err)
	}
	if err := b.Done(ctx, ids[0]); !errors.Is(err, ErrClosed) {
		t.Errorf("done after the end: %v", err)
	}
	again, _ := started(t, folder(dir), Options{})
	if got := pending(t, again, "call"); len(got) != 2 || got[ids[0]] != "record 0" || got[ids[2]] != "record 2" {
		t.Errorf("after reopening: %v", got)
	}
	if s := again.Stats(); s.Pending != 3 || s.Corrupt != 0 {
		t.Errorf("%+v", s)
	}
	id, err := again.Append(ctx, "call", nil)
	if err != nil || id.Queue != ids[0].Queue || id.Seq <= ids[2].Seq+1 {
		t.Errorf("new ID %s after %s: %v", id, ids[2], err)
	}
	infos, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range infos {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestRefusesInput(t *testing.T) {
	b, _ := started(t, newFakeDisk(1), Options{})
	for name, c := range map[string]struct {
		kind string
		size int
	}{"no kind": {"", 1}, "long kind": {strings.Repeat("k", 256), 1}, "long payload": {"call", MaxPayload + 1}} {
		if _, err := b.Append(t.Context(), c.kind, make([]byte, c.size)); !errors.Is(err, ErrTooBig) {
			t.Errorf("%s: %v", name, err)
		}
		if err := b.AppendAsync(c.kind, make([]byte, c.size)); !errors.Is(err, ErrTooBig) {
			t.Errorf("%s async: %v", name, err)
		}
	}
	for _, o := range []Options{{SegmentBytes: -1}, {MaxBytes: -1}, {SegmentBytes: 100, MaxBytes: 150}, {Waiting: -1}, {MaxAge: -1}} {
		if _, err := open(newFakeDisk(1), o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
	if _, err := b.Append(t.Context(), "call", nil); err != nil { // so Run is running
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil {
		t.Error("ran twice")
	}
}

// TestGroup: those who wait at the same time share a sync.
func TestGroup(t *testing.T) {
	d := &countingDisk{fakeDisk: newFakeDisk(1), gate: make(chan struct{})}
	b, _ := started(t, d, Options{})
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			if _, err := b.Append(t.Context(), "call", fmt.Append(nil, n)); err != nil {
				t.Error(err)
			}
		})
	}
	for all := false; !all; time.Sleep(time.Millisecond) { // until all of them wait
		b.mu.Lock()
		all = b.nextSeq == 201
		b.mu.Unlock()
	}
	close(d.gate)
	wg.Wait()
	if d.syncs > 3 { // the segment's header, who came first, all the others
		t.Errorf("%d syncs for 200 entries", d.syncs)
	}
	if got := pending(t, b, "call"); len(got) != 200 {
		t.Errorf("%d entries", len(got))
	}
}

// countingDisk counts syncs and lets no file be made before its gate opens.
type countingDisk struct {
	*fakeDisk
	gate  chan struct{}
	syncs int
}

type countingFile struct {
	file
	d *countingDisk
}

func (d *countingDisk) create(name string) (file, error) {
	<-d.gate
	f, err := d.fakeDisk.create(name)
	return countingFile{f, d}, err
}

func (f countingFile) Sync() error { f.d.syncs++; return f.file.Sync() }

// TestAsyncNeverWaits: with nobody writing, AppendAsync says at once that there is no room, and counts it.
func TestAsyncNeverWaits(t *testing.T) {
	b, err := open(newFakeDisk(1), Options{Waiting: 5})
	if err != nil {
		t.Fatal(err)
	}
	full := 0
	for range 8 {
		if err := b.AppendAsync("call", []byte("x")); errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if full != 3 || b.Stats().Dropped != 3 {
		t.Errorf("%d refused, %d counted", full, b.Stats().Dropped)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Append(ctx, "call", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("append without room: %v", err)
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	if err := b.Run(done); err != nil { // what waits at the end is written
		t.Fatal(err)
	}
	if s := b.Stats(); s.Appended != 5 || s.Pending != 5 {
		t.Errorf("%+v", s)
	}
}

// TestCardFails: writes fail with a reason, calls do not hang, and when the card is back so is the queue.
func TestCardFails(t *testing.T) {
	d := newFakeDisk(1)
	b, stop := started(t, d, Options{})
	if _, err := b.Append(t.Context(), "call", []byte("before")); err != nil {
		t.Fatal(err)
	}
	fail := func(chance float64) { d.mu.Lock(); d.failing = chance; d.mu.Unlock() }
	fail(1)
	if _, err := b.Append(t.Context(), "call", []byte("lost")); !errors.Is(err, errCard) {
		t.Errorf("on a broken card: %v", err)
	}
	if err := b.AppendAsync("call", []byte("lost")); err != nil {
		t.Error(err)
	}
	if _, err := b.Append(t.Context(), "call", []byte("lost")); !errors.Is(err, errCard) {
		t.Errorf("on a broken card: %v", err)
	}
	if s := b.Stats(); s.Dropped != 1 || !strings.Contains(s.LastError, "card error") {
		t.Errorf("%+v", s)
	}
	fail(0)
	if _, err := b.Append(t.Context(), "call", []byte("after")); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, b, "call"); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if s := b.Stats(); s.LastError != "" {
		t.Errorf("%+v", s)
	}
	stop()
}

func TestReadOnlyFolder(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(filepath.Join(blocked, "outbox"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go b.Run(ctx)
	defer cancel()
	if _, err := b.Append(t.Context(), "call", nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestHistories plays random lives of a box on a card that fails and loses power at any step: what was acknowledged is
// there, what was acknowledged as done is not.
func TestHistories(t *testing.T) {
	lives := 0
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		d := newFakeDisk(seed)
		kept := map[ID]string{}    // acknowledged, not done
		maybe := map[ID]string{}   // done was asked for and not acknowledged
		finished := map[ID]bool{}  // done was acknowledged
		given := map[string]bool{} // every payload that was ever put in
		for life := range 6 {
			d.failing = []float64{0, 0, 0.05}[rnd.IntN(3)]
			if rnd.IntN(4) > 0 {
				d.left = rnd.IntN(120)
			}
			b, stop := started(t, d, Options{SegmentBytes: 600, MaxBytes: 1 << 30})
			lives++
			for step := range 60 {
				if rnd.IntN(3) > 0 || len(kept) == 0 {
					payload := fmt.Sprintf("%d-%d-%s", life, step, strings.Repeat("x", rnd.IntN(90)))
					given[payload] = true
					if id, err := b.Append(t.Context(), "call", []byte(payload)); err == nil {
						if kept[id] != "" || maybe[id] != "" || finished[id] {
							t.Fatalf("seed %d life %d: %s was given twice", seed, life, id)
						}
						kept[id] = payload
					}
					continue
				}
				for id, payload := range kept {
					delete(kept, id)
					if err := b.Done(t.Context(), id); err == nil {
						finished[id] = true
					} else {
						maybe[id] = payload
					}
					break
				}
			}
			stop()
			d = d.restart()
			check, err := open(d, Options{SegmentBytes: 600, MaxBytes: 1 << 30})
			if err != nil {
				t.Fatalf("seed %d life %d: %v", seed, life, err)
			}
			got := pending(t, check, "call")
			for id, payload := range kept {
				if got[id] != payload {
					t.Fatalf("seed %d life %d: %s was acknowledged and is %q, want %q", seed, life, id, got[id], payload)
				}
			}
			for id, payload := range got {
				switch {
				case finished[id]:
					t.Fatalf("seed %d life %d: %s was done and comes again", seed, life, id)
				case !given[payload]:
					t.Fatalf("seed %d life %d: %s is made up: %q", seed, life, id, payload)
				case maybe[id] != "" && maybe[id] != payload:
					t.Fatalf("seed %d life %d: %s has changed", seed, life, id)
				}
			}
		}
	}
	t.Logf("%d lives", lives)
}

func TestDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stop := started(t, newFakeDisk(1), Options{})
		for n := range 4 {
			if _, err := b.Append(t.Context(), "call", fmt.Append(nil, n)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		begin, failures := time.Now(), 3
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- b.Deliver(ctx, "call", func(_ context.Context, e Entry) error {
				switch {
				case string(e.Payload) == "1" && failures > 0:
					failures--
					return errors.New("not now")
				case string(e.Payload) == "2":
					return fmt.Errorf("bad entry: %w", ErrRefused)
				}
				got = append(got, string(e.Payload))
				return nil
			})
		}()
		time.Sleep(time.Minute)
		if _, err := b.Append(t.Context(), "call", []byte("late")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if strings.Join(got, " ") != "0 1 3 late" || time.Since(begin) != time.Minute {
			t.Errorf("%v after %s", got, time.Since(begin))
		}
		if s := b.Stats(); s.Done != 5 || s.Refused != 1 || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
	})
}

// TestRetention: the oldest are given up when there is too much or they are too old, and both are counted.
func TestRetention(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := newFakeDisk(1)
	o := Options{SegmentBytes: 500, MaxBytes: 5000, MaxAge: 24 * time.Hour, Now: func() time.Time { return now }}
	b, stop := started(t, d, o)
	for n := range 100 {
		if _, err := b.Append(t.Context(), "call", bytes.Repeat([]byte("x"), 90+n%2)); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Stats()
	if s.Bytes > 5000+1000 || s.Expired == 0 || s.Pending+int(s.Expired) != 100 {
		t.Errorf("%+v", s)
	}
	stop()
	now = now.Add(48 * time.Hour)
	again, stop := started(t, d, o)
	stop() // Run tidies before anything else
	if s := again.Stats(); s.Pending != 0 || s.Bytes > 500 {
		t.Errorf("after two days %+v", s)
	}
}

// TestDoneSegmentsGo: what is delivered does not stay on the card.
func TestDoneSegmentsGo(t *testing.T) {
	d := newFakeDisk(1)
	b, _ := started(t, d, Options{SegmentBytes: 500})
	for range 100 {
		id, err := b.Append(t.Context(), "call", bytes.Repeat([]byte("x"), 90))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Done(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := d.list(); len(names) > 2 {
		t.Errorf("%v", names)
	}
}

func BenchmarkAppend(b *testing.B) {
	box, _ := started(b, folder(b.TempDir()), Options{MaxBytes: 1 << 30})
	payload := bytes.Repeat([]byte("x"), 600)
	b.SetParallelism(50)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := box.Append(context.Background(), "call", payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}
