package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// operation is one record on its way to the card.
type operation struct {
	record []byte
	entry  *Entry       // put in; nil for a done note
	done   uint64       // the entry that is done
	jump   bool         // a jump of the clock's; it took no slot
	result chan<- error // nil: nobody waits
}

// Append puts an entry in and returns when it is on the card. It waits while too many others do; ctx ends the waiting, but
// not the writing of an entry that has begun.
func (b *Box) Append(ctx context.Context, kind string, payload []byte) (ID, error) {
	if err := fits(kind, payload); err != nil {
		return ID{}, err
	}
	result := make(chan error, 1)
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ID{}, ctx.Err()
	case <-b.ended:
		return ID{}, ErrClosed
	}
	id, err := b.enqueue(kind, payload, result)
	if err != nil {
		<-b.slots
		return ID{}, err
	}
	return id, b.wait(ctx, result)
}

// AppendAsync puts an entry in without waiting for anything. Its error is immediate: ErrFull when too many wait. A write
// that fails later is counted as dropped, too.
func (b *Box) AppendAsync(kind string, payload []byte) error {
	if err := fits(kind, payload); err != nil {
		return err
	}
	select {
	case b.slots <- struct{}{}:
	default:
		b.mu.Lock()
		b.stats.Dropped++
		b.mu.Unlock()
		return ErrFull
	}
	if _, err := b.enqueue(kind, payload, nil); err != nil {
		<-b.slots
		return err
	}
	return nil
}

// Done notes that an entry was delivered and returns when the note is on the card: from then on it is not delivered
// again. An entry that is not (any more) in the queue is no error.
func (b *Box) Done(ctx context.Context, id ID) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ended:
		return ErrClosed
	}
	result := make(chan error, 1)
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		<-b.slots
		return ErrClosed
	case id.Queue != b.queue || b.entries[id.Seq] == nil:
		b.mu.Unlock()
		<-b.slots
		return nil
	}
	b.waiting = append(b.waiting, &operation{record: doneRecord(id), done: id.Seq, result: result})
	b.mu.Unlock()
	b.poke()
	return b.wait(ctx, result)
}

func fits(kind string, payload []byte) error {
	if kind == "" || len(kind) > 255 || len(payload) > MaxPayload {
		return fmt.Errorf("%w: kind of %d bytes, payload of %d", ErrTooBig, len(kind), len(payload))
	}
	return nil
}

func (b *Box) enqueue(kind string, payload []byte, result chan<- error) (ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ID{}, ErrClosed
	}
	e := Entry{ID: ID{b.queue, b.nextSeq}, Kind: kind, At: b.o.Now(), Payload: payload}
	b.nextSeq++
	b.waiting = append(b.waiting, &operation{record: entryRecord(e), entry: &e, result: result})
	b.poke()
	return e.ID, nil
}

func (b *Box) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Box) wait(ctx context.Context, result <-chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run writes until ctx ends; what waits then is still written. It closes the box and may be called once.
func (b *Box) Run(ctx context.Context) error {
	b.mu.Lock()
	if b.running {
		b.mu.Unlock()
		return errors.New("outbox: already running")
	}
	b.running = true
	b.mu.Unlock()
	defer close(b.ended)
	housekeeping := time.NewTicker(time.Hour)
	defer housekeeping.Stop()
	b.retain()
	for {
		select {
		case <-b.wake:
			b.flush()
		case <-housekeeping.C:
			b.retain()
		case <-ctx.Done():
			b.mu.Lock()
			b.closed = true
			b.mu.Unlock()
			b.flush()
			for _, g := range b.segments {
				g.file.Close()
			}
			return nil
		}
	}
}

// flush writes all that waits, in one write and one sync.
func (b *Box) flush() {
	b.noteJump(b.jumped())
	b.mu.Lock()
	batch := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	offset, g, err := b.write(batch)
	b.mu.Lock()
	b.stats.LastError = ""
	if err != nil {
		err = fmt.Errorf("outbox: %w", err)
		b.stats.LastError = err.Error()
	}
	for _, op := range batch {
		b.settle(op, g, offset, err)
		offset += int64(len(op.record))
	}
	if err == nil {
		g.size = offset
		close(b.arrived)
		b.arrived = make(chan struct{})
	}
	b.mu.Unlock()
	for _, op := range batch {
		if op.result != nil {
			op.result <- err
		}
		if !op.jump {
			<-b.slots
		}
	}
	b.trim()
}

// settle files one operation that is on the card now, or is not.
func (b *Box) settle(op *operation, g *segment, offset int64, err error) {
	switch {
	case op.jump:
	case err != nil && op.result == nil:
		b.stats.Dropped++
	case err != nil:
	case op.entry != nil:
		e := &entry{seq: op.entry.ID.Seq, kind: op.entry.Kind, segment: g, offset: offset, length: int64(len(op.record))}
		b.entries[e.seq] = e
		b.kinds[e.kind] = append(b.kinds[e.kind], e)
		g.live++
		g.last = later(g.last, op.entry.At)
		b.stats.Appended++
	default:
		if e := b.entries[op.done]; e != nil {
			b.forget(e)
			b.stats.Done++
		}
	}
}

// write puts a batch at the end of the last segment. When that fails, nobody can say what of it is on the card: the
// place is cut off, or, where not even that works, the segment is left alone and the next batch begins a new one.
func (b *Box) write(batch []*operation) (offset int64, g *segment, err error) {
	var data []byte
	for _, op := range batch {
		data = append(data, op.record...)
	}
	g, err = b.current()
	if err != nil {
		return 0, nil, err
	}
	if _, err = g.file.WriteAt(data, g.size); err == nil {
		err = g.file.Sync()
	}
	if err != nil {
		g.abandoned = true
		if cut := g.file.Truncate(g.size); cut != nil {
			b.o.Log.Error("outbox: cannot cut off a failed write", "segment", g.name, "err", cut)
		}
		return 0, nil, err
	}
	return g.size, g, nil
}

// current is the segment to write to; a new one when there is none, the last is full or a write to it has failed.
func (b *Box) current() (*segment, error) {
	b.mu.Lock()
	var last *segment
	if n := len(b.segments); n > 0 {
		last = b.segments[n-1]
	}
	nextSeq := b.nextSeq
	b.mu.Unlock()
	if last != nil && !last.abandoned && last.size < b.o.SegmentBytes {
		return last, nil
	}
	name := segmentName(b.nextFile)
	b.nextFile++ // even if this fails: a name is never tried twice
	f, err := b.disk.create(name)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(header(b.queue, nextSeq), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = b.disk.sync()
		}
	}
	if err != nil {
		f.Close()
		b.disk.remove(name)
		return nil, err
	}
	g := &segment{name: name, file: f, size: headerSize}
	b.mu.Lock()
	b.segments = append(b.segments, g)
	b.mu.Unlock()
	return g, nil
}
