package syslog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"holdfast/firmware/lab/ca"
)

func sender(t *testing.T) *Sender {
	t.Helper()
	s, err := New(Options{Address: "127.0.0.1:9", TLS: &tls.Config{}, Facility: 16, Host: "branch 7 ü"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFrame: RFC 5424 §6, framed as in RFC 5425 §4.3.
func TestFrame(t *testing.T) {
	s := sender(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	for level, priority := range map[slog.Level]int{slog.LevelDebug: 135, slog.LevelInfo: 134, slog.LevelWarn: 132, slog.LevelError: 131, slog.LevelError + 4: 131} {
		msg := fmt.Sprintf("<%d>1 2026-03-01T11:00:00.123456Z branch-7-- holdfast %d - - hello", priority, os.Getpid())
		if got := string(s.frame(at, level, "hello")); got != fmt.Sprintf("%d %s", len(msg), msg) {
			t.Errorf("%s: %s", level, got)
		}
	}
	for text, want := range map[string]string{"a\nb\x00c\x7f": "a b c ", "bad\xffutf": "bad\uFFFDutf", "ü": "ü", "": ""} {
		if got := string(s.frame(at, slog.LevelInfo, text)); !strings.HasSuffix(got, " - - "+want) {
			t.Errorf("%q: %q", text, got)
		}
	}
	long := s.frame(at, slog.LevelInfo, strings.Repeat("ü", 9000))
	if len(long) > 8192 || !utf8.Valid(long) {
		t.Errorf("%d bytes", len(long))
	}
}

// TestHandler: what goes to standard error goes to the server too, over TLS and octet-counted; what is not enabled does
// neither.
func TestHandler(t *testing.T) {
	authority, err := ca.New("syslog")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Leaf([]string{"log.example"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := New(Options{Address: l.Addr().String(), TLS: &tls.Config{RootCAs: authority.Pool(), ServerName: "log.example"}, Facility: 16, Host: "b"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	var here bytes.Buffer
	log := slog.New(s.Handler(slog.NewTextHandler(&here, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.Debug("nobody wants this")
	log.Info("call ended", "call", "7-abc")
	log.Error("two\nlines")
	if n := strings.Count(here.String(), "\n"); n != 2 {
		t.Errorf("%d lines on standard error:\n%s", n, here.String())
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	for _, want := range []string{`<134>1 \S+ b holdfast \d+ - - "call ended" call=7-abc`, `<131>1 \S+ b holdfast \d+ - - "two\\nlines"`} {
		var n int
		if _, err := fmt.Fscanf(in, "%d ", &n); err != nil {
			t.Fatal(err)
		}
		msg := make([]byte, n)
		if _, err := io.ReadFull(in, msg); err != nil || !regexp.MustCompile("^"+want+"$").Match(msg) {
			t.Errorf("%q, want %s", msg, want)
		}
	}
	if st := s.Status(); !st.Up {
		t.Errorf("%+v", st)
	}
}

// TestLines looks at the text of a line.
func TestLines(t *testing.T) {
	s := sender(t)
	h := s.Handler(slog.DiscardHandler).(*handler)
	for _, c := range []struct {
		log  func(*slog.Logger)
		want string
	}{
		{func(l *slog.Logger) { l.Info("call ended", "call", "7-abc", "seconds", 3) }, `^"call ended" call=7-abc seconds=3$`},
		{func(l *slog.Logger) { l.With("aor", "u 1").WithGroup("g").Warn("gone", "level", "x") }, `^gone aor="u 1" g.level=x$`},
		{func(l *slog.Logger) { l.Error("two\nlines") }, `^"two\\nlines"$`},
	} {
		got := make(chan string, 1)
		l := slog.New(&lines{h, got})
		c.log(l)
		if line := <-got; !regexp.MustCompile(c.want).MatchString(line) {
			t.Errorf("%q, want %s", line, c.want)
		}
	}
}

// lines hands out what handler would send.
type lines struct {
	*handler
	got chan string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) Handle(ctx context.Context, r slog.Record) error {
	l.text.line.Reset()
	err := l.inner.Handle(ctx, r)
	l.got <- strings.TrimPrefix(strings.TrimSuffix(l.text.line.String(), "\n"), "msg=")
	return err
}
func (l *lines) WithAttrs(a []slog.Attr) slog.Handler {
	return &lines{l.handler.WithAttrs(a).(*handler), l.got}
}
func (l *lines) WithGroup(n string) slog.Handler {
	return &lines{l.handler.WithGroup(n).(*handler), l.got}
}

func TestNeverInTheClear(t *testing.T) {
	if _, err := New(Options{Address: "h:1"}); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Error(err)
	}
}
