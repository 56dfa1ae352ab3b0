package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/mode"
	"holdfast/firmware/outbox"
)

// queue is an Outbox in RAM with room for so many.
type queue struct {
	mu   sync.Mutex
	room int
	got  []string
}

func (q *queue) AppendAsync(kind string, payload []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.got) >= q.room {
		return outbox.ErrFull
	}
	q.got = append(q.got, kind+" "+string(payload))
	return nil
}

// finish lets a Log write all that waits.
func finish(t *testing.T, l *Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		t.Errorf("%s ends in the middle of a line", path)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func TestWritesBoth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	q := &queue{room: 10}
	l, err := New(q, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	call := Call{ID: "c1", Start: at, End: at.Add(time.Minute), From: "1001", To: "1002", Direction: Inside, Mode: mode.Resilience,
		Status: 200, EndCause: "hangup", EndedBy: "caller", Legs: []Leg{{Side: "access", Party: "1001", Codec: "opus", RxPackets: 3000, JitterMS: 1.5}}}
	l.Call(call)
	l.Mode(FromTransition(mode.Transition{At: at, From: mode.Normal, To: mode.Drill, Cause: "drill started by button",
		Evidence: []mode.Evidence{{Zone: "east", Verdict: mode.Up, Alive: true, RTT: 1500 * time.Microsecond}},
		Drill:    &mode.Order{By: "button", Limit: time.Hour}}))
	finish(t, l)

	lines := read(t, filepath.Join(dir, "call.jsonl"))
	var back Call
	if err := json.Unmarshal([]byte(lines[0]), &back); err != nil || len(lines) != 1 {
		t.Fatal(err, lines)
	}
	if back.ID != "c1" || back.Mode != mode.Resilience || back.Legs[0].Codec != "opus" || !back.Answer.IsZero() || strings.Contains(lines[0], "answer") {
		t.Errorf("%s", lines[0])
	}
	const change = `{"at":"2026-03-01T12:00:00Z","from":"normal","to":"drill","cause":"drill started by button","evidence":[{"zone":"east","kind":"sip","verdict":"up","alive":true,"in_a_row":0,"rtt_ms":1.5}],"drill":{"by":"button","limit_s":3600}}`
	if got := read(t, filepath.Join(dir, "mode.jsonl")); got[0] != change {
		t.Errorf("got  %s\nwant %s", got[0], change)
	}
	if len(q.got) != 2 || q.got[0] != "call "+lines[0] || q.got[1] != "mode "+change {
		t.Errorf("%v", q.got)
	}
	if s := l.Stats(); s != (Stats{Queued: 2}) {
		t.Errorf("%+v", s)
	}
	info, err := os.Stat(filepath.Join(dir, "call.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestNeverWaits: a full queue and a stuck card cost records, which are counted, and no time.
func TestNeverWaits(t *testing.T) {
	q := &queue{room: 5}
	dir := t.TempDir()
	l, err := New(q, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for n := range waiting + 100 { // nobody runs Run
		l.Call(Call{ID: fmt.Sprint(n)})
	}
	if s := l.Stats(); s != (Stats{Queued: 5, Dropped: waiting + 95, Unfiled: 100}) {
		t.Errorf("%+v", s)
	}
	finish(t, l)
	if lines := read(t, filepath.Join(dir, "call.jsonl")); len(lines) != waiting {
		t.Errorf("%d lines", len(lines))
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l, err := New(&queue{room: 1000}, Options{Dir: dir, FileBytes: 1000, Files: 3})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		l.Call(Call{ID: fmt.Sprint("call-", n)})
	}
	finish(t, l)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%v %v", files, err)
	}
	next := 49 // the newest is last in the current file, and none is missing on the way back
	for _, name := range []string{"call.jsonl", "call.1.jsonl", "call.2.jsonl"} {
		lines := read(t, filepath.Join(dir, name))
		if size := len(strings.Join(lines, "\n")); size > 1000 {
			t.Errorf("%s has %d bytes", name, size)
		}
		for i := len(lines) - 1; i >= 0; i-- {
			if !strings.Contains(lines[i], fmt.Sprintf(`"call-%d"`, next)) {
				t.Fatalf("%s: %s, want call-%d", name, lines[i], next)
			}
			next--
		}
	}
}

func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "call.jsonl")
	if err := os.WriteFile(path, []byte("{\"id\":\"whole\"}\n{\"id\":\"to"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := New(&queue{room: 10}, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l.Call(Call{ID: "after"})
	finish(t, l)
	lines := read(t, path)
	if len(lines) != 3 || lines[1] != `{"id":"to` || !strings.Contains(lines[2], "after") || !json.Valid([]byte(lines[2])) {
		t.Errorf("%q", lines)
	}
}

func TestCardFailsAndReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	l, err := New(&queue{room: 10}, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l.Call(Call{ID: "lost"})
	finish(t, l)
	if s := l.Stats(); s.Unfiled != 1 || s.Queued != 1 {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	l.Call(Call{ID: "kept"})
	finish(t, l)
	if lines := read(t, filepath.Join(dir, "call.jsonl")); len(lines) != 1 || !strings.Contains(lines[0], "kept") {
		t.Errorf("%q", lines)
	}
}

// TestEmergency: a step goes into its file as it is, and not into the queue a second time.
func TestEmergency(t *testing.T) {
	dir := t.TempDir()
	q := &queue{room: 10}
	l, err := New(q, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l.Emergency([]byte(`{"call":"c1","seq":1}`))
	finish(t, l)
	if lines := read(t, filepath.Join(dir, "emergency.jsonl")); len(lines) != 1 || lines[0] != `{"call":"c1","seq":1}` || len(q.got) != 0 {
		t.Errorf("%q, queue %q", lines, q.got)
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Dir: "x", Files: -1}, {Dir: "x", FileBytes: -1}} {
		if _, err := New(&queue{}, o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

// TestThroughTheRealQueue: a record survives in the outbox and is delivered as it was written.
func TestThroughTheRealQueue(t *testing.T) {
	dir := t.TempDir()
	box, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(box, Options{Dir: filepath.Join(dir, "records")})
	if err != nil {
		t.Fatal(err)
	}
	l.Call(Call{ID: "c1", EndCause: "hangup"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(box.Run(ctx), l.Run(ctx)); err != nil {
		t.Fatal(err)
	}
	again, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := again.Next(t.Context(), KindCall, 0)
	if err != nil || !bytes.Contains(e.Payload, []byte(`"end_cause":"hangup"`)) {
		t.Errorf("%s %v", e.Payload, err)
	}
}
