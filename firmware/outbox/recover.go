package outbox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	suffix   = ".log"
	keptBad  = ".bad" // damaged places are copied beside the segment, for whoever wants to know
	mostBad  = 16     // of these files
	mostRead = 256 << 20
)

func segmentName(number uint64) string { return fmt.Sprintf("%016d%s", number, suffix) }

// recover reads all segments. It trusts nothing: a torn end (the last write before a crash, never acknowledged) is cut off,
// a damaged place in the middle is stepped over, counted and kept aside.
func (b *Box) recover() error {
	names, err := b.disk.list()
	if err != nil {
		return err
	}
	slices.Sort(names)
	b.nextFile = 1
	bad := 0
	done := make(map[uint64]bool)
	type loaded struct {
		segment *segment
		data    []byte
	}
	var all []loaded
	for _, name := range names {
		if strings.HasSuffix(name, keptBad) {
			bad++
		}
		number, err := strconv.ParseUint(strings.TrimSuffix(name, suffix), 10, 63)
		if err != nil || name != segmentName(number) {
			continue
		}
		b.nextFile = max(b.nextFile, number+1)
		f, err := b.disk.open(name)
		if err != nil {
			return err
		}
		data, err := readAll(f)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		switch queue, _, ok := readHeader(data); {
		case ok && b.queue == [8]byte{}:
			b.queue = queue
		case ok && b.queue != queue:
			b.stats.Corrupt++
			b.o.Log.Error("outbox: a segment of another queue is left alone", "segment", name)
			f.Close()
			continue
		}
		all = append(all, loaded{&segment{name: name, file: f}, data})
	}
	for i, one := range all {
		if b.load(one.segment, one.data, done, &bad, i == len(all)-1) {
			b.segments = append(b.segments, one.segment)
			continue
		}
		one.segment.file.Close()
		if err := b.disk.remove(one.segment.name); err != nil {
			b.o.Log.Warn("outbox: an empty segment stays", "segment", one.segment.name, "err", err)
		}
	}
	for seq := range done {
		if e := b.entries[seq]; e != nil {
			b.forget(e)
		}
	}
	for kind := range b.kinds {
		b.kinds[kind] = slices.DeleteFunc(b.kinds[kind], func(e *entry) bool { return e.done })
		slices.SortFunc(b.kinds[kind], func(x, y *entry) int { return int(int64(x.seq - y.seq)) })
	}
	return nil
}

// load files the records of one segment; false when there is none at all in it.
func (b *Box) load(g *segment, data []byte, done map[uint64]bool, bad *int, last bool) bool {
	_, nextSeq, whole := readHeader(data) // if not, b.queue is another segment's: better than giving up all that is in this one
	if whole {
		b.nextSeq = max(b.nextSeq, nextSeq)
	}
	records := 0
	at := headerSize
	for at < len(data) {
		r, ok := readRecord(b.queue, data[at:])
		if !ok {
			next := nextRecord(b.queue, data, at)
			if next < 0 {
				break
			}
			b.damaged(g.name, at, data[at:next], bad)
			at = next
			continue
		}
		records++
		if r.jump != 0 {
			for _, older := range b.segments {
				older.shift(r.jump)
			}
			g.shift(r.jump)
			at += int(r.size)
			g.size = int64(at)
			continue
		}
		seq := r.entry.ID.Seq
		b.nextSeq = max(b.nextSeq, seq+1)
		switch {
		case r.done:
			done[seq] = true
		case b.entries[seq] == nil:
			e := &entry{seq: seq, kind: r.entry.Kind, segment: g, offset: int64(at), length: r.size}
			b.entries[seq] = e
			b.kinds[e.kind] = append(b.kinds[e.kind], e)
			g.live++
			g.last = later(g.last, r.entry.At)
		}
		at += int(r.size)
		g.size = int64(at)
	}
	if records == 0 && !whole {
		// A header is synced before anything follows it: a torn one alone was never used.
		if len(data) > headerSize {
			b.damaged(g.name, 0, data, bad)
		}
		return false
	}
	g.size = max(g.size, headerSize)
	if g.size < int64(len(data)) && last {
		b.o.Log.Info("outbox: cut off what a crash has torn", "segment", g.name, "bytes", int64(len(data))-g.size)
		// On a card that cannot be written it stays, and is stepped over again the next time.
		if err := g.file.Truncate(g.size); err != nil {
			b.o.Log.Warn("outbox: cannot cut", "segment", g.name, "err", err)
		}
	}
	if g.size < int64(len(data)) && !last {
		b.damaged(g.name, int(g.size), data[g.size:], bad) // no crash tears what was finished long before it
	}
	// Whole records that the last life wrote but did not sync are delivered too, so they had better be on the card.
	if err := g.file.Sync(); err != nil {
		b.o.Log.Warn("outbox: cannot sync", "segment", g.name, "err", err)
	}
	return true
}

// damaged counts a damaged place and keeps a copy of it.
func (b *Box) damaged(name string, at int, data []byte, bad *int) {
	b.stats.Corrupt++
	b.o.Log.Error("outbox: a damaged place is left out", "segment", name, "offset", at, "bytes", len(data))
	if *bad >= mostBad {
		return
	}
	f, err := b.disk.create(fmt.Sprintf("%s.%d%s", name, at, keptBad))
	if err != nil {
		return // it is there from the last start, or the card cannot be written
	}
	defer f.Close()
	*bad++
	if _, err := f.WriteAt(data, 0); err != nil {
		b.o.Log.Warn("outbox: cannot keep the damaged place", "segment", name, "err", err)
	}
}

// forget takes an entry that is done out of the index; its kind's row is tidied by those who read it.
func (b *Box) forget(e *entry) {
	e.done = true
	delete(b.entries, e.seq)
	e.segment.live--
}

func readAll(f file) ([]byte, error) {
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	if size > mostRead {
		return nil, fmt.Errorf("%d bytes are no segment", size)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && (err != io.EOF || n < len(data)) {
		return nil, err
	}
	return data, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
