package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/sip/trace"
)

func (f *fake) TracedCalls(n int) ([]trace.Summary, error) {
	_, err := f.note(n)
	return []trace.Summary{
		{Call: "7-abcdef", At: noon, From: "1001", To: "+12175550142", Status: 486, Messages: 9},
		{Call: "x\x1b[31m@phone", At: noon, From: strings.Repeat("a", 30), To: "1002", Messages: 1},
	}, err
}

func (f *fake) Ladder(call string) (trace.Ladder, error) {
	_, err := f.note("ladder " + call)
	return trace.Ladder{Call: call, Participants: []trace.Participant{{Name: "1001", Side: "access"}, {Name: "Holdfast", Side: "box"}},
		Arrows: []trace.Arrow{{At: noon, To: 1, Label: "INVITE 1002"}}}, err
}

func (f *fake) Capture(w io.Writer, call string) error {
	_, err := f.note("capture " + call)
	io.WriteString(w, "capture")
	return err
}

// served runs a box that others can ask, until the test ends.
func served(t *testing.T, f *fake) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, dir, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Setenv("HOLDFAST_SOCKET", filepath.Join(dir, control.SocketName))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, status, err := call(t, "status"); status == 0 {
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestTracePage(t *testing.T) {
	p := page{now: noon, zone: time.FixedZone("CST", -6*3600)}
	list, _ := new(fake).TracedCalls(2)
	p.traced(list)
	const want = `Began     From               To                 Status  Msgs  Call
06:00:00  1001               +12175550142       486        9  7-abcdef
06:00:00  aaaaaaaaaaaaaaaaa… 1002               —          1  x?[31m@phone
`
	if got := p.text.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	p.text.Reset()
	if p.traced(nil); !strings.HasPrefix(p.text.String(), "No call") {
		t.Error(p.text.String())
	}
}

func TestTraceCommand(t *testing.T) {
	f := new(fake)
	served(t, f)
	if out, status, err := call(t, "trace"); status != 0 || !strings.Contains(out, "7-abcdef") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"trace", "7-abcdef"}, {"trace", "7-abcdef", "--json"}, {"trace", "--json", "7-abcdef"}} {
		out, status, err := call(t, args...)
		if status != 0 || !strings.Contains(out, "INVITE 1002") || f.asked[len(f.asked)-1] != "ladder 7-abcdef" {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if l := (trace.Ladder{}); args[len(args)-1] != "7-abcdef" && json.Unmarshal([]byte(out), &l) != nil {
			t.Errorf("%v: no JSON: %s", args, out)
		}
	}
	file := filepath.Join(t.TempDir(), "call.pcapng")
	if out, status, err := call(t, "trace", "7-abcdef", "--pcap", file); status != 0 || !strings.Contains(out, file) {
		t.Errorf("%v\n%s", err, out)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "capture" {
		t.Errorf("%q %v", data, err)
	}
	if _, status, err := call(t, "trace", "7-abcdef", "--pcap", file); status != 1 || !errors.Is(err, os.ErrExist) {
		t.Errorf("a capture was replaced: %v", err)
	}
	for _, line := range []string{"trace a b", "trace --pcap x", "trace -n 0", "trace --wrong"} {
		if _, status, err := call(t, strings.Fields(line)...); status != 2 {
			t.Errorf("%s: %d %v", line, status, err)
		}
	}
	f.err = errors.New("nothing is kept")
	gone := filepath.Join(t.TempDir(), "x")
	for _, args := range [][]string{{"trace"}, {"trace", "x"}, {"trace", "x", "--pcap", gone}} {
		if _, status, err := call(t, args...); status != 1 || err.Error() != "nothing is kept" {
			t.Errorf("%v: %v", args, err)
		}
	}
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Error("an empty capture is left")
	}
}
