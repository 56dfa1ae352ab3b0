package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func (f *fake) Update(_ context.Context, bundle io.Reader, o UpdateOrder) (string, error) {
	if f.err != nil {
		return "", f.err // unread
	}
	b, err := io.ReadAll(bundle)
	if err != nil {
		return "", err
	}
	return f.note(fmt.Sprintf("update %d %v", len(b), o))
}

// forever is a bundle without an end.
type forever struct{ ctx context.Context }

func (f forever) Read(b []byte) (int, error) { return len(b), f.ctx.Err() }

func TestUpdate(t *testing.T) {
	f := new(fake)
	c, stop := serve(t, t.TempDir(), f)
	msg, err := c.Update(t.Context(), strings.NewReader(strings.Repeat("x", 5<<20)), UpdateOrder{Now: true})
	if want := fmt.Sprintf("did update %d {false true}", 5<<20); err != nil || msg != want {
		t.Errorf("%q %v", msg, err)
	}
	if msg, err = c.Update(t.Context(), strings.NewReader(""), UpdateOrder{Force: true}); err != nil || msg != "did update 0 {true false}" {
		t.Errorf("%q %v", msg, err)
	}
	f.err = errors.New("not signed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := c.Update(ctx, forever{ctx}, UpdateOrder{}); err == nil || err.Error() != "not signed" {
		t.Errorf("refused: %v", err)
	}
	cancel()
	stop()
	if _, err := c.Update(t.Context(), strings.NewReader(""), UpdateOrder{}); err == nil || !strings.Contains(err.Error(), "no box is running here") {
		t.Error(err)
	}
}
