package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"holdfast/sip/trace"
)

var (
	summary = trace.Summary{Call: "c1", At: epoch, Last: epoch, From: "1001", To: "1002", Messages: 3, Status: 200}
	ladder  = trace.Ladder{Call: "c1", Participants: []trace.Participant{{Name: "1001", Address: "10.0.0.31:4", Side: "access"}},
		Arrows: []trace.Arrow{{At: epoch, From: 1, To: 2, Label: "INVITE", Note: "SDP", Method: "INVITE", Status: 1, CallID: "a@b", Flow: 9, Text: "INVITE"}}}
)

func (f *fake) TracedCalls(n int) ([]trace.Summary, error) {
	_, err := f.note(fmt.Sprint("traced ", n))
	return []trace.Summary{summary}, err
}

func (f *fake) Ladder(call string) (trace.Ladder, error) {
	_, err := f.note("ladder " + call)
	return ladder, err
}

func (f *fake) Capture(w io.Writer, call string) error {
	_, err := f.note("capture " + call)
	io.WriteString(w, "\x0a\x0d\x0d\x0a\x00bytes")
	return err
}

func TestTraces(t *testing.T) {
	f := new(fake)
	c, _ := serve(t, t.TempDir(), f)
	if list, err := c.TracedCalls(t.Context(), 7); err != nil || !reflect.DeepEqual(list, []trace.Summary{summary}) {
		t.Errorf("%+v %v", list, err)
	}
	if l, err := c.Ladder(t.Context(), "a@b&c=?"); err != nil || !reflect.DeepEqual(l, ladder) {
		t.Errorf("%+v %v", l, err)
	}
	var file bytes.Buffer
	if err := c.Capture(t.Context(), &file, "c1"); err != nil || file.String() != "\x0a\x0d\x0d\x0a\x00bytes" {
		t.Errorf("%q %v", file.String(), err)
	}
	if asked := strings.Join(f.asked, "; "); asked != "traced 7; ladder a@b&c=?; capture c1" {
		t.Error(asked)
	}
	for _, n := range []int{0, mostTraced + 1} {
		if _, err := c.TracedCalls(t.Context(), n); err == nil || !strings.Contains(err.Error(), "n is not 1 to 10000") {
			t.Errorf("%d: %v", n, err)
		}
	}
	f.err = errors.New("nothing is kept")
	_, one := c.TracedCalls(t.Context(), 1)
	_, two := c.Ladder(t.Context(), "x")
	file.Reset()
	for _, err := range []error{one, two, c.Capture(t.Context(), &file, "x")} {
		if err == nil || err.Error() != "nothing is kept" {
			t.Error(err)
		}
	}
	if file.Len() > 0 {
		t.Errorf("a refused capture has %q", file.String())
	}
}
