package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/firmware/lab/card"
	"holdfast/firmware/lab/qemu"
	"holdfast/firmware/lab/script"
)

// updates are versions that come the usual way: signed, through the admin API, written by the updater, started when nobody calls.
func (r *rig) updates() []script.Step {
	return []script.Step{
		{
			Name: "A signed version that does not start", Want: "it is written, tried twice, and left again by itself", Limit: 2 * bootLimit,
			Do: r.badUpdate,
		},
		{
			Name: "A signed version that works", Limit: 2 * bootLimit,
			Want: "it is tried, proves itself, and is what starts from then on; a forged one is refused; a bit that the other slot has lost is told",
			Do:   r.goodUpdate,
		},
	}
}

// ready brings the box up, if it is not, with nothing on trial and the cloud there, and says which slot runs and which is free.
func (r *rig) ready(ctx context.Context) (runs, free string, err error) {
	if err := r.MendCloud(); err != nil {
		return "", "", err
	}
	s, _, err := r.card.State() // of a running box: what it has flushed
	if err != nil {
		return "", "", err
	}
	if r.machine == nil || s.Slot != s.Good {
		if _, err := r.cut(); err != nil {
			return "", "", err
		}
		if err := r.settle(s.Good); err != nil {
			return "", "", err
		}
		if err := r.starts(ctx); err != nil {
			return "", "", err
		}
	}
	r.mark = r.machine.Console().Mark()
	return s.Good, map[string]string{"a": "b", "b": "a"}[s.Good], r.answers(ctx)
}

func (r *rig) badUpdate(ctx context.Context, n *script.Notes) error {
	bundle, err := r.bundle(neverStarts)
	if err != nil {
		return err
	}
	runs, free, err := r.ready(ctx)
	if err != nil {
		return err
	}
	if err := r.put(ctx, bundle); err != nil {
		return err
	}
	n.Saw("written: %d MiB", len(bundle)>>20)
	console, began := r.machine.Console(), r.mark
	for try := range 2 {
		if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot "+free+" holdfast.trial=1"); err != nil {
			return fmt.Errorf("try %d: %w", try+1, err)
		}
		if r.mark, err = console.Wait(ctx, r.mark, "not confirmed in time"); err != nil {
			return fmt.Errorf("try %d: %w", try+1, err)
		}
	}
	if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot "+runs); err != nil {
		return err
	}
	if err := r.up(ctx); err != nil {
		return err
	}
	if k := console.Count(began, "holdfast: slot "+free); k != 2 {
		return fmt.Errorf("slot %s was started %d times", free, k)
	}
	n.Saw("2 tries of slot %s, then slot %s", free, runs)
	return nil
}

func (r *rig) goodUpdate(ctx context.Context, n *script.Notes) error {
	bundle, err := r.bundle(watchful)
	if err != nil {
		return err
	}
	runs, free, err := r.ready(ctx)
	if err != nil {
		return err
	}
	worn := map[string]int{"a": card.SlotA, "b": card.SlotB}[runs]
	forged := append([]byte(nil), bundle...)
	forged[len(forged)/2] ^= 1
	if err := r.put(ctx, forged); err == nil {
		return errors.New("a bundle with one wrong bit was taken")
	}
	if err := r.put(ctx, bundle); err != nil {
		return err
	}
	console := r.machine.Console()
	if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot "+free+" holdfast.trial=1"); err != nil {
		return err
	}
	if err := r.up(ctx); err != nil {
		return err
	}
	if err := r.card.Flip(worn, 4<<20); err != nil { // before it is read back
		return err
	}
	if err := r.lights(ctx, n, want{qemu.LEDPower, "double"}); err != nil {
		return err
	}
	if r.mark, err = console.Wait(ctx, r.mark, "this version has proven itself"); err != nil {
		return err
	}
	if err := r.toldOf(ctx, runs); err != nil {
		return err
	}
	n.Saw("slot %s is told to be damaged, and nothing restarts", runs)
	if _, err := r.cut(); err != nil {
		return err
	}
	s, _, err := r.card.State()
	if err != nil {
		return err
	}
	if s.Slot != free || s.Good != free {
		return fmt.Errorf("the boot state is %+v", s)
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	if r.machine.Console().Count(0, "holdfast.trial=1") != 0 {
		return errors.New("a confirmed version was tried again")
	}
	n.Saw("confirmed; slot %s starts instead of %s", free, runs)
	return r.card.Flip(worn, 4<<20)
}

// toldOf waits until the status tells that the slot that does not run is damaged.
func (r *rig) toldOf(ctx context.Context, slot string) error {
	return r.until(ctx, func(ctx context.Context) error {
		_, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && !strings.Contains(text, "slot "+slot+", which the box would fall back to, is damaged on the card (root.squashfs is not what was written)") {
			err = fmt.Errorf("the status does not say that slot %s is damaged: %.300s", slot, text)
		}
		return err
	})
}
