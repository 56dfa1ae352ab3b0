package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrRefused is for handlers: this entry can never be delivered and must not stand in the way of the others.
var ErrRefused = errors.New("outbox: entry refused")

// Handler delivers one entry. It is called again with the same entry, later, when it returns an error.
type Handler func(ctx context.Context, e Entry) error

// Pauses between failed deliveries.
const (
	firstPause = time.Second
	mostPause  = 5 * time.Minute
)

// Next waits for the oldest undone entry of a kind with a sequence number above after (0: any).
func (b *Box) Next(ctx context.Context, kind string, after uint64) (Entry, error) {
	for {
		b.mu.Lock()
		e := b.oldest(kind, after)
		arrived := b.arrived
		b.mu.Unlock()
		if e != nil {
			got, err := b.read(e)
			if err == nil {
				return got, nil
			}
			if !errors.Is(err, errDamaged) {
				return Entry{}, err
			}
			continue // it is out of the index now
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		case <-b.ended:
			return Entry{}, ErrClosed
		}
	}
}

// Deliver hands the entries of a kind to handle, oldest first and one at a time, until ctx or the box ends. An entry
// is done when handle returns nil or ErrRefused; after another error it is tried again after a growing pause. There
// may be one Deliver for a kind.
func (b *Box) Deliver(ctx context.Context, kind string, handle Handler) error {
	pause := firstPause
	for {
		e, err := b.Next(ctx, kind, 0)
		switch {
		case ctx.Err() != nil || errors.Is(err, ErrClosed):
			return nil
		case err == nil:
			err = handle(ctx, e)
		}
		if errors.Is(err, ErrRefused) {
			b.o.Log.Error("outbox: entry refused", "kind", kind, "id", e.ID.String(), "err", err)
			b.mu.Lock()
			b.stats.Refused++
			b.mu.Unlock()
			err = nil
		}
		if err == nil {
			err = b.Done(ctx, e.ID)
		}
		switch {
		case errors.Is(err, ErrClosed):
			return nil
		case err == nil:
			pause = firstPause
			continue
		}
		b.o.Log.Debug("outbox: delivery failed", "kind", kind, "id", e.ID.String(), "err", err, "again", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		case <-b.ended:
			return nil
		}
		pause = min(2*pause, mostPause)
	}
}

// oldest finds the next of a kind and tidies the front of its row. The caller holds mu.
func (b *Box) oldest(kind string, after uint64) *entry {
	row := b.kinds[kind]
	for len(row) > 0 && row[0].done {
		row = row[1:]
	}
	b.kinds[kind] = row
	if len(row) == 0 {
		delete(b.kinds, kind)
	}
	for _, e := range row {
		if !e.done && e.seq > after {
			return e
		}
	}
	return nil
}

var errDamaged = errors.New("outbox: entry damaged on the card")

// read fetches an entry from the card. One that has become damaged there is counted and forgotten.
func (b *Box) read(e *entry) (Entry, error) {
	data := make([]byte, e.length)
	if _, err := e.segment.file.ReadAt(data, e.offset); err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if e.done {
			return Entry{}, errDamaged // given up meanwhile, and its file is closed
		}
		return Entry{}, fmt.Errorf("outbox: read %s: %w", e.segment.name, err)
	}
	r, ok := readRecord(b.queue, data)
	if ok && !r.done && r.entry.ID.Seq == e.seq {
		return r.entry, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !e.done {
		b.forget(e)
		b.stats.Corrupt++
		b.o.Log.Error("outbox: an entry has become damaged", "segment", e.segment.name, "offset", e.offset)
	}
	return Entry{}, errDamaged
}
