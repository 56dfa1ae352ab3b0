package admin

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
)

// Tail keeps the last lines of the box's log in RAM, as text.
type Tail struct {
	mu    sync.Mutex
	lines []string
	bytes int
}

// Bounds of a tail.
const (
	tailLines = 1000
	tailBytes = 256 << 10
	tailLine  = 2 << 10
)

// Handler hands records to next and keeps those of level info and above.
func (t *Tail) Handler(next slog.Handler) slog.Handler {
	own := slog.NewTextHandler(lineWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo})
	return tee{next, own}
}

// Lines are the last n, the oldest first.
func (t *Tail) Lines(n int) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines[max(0, len(t.lines)-n):])
}

func (t *Tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line = clip(line, tailLine)
	t.lines = append(t.lines, line)
	t.bytes += len(line)

	for len(t.lines) > tailLines || t.bytes > tailBytes {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

type lineWriter struct{ t *Tail }

// Write takes one record: slog's handlers write each in one call.
func (w lineWriter) Write(p []byte) (int, error) {
	w.t.add(string(bytes.TrimRight(p, "\n")))
	return len(p), nil
}

// tee is two handlers.
type tee struct{ a, b slog.Handler }

// Enabled implements slog.Handler.
func (t tee) Enabled(ctx context.Context, l slog.Level) bool {
	return t.a.Enabled(ctx, l) || t.b.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (t tee) Handle(ctx context.Context, r slog.Record) error {
	if t.b.Enabled(ctx, r.Level) {
		t.b.Handle(ctx, r) // it writes to memory
	}
	if t.a.Enabled(ctx, r.Level) {
		return t.a.Handle(ctx, r)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (t tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tee{t.a.WithAttrs(attrs), t.b.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (t tee) WithGroup(name string) slog.Handler {
	return tee{t.a.WithGroup(name), t.b.WithGroup(name)}
}
