package box

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/snapshot"
	"holdfast/sip/b2bua"
	"holdfast/sip/site"
)

// deskSite is a branch with a security desk: a user, and somebody outside.
func deskSite(t *testing.T, desk ...string) *site.Site {
	t.Helper()
	d := *oneUser(t, "").Doc()
	d.Site.MainNumber = "+12175550100"
	d.Trunks = []site.Trunk{{ID: "sbc", Address: "127.0.0.1:5061", TLSName: "sbc.test"}}
	d.Emergency.Security = desk
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// helpBox is a box that keeps records of calls for help and rings nobody by itself.
func helpBox(t *testing.T, st *site.Site) *Box {
	t.Helper()
	b := inMode(t, mode.Normal)
	b.site.Store(st)
	f, _, err := snapshot.Open(filepath.Join(t.TempDir(), "snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if b.journal, err = emergency.New(emergency.Options{Snapshot: f, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	b.desk = newDesk(b)
	return b
}

const guard = "+13125550199"

// TestDesk: whoever is on the list is rung, one after the other and round after round, until somebody takes the call.
func TestDesk(t *testing.T) {
	for name, c := range map[string]struct {
		record bool
		takes  int // which call is taken, from 1; 0: none
		errs   error
		want   []string // who was rung, in order
		steps  []string // of the record, after the call's own
		took   time.Duration
	}{
		"the first takes it":  {true, 1, nil, []string{"alice"}, []string{"security-desk alice ", "security-desk alice took the call"}, deskRings},
		"the second takes it": {true, 2, nil, []string{"alice", guard}, []string{"security-desk alice ", "security-desk " + guard + " ", "security-desk " + guard + " took the call"}, 2 * deskRings},
		"in the second round": {true, 3, b2bua.ErrNobodyThere, []string{"alice", guard, "alice"},
			[]string{"security-desk alice ", "security-desk " + guard + " ", "security-desk alice took the call"}, 3*deskRings + deskPause},
		"nobody takes it": {true, 0, b2bua.ErrNotTaken, []string{"alice", guard, "alice", guard, "alice", guard},
			[]string{"security-desk alice ", "security-desk " + guard + " ", "alarm  nobody at the security desk took the call about it"}, 6*deskRings + 2*deskPause},
		"whatever goes wrong": {true, 0, errors.New("broken"), []string{"alice", guard, "alice", guard, "alice", guard},
			[]string{"security-desk alice ", "security-desk " + guard + " ", "alarm  nobody at the security desk took the call about it"}, 6*deskRings + 2*deskPause},
		"a call without a record": {false, 1, nil, []string{"alice"}, nil, deskRings},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := helpBox(t, deskSite(t, "1001", guard))
				if c.record {
					begin(t, b, "c1", false)
				}
				var rung []string
				b.desk.call = func(_ context.Context, o b2bua.RingOrder, on func(b2bua.RingEvent)) error {
					rung = append(rung, o.User+o.Outside)
					shown, number := "CUT OFF 911 ROOM 204", "911"
					if !c.record {
						shown = "CUT OFF 911 UNKNOWN PHONE"
					}
					if o.Outside != "" {
						number = "+12175550100" // a carrier takes no other
					}
					if o.ID != "c1" || o.Name != shown || o.Number != number || o.Prompt != b2bua.EmergencyNotice || o.RingFor != deskRings {
						t.Errorf("%+v", o)
					}
					time.Sleep(o.RingFor)
					if len(rung) == c.takes {
						on(b2bua.RingTaken)
						return nil
					}
					return c.errs
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- b.desk.run(ctx) }()
				start := time.Now()
				b.desk.ring("c1")
				time.Sleep(c.took + time.Second)
				synctest.Wait()
				if !slices.Equal(rung, c.want) {
					t.Errorf("rung after %v: %q", time.Since(start), rung)
				}
				var steps []string
				for _, s := range b.steps("c1") {
					steps = append(steps, fmt.Sprintf("%s %s %s", s.Kind, s.Who, s.Text))
				}
				if steps = steps[min(2, len(steps)):]; !slices.Equal(steps, c.steps) {
					t.Errorf("steps %q", steps)
				}
				time.Sleep(time.Hour)
				if !slices.Equal(rung, c.want) {
					t.Errorf("rung later: %q", rung)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestDeskAndNewDocument: the next round rings who is on the list by then, and none that is on its way when the box stops.
func TestDeskAndNewDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := helpBox(t, deskSite(t, guard))
		begin(t, b, "c1", false)
		var rung []string
		b.desk.call = func(ctx context.Context, o b2bua.RingOrder, _ func(b2bua.RingEvent)) error {
			if rung = append(rung, o.User+o.Outside); len(rung) == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			b.site.Store(deskSite(t, "1001", guard))
			return b2bua.ErrNotTaken
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.desk.run(ctx) }()
		b.desk.ring("c1")
		time.Sleep(2 * deskPause)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !slices.Equal(rung, []string{guard, "alice"}) {
			t.Errorf("rung %q", rung)
		}
		if last := b.steps("c1"); last[len(last)-1].Kind == emergency.Alarm {
			t.Errorf("%+v", last)
		}
	})
}

// TestDeskIsBounded: a heap of calls that were cut off holds nobody up.
func TestDeskIsBounded(t *testing.T) {
	b := helpBox(t, deskSite(t, guard))
	for i := range 2 * deskWaits {
		b.desk.ring(fmt.Sprint(i))
	}
	if n := len(b.desk.cuts); n != deskWaits {
		t.Errorf("%d wait", n)
	}
}
