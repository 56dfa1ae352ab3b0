package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/mode"
)

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

func TestWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	l, err := New(Options{Dir: dir})
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
	if s := l.Stats(); s != (Stats{Filed: 2}) {
		t.Errorf("%+v", s)
	}
	info, err := os.Stat(filepath.Join(dir, "call.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestNeverWaits: a stuck card costs records, which are counted, and no time.
func TestNeverWaits(t *testing.T) {
	dir := t.TempDir()
	l, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for n := range waiting + 100 { // nobody runs Run
		l.Call(Call{ID: fmt.Sprint(n)})
	}
	if s := l.Stats(); s != (Stats{Lost: 100}) {
		t.Errorf("%+v", s)
	}
	finish(t, l)
	if lines := read(t, filepath.Join(dir, "call.jsonl")); len(lines) != waiting {
		t.Errorf("%d lines", len(lines))
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	l, err := New(Options{Dir: dir, FileBytes: 1000, Files: 3})
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
	l, err := New(Options{Dir: dir})
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
	l, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l.Call(Call{ID: "lost"})
	finish(t, l)
	if s := l.Stats(); s.Lost != 1 || s.Filed != 0 || s.Fault == "" {
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

// TestEmergency: a step is safe when Emergency returns, and what kept it from the card is said.
func TestEmergency(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	l, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := l.Emergency(cancelled(t), []byte("{}")); !errors.Is(err, context.Canceled) { // nobody writes, nobody waits for ever
		t.Error(err)
	}
	select {
	case <-l.lines:
	default: // it gave up before it was queued
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	if err := l.Emergency(t.Context(), []byte(`{"call":"c1","seq":1}`)); err == nil {
		t.Error("a card that cannot be written has kept a step")
	}
	if s := l.Stats(); s.Fault == "" || s.Filed != 0 {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Emergency(t.Context(), []byte(`{"call":"c1","seq":1}`)); err != nil {
		t.Error(err)
	}
	if lines := read(t, filepath.Join(dir, "emergency.jsonl")); len(lines) != 1 || lines[0] != `{"call":"c1","seq":1}` {
		t.Errorf("%q", lines)
	}
	if s := l.Stats(); s != (Stats{Filed: 1}) {
		t.Errorf("%+v", s)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Dir: "x", Files: -1}, {Dir: "x", FileBytes: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}
