package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// Outbox is the durable queue (firmware/outbox). It must not wait.
type Outbox interface {
	AppendAsync(kind string, payload []byte) error
}

// waiting is how many lines may wait for the card.
const waiting = 1024

// Options of a Log; the zero value of a limit means its default.
type Options struct {
	Dir       string // for the files
	FileBytes int64  // after which a file is put aside (1 MiB)
	Files     int    // that are kept of each kind, the current one included (8)
	Log       *slog.Logger
}

// Log takes records. Its methods are safe for concurrent use and never wait.
type Log struct {
	outbox  Outbox
	log     *slog.Logger
	lines   chan line
	rows    map[string]*row
	queued  atomic.Uint64
	dropped atomic.Uint64
	unfiled atomic.Uint64
}

type line struct {
	kind string
	text []byte
}

// Stats counts since New.
type Stats struct {
	Queued  uint64 // went into the queue
	Dropped uint64 // the queue did not take them
	Unfiled uint64 // are missing in the files
}

// New makes a Log; it touches nothing.
func New(outbox Outbox, o Options) (*Log, error) {
	if o.FileBytes < 0 || o.Files < 0 || o.Dir == "" {
		return nil, errors.New("record: no folder, or a negative limit")
	}
	if o.FileBytes == 0 {
		o.FileBytes = 1 << 20
	}
	if o.Files == 0 {
		o.Files = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{outbox: outbox, log: o.Log, lines: make(chan line, waiting), rows: make(map[string]*row)}
	for _, kind := range []string{KindCall, KindMode, KindEmergency} {
		l.rows[kind] = &row{dir: o.Dir, kind: kind, bytes: o.FileBytes, files: o.Files, sync: kind == KindEmergency}
	}
	return l, nil
}

// Call takes the record of a call that has ended.
func (l *Log) Call(c Call) {
	c.Start, c.End = c.Start.UTC(), c.End.UTC()
	if !c.Answer.IsZero() {
		c.Answer = c.Answer.UTC()
	}
	l.add(KindCall, c)
}

// Mode takes the record of a change of mode.
func (l *Log) Mode(c Change) {
	c.At = c.At.UTC()
	l.add(KindMode, c)
}

// Emergency takes a step of an emergency call, as a line of JSON. It goes into the file only: who hands it over has put
// it into the queue, and waited for that.
func (l *Log) Emergency(text []byte) { l.file(KindEmergency, text) }

func (l *Log) add(kind string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		l.drop(kind, fmt.Errorf("encode: %w", err))
		return
	}
	if err := l.outbox.AppendAsync(kind, text); err != nil {
		l.drop(kind, err)
	} else {
		l.queued.Add(1)
	}
	l.file(kind, text)
}

func (l *Log) file(kind string, text []byte) {
	select {
	case l.lines <- line{kind, text}:
	default:
		l.unfiled.Add(1)
	}
}

func (l *Log) drop(kind string, err error) {
	// The first, and then ever fewer: a full card must not fill the log as well.
	if n := l.dropped.Add(1); n&(n-1) == 0 {
		l.log.Error("record is lost", "kind", kind, "err", err, "lost", n)
	}
}

// Stats is a copy of the counters.
func (l *Log) Stats() Stats { return Stats{l.queued.Load(), l.dropped.Load(), l.unfiled.Load()} }

// Run writes the files until ctx ends; what waits then is still written.
func (l *Log) Run(ctx context.Context) error {
	defer func() {
		for _, r := range l.rows {
			r.close()
		}
	}()
	failing := false
	write := func(one line) {
		err := l.rows[one.kind].write(one.text)
		if err != nil {
			l.unfiled.Add(1)
		}
		if (err != nil) != failing {
			if failing = err != nil; failing {
				l.log.Error("record files cannot be written", "err", err)
			} else {
				l.log.Info("record files are written again")
			}
		}
	}
	for {
		select {
		case one := <-l.lines:
			write(one)
		case <-ctx.Done():
			for {
				select {
				case one := <-l.lines:
					write(one)
				default:
					return nil
				}
			}
		}
	}
}
