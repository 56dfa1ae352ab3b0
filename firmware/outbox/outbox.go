// Package outbox is the durable queue on the card: what must reach somebody later (call records, notices, reports) is put
// in here and is delivered at least once, whatever happens to the power in between. It knows nothing of what it carries.
//
// Acknowledged means: after the fsync. One goroutine (Run) writes; everybody who waits at that moment shares one write
// and one fsync, because an SD card does few of them a second.
//
//	Append ──► waiting ──► one write, one fsync ──► acknowledged ──► Next ──► handler ──► Done (written likewise)
//
// The queue is a row of segment files. An entry and the note that it is done are records with a CRC. Segments are removed
// from the front only, so a note never disappears before its entry.
package outbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"
)

// Errors that callers meet.
var (
	ErrClosed = errors.New("outbox: closed")
	ErrFull   = errors.New("outbox: too many are waiting to be written")
	ErrTooBig = errors.New("outbox: entry too big")
)

// MaxPayload is the largest entry, in bytes.
const MaxPayload = 1 << 20

// ID names an entry for ever and everywhere: who receives one twice can tell by it.
type ID struct {
	Queue [8]byte // made up when the queue was, so that a new card's numbers are not mistaken for the old one's
	Seq   uint64
}

// String is the idempotency key, such as "9f86d081884c7d65-42".
func (id ID) String() string {
	return hex.EncodeToString(id.Queue[:]) + "-" + strconv.FormatUint(id.Seq, 10)
}

// Entry is what was put in.
type Entry struct {
	ID      ID
	Kind    string // who wants it
	At      time.Time
	Payload []byte
}

// Options of a Box; the zero value of a field means its default.
type Options struct {
	SegmentBytes int64         // a file's size after which the next one begins (4 MiB)
	MaxBytes     int64         // of all files; the oldest are given up above it (64 MiB)
	MaxAge       time.Duration // entries are given up after it (90 days)
	Waiting      int           // most that wait to be written (1024)
	Log          *slog.Logger  // nil: none
	Now          func() time.Time
	Elapsed      func() time.Duration // of a clock that nobody sets
}

func (o Options) filled() (Options, error) {
	if o.SegmentBytes < 0 || o.MaxBytes < 0 || o.MaxAge < 0 || o.Waiting < 0 {
		return o, errors.New("outbox: negative option")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 4 << 20
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 64 << 20
	}
	if o.MaxAge == 0 {
		o.MaxAge = 90 * 24 * time.Hour
	}
	if o.Waiting == 0 {
		o.Waiting = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		begun := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(begun) }
	}
	if o.SegmentBytes > o.MaxBytes/2 {
		return o, fmt.Errorf("outbox: segments of %d bytes do not fit twice into %d", o.SegmentBytes, o.MaxBytes)
	}
	return o, nil
}

// Stats counts since Open, except Pending and Bytes.
type Stats struct {
	Pending   int    // undone entries
	Bytes     int64  // of all segments
	Appended  uint64 // acknowledged entries
	Done      uint64
	Dropped   uint64 // AppendAsync found no room, or writing failed with nobody waiting
	Expired   uint64 // undone entries given up for MaxBytes or MaxAge
	Corrupt   uint64 // damaged places found in the files
	Refused   uint64 // entries that a handler called undeliverable
	LastError string // of the last write; "" when it went well
}

// Box is the queue. Its methods are safe for concurrent use.
type Box struct {
	o     Options
	disk  disk
	queue [8]byte
	slots chan struct{} // one for each that waits to be written
	wake  chan struct{} // for Run; holds one

	mu       sync.Mutex
	waiting  []*operation // in the order of their sequence numbers
	segments []*segment   // oldest first; the last one is written to
	kinds    map[string][]*entry
	entries  map[uint64]*entry // undone
	nextSeq  uint64
	nextFile uint64        // number of the next segment; only Run uses it
	arrived  chan struct{} // closed and replaced when there is something new to deliver
	stats    Stats
	seen     time.Time     // the clock, when it was looked at last,
	passed   time.Duration // and what Elapsed said then
	running  bool
	closed   bool
	ended    chan struct{} // closed when Run has ended
}

// segment is one file.
type segment struct {
	name      string
	file      file
	size      int64     // up to the last acknowledged record
	live      int       // undone entries in it
	last      time.Time // of its newest entry
	abandoned bool      // nothing more is written to it
}

// entry is where an undone entry stands.
type entry struct {
	seq     uint64
	kind    string
	segment *segment
	offset  int64
	length  int64 // of the record
	done    bool
}

// Open reads the queue in dir, which it makes when it is not there. Of what a crash has torn, nothing acknowledged is
// missing. A folder that cannot be written is no error: what is in it can be delivered, and every write says what is
// wrong; calls are more important than their records.
func Open(dir string, o Options) (*Box, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil && o.Log != nil {
		o.Log.Warn("outbox cannot be made", "dir", dir, "err", err)
	}
	return open(folder(dir), o)
}

func open(d disk, o Options) (*Box, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	b := &Box{
		o: o, disk: d, slots: make(chan struct{}, o.Waiting), wake: make(chan struct{}, 1),
		kinds: make(map[string][]*entry), entries: make(map[uint64]*entry), nextSeq: 1,
		arrived: make(chan struct{}), ended: make(chan struct{}),
	}
	b.seen, b.passed = o.Now().Round(0), o.Elapsed()
	if err := b.recover(); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	if b.queue == [8]byte{} {
		if _, err := io.ReadFull(rand.Reader, b.queue[:]); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	b.noteJump(b.resume())
	return b, nil
}

// Stats is a copy of the counters.
func (b *Box) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Pending = len(b.entries)
	for _, g := range b.segments {
		s.Bytes += g.size
	}
	return s
}
