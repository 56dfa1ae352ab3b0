package outbox

import (
	"errors"
	"io/fs"
)

// trim removes segments from the front that nobody needs any more, and gives up the oldest when there is too much. The
// folder is synced after each: were a later segment to disappear before an earlier one, the notes in it would be gone
// and what they speak of would be delivered again.
func (b *Box) trim() {
	for {
		b.mu.Lock()
		var total int64
		for _, g := range b.segments {
			total += g.size
		}
		if len(b.segments) < 2 || b.segments[0].live > 0 && total <= b.o.MaxBytes && !b.stale(b.segments[0]) {
			b.mu.Unlock()
			return
		}
		g := b.segments[0]
		if g.live > 0 {
			b.giveUp(g)
		}
		b.mu.Unlock()
		// It stays in the row until its removal is durable: the next one must not go before it.
		err := b.disk.remove(g.name)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = b.disk.sync()
		}
		if err != nil {
			b.o.Log.Warn("outbox: cannot remove a segment", "segment", g.name, "err", err)
			return
		}
		b.mu.Lock()
		b.segments = b.segments[1:]
		b.mu.Unlock()
		g.file.Close()
	}
}

// retain enforces MaxAge although nothing is written: the last segment is closed when what is in it gets old.
func (b *Box) retain() {
	b.noteJump(b.jumped())
	b.mu.Lock()
	if n := len(b.segments); n > 0 {
		last := b.segments[n-1]
		if last.size > headerSize && b.o.Now().Sub(last.last) > b.o.MaxAge/4 {
			last.abandoned = true
		}
	}
	b.mu.Unlock()
	if b.aged() {
		if _, err := b.current(); err != nil {
			b.o.Log.Warn("outbox: cannot begin a segment", "err", err)
		}
	}
	b.trim()
}

// aged is true when the last segment holds only what is too old.
func (b *Box) aged() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.segments)
	return n > 0 && b.segments[n-1].size > headerSize && b.stale(b.segments[n-1])
}

func (b *Box) stale(g *segment) bool { return b.o.Now().Sub(g.last) > b.o.MaxAge }

// giveUp counts and forgets the undone entries of a segment.
func (b *Box) giveUp(g *segment) {
	lost := 0
	for _, e := range b.entries {
		if e.segment == g {
			b.forget(e)
			lost++
		}
	}
	b.stats.Expired += uint64(lost)
	b.o.Log.Error("outbox: undelivered entries are given up", "segment", g.name, "entries", lost)
}
