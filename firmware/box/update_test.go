package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/control"
	"holdfast/firmware/mode"
	"holdfast/firmware/update"
)

// keeper is an updater whose card is a few variables.
type keeper struct {
	mu      sync.Mutex
	status  update.Status
	fault   error
	orders  []string
	refused error
	hold    chan struct{} // an update ends when it is closed
}

func (k *keeper) note(what string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.orders = append(k.orders, what)
	return k.refused
}
func (k *keeper) Status(context.Context) (update.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status, k.fault
}
func (k *keeper) Apply(_ context.Context, r io.Reader, force bool) (update.Release, error) {
	b, _ := io.ReadAll(r)
	if k.hold != nil {
		<-k.hold
	}
	err := k.note(fmt.Sprintf("apply %s %v", b, force))
	if err == nil {
		k.mu.Lock()
		k.status.State, k.status.Switched = update.State{Slot: update.B, Good: update.A, Tries: 2}, true
		k.mu.Unlock()
	}
	return update.Release{Version: "v2"}, err
}
func (k *keeper) Confirm(context.Context) error {
	err := k.note("confirm")
	if err == nil {
		k.mu.Lock()
		k.status.State.Good = k.status.Running
		k.mu.Unlock()
	}
	return err
}
func (k *keeper) GiveUp(context.Context) (bool, error) {
	err := k.note("give up")
	return k.status.Trial, err
}
func (k *keeper) Reboot(context.Context) error { return k.note("reboot") }

func (k *keeper) did() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.orders, ", ")
}

// withUpdates runs updates on a card; change sets it up.
func withUpdates(t *testing.T, change func(*updates, *keeper), do func(u *updates, k *keeper)) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{status: update.Status{Running: update.A, State: update.State{Slot: update.A, Good: update.A}}}
		began := time.Now()
		u := &updates{log: rigLog(), keeper: k, needs: func() needs { return needs{} }, changed: func() {}, restart: func(bool) {},
			held: func() time.Duration { return time.Since(began) }}
		change(u, k)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- u.run(ctx) }()
		synctest.Wait()
		do(u, k)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func onTrial(_ *updates, k *keeper) {
	k.status = update.Status{Running: update.B, Trial: true, State: update.State{Slot: update.B, Good: update.A, Tries: 1}}
}

