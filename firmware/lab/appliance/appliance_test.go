package appliance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseStatus(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		in   string
		want Status
		bad  bool
	}{
		{in: `{"mode":{"name":"resilience","since":"2026-01-02T03:04:05Z"},"calls":[{"id":"1"},{"id":"2"}],"media":{"sessions":3}}`,
			want: Status{Mode: "resilience", Since: since, Calls: 2, Sessions: 3}},
		{in: `{"mode":{"name":"normal"},"calls":null}`, want: Status{Mode: "normal"}},
		{in: `{"mode":{"name":""}}`, bad: true},
		{in: `{}`, bad: true},
		{in: `[]`, bad: true},
		{in: `the box is not running`, bad: true},
	} {
		if s, err := parseStatus([]byte(c.in)); s != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %+v, %v", c.in, s, err)
		}
	}
}

// program writes a shell script that stands in for the box.
func program(t *testing.T, text string) *Box {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "holdfast")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Box{Binary: file, BootFile: filepath.Join(dir, "holdfast.toml"), RunDir: dir, LogFile: filepath.Join(dir, "box.log")}
}

// A name from the command line counts from where the lab runs, not from the box's folder.
func TestStartByRelativeName(t *testing.T) {
	b := program(t, "exit 0\n")
	t.Chdir(filepath.Dir(filepath.Dir(b.Binary)))
	b.Binary = filepath.Join(filepath.Base(filepath.Dir(b.Binary)), "holdfast")
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	<-b.Exited()
	if b.err != nil {
		t.Error(b.Err())
	}
}

func TestLife(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode, err  string // of WaitMode
		stop       string // error of Stop
	}{
		{"well", "[ $1 = status ] && { [ -e $0.ready ] || exit 9; echo '{\"mode\":{\"name\":\"normal\"}}'; exit 0; }\ntrap 'exit 0' TERM\n>$0.ready\nwhile :; do sleep 0.02; done\n", "normal", "", ""},
		{"status with an exit code", "[ $1 = status ] && { [ -e $0.ready ] || exit 9; echo '{\"mode\":{\"name\":\"normal\"}}'; exit 3; }\ntrap 'exit 0' TERM\n>$0.ready\nwhile :; do sleep 0.02; done\n", "normal", "", ""},
		{"another mode", "[ $1 = status ] && { [ -e $0.ready ] || exit 9; echo '{\"mode\":{\"name\":\"drill\"}}'; exit 0; }\ntrap 'exit 0' TERM\n>$0.ready\nwhile :; do sleep 0.02; done\n", "drill", `mode is "drill"`, ""},
		{"ends with an error", "[ $1 = status ] && exit 1\ntrap 'echo bye; exit 7' TERM\n>$0.ready\nwhile :; do sleep 0.02; done\n", "", "context deadline", "bye"},
		{"does not start", "echo holdfast.toml:3: no such key >&2; exit 2\n", "", "no such key", "no such key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := program(t, c.text)
			if err := b.Check(); err != nil {
				t.Fatal(err)
			}
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			// A loaded machine may take its time until the program can be stopped: status answers only from then on.
			patience := 30 * time.Second
			if c.name == "ends with an error" || c.name == "another mode" { // these are waited for in vain
				for end := time.Now().Add(patience); time.Now().Before(end) && !exists(b.Binary+".ready"); {
					time.Sleep(10 * time.Millisecond)
				}
				patience = 2 * time.Second
			}
			ctx, done := context.WithTimeout(context.Background(), patience)
			defer done()
			mode, _, err := b.WaitMode(ctx, "normal")
			if mode != c.mode || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("mode %q, %v; want %q and an error with %q", mode, err, c.mode, c.err)
			}
			if err := b.Stop(); (err == nil) != (c.stop == "") || (err != nil && !strings.Contains(err.Error(), c.stop)) {
				t.Errorf("Stop: %v, want an error with %q", err, c.stop)
			}
		})
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestCheckSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, binary := range []string{filepath.Join(dir, "missing"), plain, dir} {
		err := (&Box{Binary: binary}).Check()
		if err == nil || !strings.Contains(err.Error(), "go build") || !strings.Contains(err.Error(), "--box") {
			t.Errorf("%s: %v", binary, err)
		}
	}
}
