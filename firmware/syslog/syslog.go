// Package syslog sends the box's log to a server as well: messages of RFC 5424 over TLS, framed as RFC 5425 says. The log on
// standard error stays what it is; what does not get out is counted, and told to the server when it is there again.
package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/feed"
)

// Options of a Sender.
type Options struct {
	Address  string
	TLS      *tls.Config
	Facility int          // RFC 5424 §6.2.1
	Host     string       // the box's name
	Log      *slog.Logger // for the Sender's own faults: must not lead back here
}

// Sender sends lines.
type Sender struct {
	facility int
	host     string
	pid      string
	feed     *feed.Feed
}

// New makes a Sender; nothing is sent before Run.
func New(o Options) (*Sender, error) {
	if o.TLS == nil {
		return nil, fmt.Errorf("syslog: a log is not sent in the clear")
	}
	s := &Sender{facility: o.Facility, host: field(o.Host, 255), pid: strconv.Itoa(os.Getpid())}
	var err error
	s.feed, err = feed.New(feed.Options{What: "syslog", Network: "tcp", Address: o.Address, TLS: o.TLS, Log: o.Log, Bytes: 1 << 20, Lost: func(n uint64) []byte {
		return s.frame(time.Now(), slog.LevelWarn, fmt.Sprintf("%d lines before this one are lost", n))
	}})
	return s, err
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error { return s.feed.Run(ctx) }

// Status is how it goes.
func (s *Sender) Status() feed.Status { return s.feed.Status() }

// severity of RFC 5424 §6.2.1.
func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// longest message; RFC 5425 §4.3.1 has receivers take 8192 bytes.
const longest = 8000

// frame is an octet-counted message (RFC 5425 §4.3).
func (s *Sender) frame(at time.Time, level slog.Level, text string) []byte {
	text = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text), "?")
	for len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	msg := fmt.Sprintf("<%d>1 %s %s holdfast %s - - %s", s.facility*8+severity(level), at.UTC().Format("2006-01-02T15:04:05.000000Z"), s.host, s.pid, text)
	return append(strconv.AppendInt(nil, int64(len(msg)), 10), " "+msg...)
}

// field is a header field of RFC 5424 §6: printable ASCII without spaces.
func field(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// Handler hands records to next and, where next wants them, to the server too.
func (s *Sender) Handler(next slog.Handler) slog.Handler {
	shared := &text{}
	shared.inner = slog.NewTextHandler(&shared.line, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{} // they have fields of their own
		}
		return a
	}})
	return &handler{sender: s, next: next, text: shared, inner: shared.inner}
}

// text makes lines; one at a time.
type text struct {
	mu    sync.Mutex
	line  bytes.Buffer
	inner slog.Handler
}

type handler struct {
	sender *Sender
	next   slog.Handler
	text   *text
	inner  slog.Handler // writes into text.line, with the attributes and groups so far
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.text.mu.Lock()
	h.text.line.Reset()
	err := h.inner.Handle(ctx, r)
	line := strings.TrimSuffix(h.text.line.String(), "\n")
	h.text.mu.Unlock()
	if err == nil {
		h.sender.feed.Send(h.sender.frame(r.Time, r.Level, strings.TrimPrefix(line, "msg=")))
	}
	return h.next.Handle(ctx, r)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.sender, h.next.WithAttrs(attrs), h.text, h.inner.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.sender, h.next.WithGroup(name), h.text, h.inner.WithGroup(name)}
}