func TestConfirmed(t *testing.T) {
	withUpdates(t, onTrial, func(u *updates, k *keeper) {
		if s := u.shown(); s.State != "trial" || s.Slot != "b" {
			t.Errorf("%+v", s)
		}
		time.Sleep(provenAfter - time.Second)
		if k.did() != "" {
			t.Errorf("after less than a minute: %s", k.did())
		}
		time.Sleep(10 * time.Minute)
		if k.did() != "confirm" || u.shown().State != "confirmed" {
			t.Errorf("%s, %+v", k.did(), u.shown())
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { onTrial(u, k); k.refused = errors.New("no") }, func(u *updates, k *keeper) {
		time.Sleep(provenAfter + 2*settleEvery)
		if !strings.HasPrefix(k.did(), "confirm, confirm") {
			t.Errorf("a confirmation that failed is tried again: %s", k.did())
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { onTrial(u, k); u.held = func() time.Duration { return 0 } }, func(u *updates, k *keeper) {
		time.Sleep(time.Hour)
		if k.did() != "" {
			t.Errorf("the gate does not hold: %s", k.did())
		}
	})
}

// A box that runs from the other slot because the good one is damaged, or because its card can no longer be written, does not start
// again and again: it serves, and says so.
func TestOtherSlot(t *testing.T) {
	for name, s := range map[string]update.Status{
		"the good slot is damaged":      {Running: update.B, State: update.State{Slot: update.A, Good: update.A}},
		"a try that cannot be noted":    {Running: update.A, State: update.State{Slot: update.B, Good: update.A, Tries: 2}},
		"a failure that is not noted":   {Running: update.A, State: update.State{Slot: update.B, Good: update.A}},
		"damaged, and a failure before": {Running: update.B, State: update.State{Slot: update.A, Good: update.A, Failed: update.B}},
	} {
		withUpdates(t, func(_ *updates, k *keeper) { k.status = s }, func(u *updates, k *keeper) {
			time.Sleep(time.Hour)
			if k.did() != "" || u.shown().State != "confirmed" {
				t.Errorf("%s: %s, %+v", name, k.did(), u.shown())
			}
			if want := fmt.Sprintf("slot %s was to start and could not", s.State.Slot); !strings.Contains(strings.Join(u.alarms(), "\n"), want) {
				t.Errorf("%s: alarms %q", name, u.alarms())
			}
		})
	}
}

// TestRestartWaits: each of the needs delays the restart; with now emergency calls alone do.
func TestRestartWaits(t *testing.T) {
	for _, c := range []struct {
		n         needs
		wait, now string
	}{
		{needs{}, "", ""},
		{needs{calls: 1}, "1 call", ""},
		{needs{calls: 2, pins: 1}, "2 calls and 1 number that a PSAP may call back", ""},
		{needs{emergencies: 1, calls: 1, pins: 3, mode: mode.Resilience}, "1 emergency call, 1 call, 3 numbers that a PSAP may call back and the end of the outage", "1 emergency call"},
		{needs{mode: mode.Drill}, "the end of the drill", ""},
		{needs{mode: mode.Recovering}, "the phones' way home", ""},
	} {
		for now, want := range map[bool]string{false: c.wait, true: c.now} {
			if got := list(c.n.wait(now)); got != want {
				t.Errorf("%+v, %v: %s", c.n, now, got)
			}
			over := false
			var mu sync.Mutex
			withUpdates(t, func(u *updates, k *keeper) {
				u.needs = func() needs {
					mu.Lock()
					defer mu.Unlock()
					if over {
						return needs{}
					}
					return c.n
				}
			}, func(u *updates, k *keeper) {
				msg, err := u.apply(t.Context(), strings.NewReader("bundle"), control.UpdateOrder{Now: now})
				if err != nil || !strings.Contains(msg, map[bool]string{true: "restarts now", false: "restarts after " + want}[want == ""]) {
					t.Errorf("%q %v", msg, err)
				}
				time.Sleep(3 * settleEvery)
				if did := k.did(); (did == "apply bundle false, reboot") != (want == "") {
					t.Errorf("%+v, %v: %s", c.n, now, did)
				}
				if s := u.shown(); s.State != "waiting" || s.Next != "b" || list(s.Waits) != want {
					t.Errorf("%+v", s)
				}
				mu.Lock()
				over = true
				mu.Unlock()
				time.Sleep(10 * settleEvery)
				if did := k.did(); did != "apply bundle false, reboot" {
					t.Errorf("when it is quiet, once: %s", did)
				}
			})
		}
	}
}

func TestUpdateFaults(t *testing.T) {
	withUpdates(t, func(u *updates, k *keeper) { k.refused = errors.New("not signed") }, func(u *updates, k *keeper) {
		if _, err := u.apply(t.Context(), strings.NewReader("x"), control.UpdateOrder{Force: true}); err == nil || err.Error() != "not signed" {
			t.Error(err)
		}
		if k.did() != "apply x true" || u.shown().State != "confirmed" {
			t.Errorf("%s %+v", k.did(), u.shown())
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { k.hold = make(chan struct{}) }, func(u *updates, k *keeper) {
		done := make(chan error)
		go func() {
			_, err := u.apply(t.Context(), strings.NewReader("x"), control.UpdateOrder{})
			done <- err
		}()
		synctest.Wait()
		if _, err := u.apply(t.Context(), strings.NewReader("y"), control.UpdateOrder{}); !errors.Is(err, update.ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
		if s := u.shown(); s.State != "writing" {
			t.Errorf("%+v", s)
		}
		close(k.hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { k.fault = errors.New("gone") }, func(u *updates, k *keeper) {
		if a := u.alarms(); len(a) != 1 || !strings.Contains(a[0], "gone") {
			t.Errorf("%q", a)
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { k.status.State.Failed = update.B }, func(u *updates, k *keeper) {
		if a := u.alarms(); len(a) != 1 || !strings.Contains(a[0], "slot b") || u.shown().Failed != "b" {
			t.Errorf("%q", a)
		}
	})
	withUpdates(t, func(u *updates, k *keeper) { k.status.Stick = "a.update: not signed" }, func(u *updates, k *keeper) {
		if a := u.alarms(); len(a) != 1 || !strings.Contains(a[0], "USB stick is not taken: a.update: not signed") {
			t.Errorf("%q", a)
		}
	})
	u := &updates{}
	if _, err := u.apply(t.Context(), nil, control.UpdateOrder{}); !errors.Is(err, update.ErrNoImage) || u.shown().State != "none" {
		t.Error(err)
	}
}

// TestPageUpdater: the page hears how far it is.
func TestPageUpdater(t *testing.T) {
	withUpdates(t, func(*updates, *keeper) {}, func(u *updates, k *keeper) {
		var heard []string
		p := (&Box{hardware: hardware{updates: u}}).PageUpdater()
		if err := p.Update(t.Context(), strings.NewReader("bundle"), true, func(n int64, doing string) { heard = append(heard, fmt.Sprint(n, " ", doing)) }); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(heard); got != "[6 writing 6 checking]" || !strings.HasPrefix(k.did(), "apply bundle true") {
			t.Errorf("%s %s", got, k.did())
		}
	})
	if p := (&Box{hardware: hardware{updates: new(updates)}}).PageUpdater(); p != nil {
		t.Error("there is nothing to update")
	}
}

// TestRestore: the reset button gives an update up, and forgets who may use the page.
func TestRestore(t *testing.T) {
	for _, trial := range []bool{true, false} {
		k := &keeper{status: update.Status{Trial: trial}}
		b := &Box{log: rigLog(), cfg: &config.Config{DataDir: t.TempDir()}, hardware: hardware{restart: make(chan error, 1),
			updates: &updates{log: rigLog(), keeper: k, restart: func(bool) {}}}}
		accounts := filepath.Join(b.cfg.DataDir, AccountsFile)
		if err := os.WriteFile(accounts, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := b.restoreLastGood(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(accounts); !errors.Is(err, os.ErrNotExist) {
			t.Error("the accounts are still there")
		}
		if want := map[bool]string{true: "give up, reboot", false: "give up"}[trial]; k.did() != want {
			t.Errorf("trial %v: %s", trial, k.did())
		}
		if !trial {
			if err := b.awaitRestart(t.Context()); !errors.Is(err, errRestored) {
				t.Error(err)
			}
		}
	}
}
