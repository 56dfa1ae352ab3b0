package record

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// waiting is how many lines may wait for the card.
const waiting = 1024

// Options of a Log; the zero value of a limit means its default.
type Options struct {
	Dir       string // for the files
	FileBytes int64  // after which a file is put aside (1 MiB)
	Files     int    // that are kept of each kind, the current one included (8)
	Log       *slog.Logger
}

// Log takes records. Its methods are safe for concurrent use; Call and Mode never wait.
type Log struct {
	log   *slog.Logger
	lines chan line
	rows  map[string]*row
	crowd crowd
	filed atomic.Uint64
	lost  atomic.Uint64
	fault atomic.Pointer[string] // of the last write; nil: it went well
}

type line struct {
	kind string
	text []byte
	done chan<- error // nil: nobody waits
}

// Stats counts since New.
type Stats struct {
	Filed uint64 // are in the files
	Lost  uint64 // are missing there: the card is slow, full or broken
	Fault string // of the last write; "" when it went well
}

// New makes a Log; it touches nothing.
func New(o Options) (*Log, error) {
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
	l := &Log{log: o.Log, lines: make(chan line, waiting), rows: make(map[string]*row)}
	for _, kind := range []string{KindCall, KindMode, KindEmergency} {
		l.rows[kind] = &row{dir: o.Dir, kind: kind, bytes: o.FileBytes, files: o.Files, sync: kind == KindEmergency}
	}
	return l, nil
}

// Call takes the record of a call that has ended. Refused calls that come in crowds have lines in common.
func (l *Log) Call(c Call) {
	for _, c := range l.crowd.take(c) {
		l.call(c)
	}
}

func (l *Log) call(c Call) {
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

// Emergency takes a step of an emergency call, as a line of JSON, and returns when it is safe on the card, or why it is not.
func (l *Log) Emergency(ctx context.Context, text []byte) error {
	done := make(chan error, 1)
	select {
	case l.lines <- line{KindEmergency, text, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) add(kind string, v any) {
	text, err := json.Marshal(v)
	if err == nil {
		select {
		case l.lines <- line{kind: kind, text: text}:
			return
		default:
			err = errors.New("too many wait for the card")
		}
	}
	l.drop(kind, err)
}

func (l *Log) drop(kind string, err error) {
	// The first, and then ever fewer: a full card must not fill the log as well.
	if n := l.lost.Add(1); n&(n-1) == 0 {
		l.log.Error("record is lost", "kind", kind, "err", err, "lost", n)
	}
}

// Stats is a copy of the counters.
func (l *Log) Stats() Stats {
	s := Stats{Filed: l.filed.Load(), Lost: l.lost.Load()}
	if f := l.fault.Load(); f != nil {
		s.Fault = *f
	}
	return s
}

// Run writes the files until ctx ends; what waits then is still written. When nothing waits, all that was written is safe
// from a power cut.
func (l *Log) Run(ctx context.Context) error {
	defer func() {
		for _, r := range l.rows {
			r.close()
		}
	}()
	failing := false
	write := func(one line) {
		err := l.rows[one.kind].write(one.text)
		if err == nil && len(l.lines) == 0 { // one flush for all that came together: a card does few of them a second
			for _, r := range l.rows {
				err = errors.Join(err, r.flush())
			}
		}
		if err != nil && one.done == nil {
			l.drop(one.kind, err)
		}
		if err == nil {
			l.filed.Add(1)
		}
		if (err != nil) != failing {
			if failing = err != nil; failing {
				text := err.Error()
				l.fault.Store(&text)
				l.log.Error("record files cannot be written", "err", err)
			} else {
				l.fault.Store(nil)
				l.log.Info("record files are written again")
			}
		}
		if one.done != nil { // last: who waited sees the counters as they are now
			one.done <- err
		}
	}
	together := func(now time.Time) {
		for _, c := range l.crowd.over(now) {
			for len(l.lines) == waiting {
				write(<-l.lines)
			}
			l.call(c)
		}
	}
	look := time.NewTicker(lookAt)
	defer look.Stop()
	for {
		select {
		case one := <-l.lines:
			write(one)
		case now := <-look.C:
			together(now)
		case <-ctx.Done():
			together(time.Time{})
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
