package health

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// part is something that is probed: 0 well, 1 it fails, 2 it hangs whatever its context says.
type part struct {
	state atomic.Int32
	freed chan struct{}
}

func (p *part) probe(ctx context.Context) error {
	switch p.state.Load() {
	case 1:
		return errors.New("broken")
	case 2:
		<-p.freed
	case 3:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// TestGate: words are seconds to pass, or PART=STATE; after the script the gate's state is compared.
func TestGate(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []string
		want   string
	}{
		{"at once", nil, "[] 0s"},
		{"well", []string{"60"}, "[] 1m0s"},
		{"one fails, not for long", []string{"60", "a=1", "9"}, "[] 1m9s"},
		{"one fails", []string{"60", "a=1", "11"}, "[a: broken] 0s"},
		{"both fail", []string{"60", "a=1", "b=1", "40"}, "[a: broken b: broken] 0s"},
		{"one hangs", []string{"60", "a=2", "11"}, "[a does not answer] 0s"},
		{"one takes too long", []string{"60", "a=3", "11"}, "[a: context deadline exceeded] 0s"},
		{"one hangs from the start: time to start", []string{"a=2", "9"}, "[] 0s"},
		{"one hangs from the start", []string{"a=2", "11"}, "[a does not answer] 0s"},
		{"it comes back", []string{"60", "a=1", "20", "a=0", "30"}, "[] 29s"},
		{"it hung and comes back", []string{"60", "a=2", "20", "a=0", "30"}, "[] 30s"},
		{"a failure that nobody looked at breaks the time", []string{"60", "b=1", "31", "b=0", "3", "10"}, "[] 12s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := &part{freed: make(chan struct{}, 1)}, &part{freed: make(chan struct{}, 1)}
				for i, w := range c.script { // states before the first pause are there from the start
					var name rune
					var state int32
					if n, _ := fmt.Sscanf(w, "%c=%d", &name, &state); n == 2 && i == 0 {
						a.state.Store(state)
					}
				}
				g := New(time.Now, Check{"a", time.Second, 10 * time.Second, a.probe}, Check{"b", 2 * time.Second, 30 * time.Second, b.probe})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- g.Run(ctx) }()
				synctest.Wait()
				for _, w := range c.script {
					var name rune
					var state int32
					if n, _ := fmt.Sscanf(w, "%c=%d", &name, &state); n == 2 {
						p := a
						if name == 'b' {
							p = b
						}
						if p.state.Swap(state) == 2 && state != 2 {
							p.freed <- struct{}{}
						}
						continue
					}
					d, err := time.ParseDuration(w + "s")
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(d)
					synctest.Wait()
				}
				got := fmt.Sprint(g.Faults(), " ", g.Held())
				if got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				began := time.Now()
				cancel()
				if err := <-ended; err != nil || time.Since(began) > endWithin {
					t.Errorf("the end: %v after %s", err, time.Since(began))
				}
				close(a.freed)
			})
		})
	}
}
