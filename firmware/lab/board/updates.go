package board

import (
	"context"
	"errors"
	"fmt"

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
			Name: "A signed version that works", Want: "it is tried, proves itself, and is what starts from then on; a forged one is refused", Limit: 2 * bootLimit,
			Do: r.goodUpdate,
		},
	}
}

// fresh brings the box up with slot a good and nothing on trial, and the cloud there.
func (r *rig) fresh(ctx context.Context) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	if err := errors.Join(r.MendCloud(), r.settle("a")); err != nil {
		return err
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	return r.answers(ctx)
}

func (r *rig) badUpdate(ctx context.Context, n *script.Notes) error {
	bundle, err := r.bundle(neverStarts)
	if err != nil {
		return err
	}
	if err := r.fresh(ctx); err != nil {
		return err
	}
	if err := r.put(ctx, bundle); err != nil {
		return err
	}
	n.Saw("written: %d MiB", len(bundle)>>20)
	console := r.machine.Console()
	for try := range 2 {
		if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot b holdfast.trial=1"); err != nil {
			return fmt.Errorf("try %d: %w", try+1, err)
		}
		if r.mark, err = console.Wait(ctx, r.mark, "not confirmed in time"); err != nil {
			return fmt.Errorf("try %d: %w", try+1, err)
		}
	}
	if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot a"); err != nil {
		return err
	}
	if err := r.up(ctx); err != nil {
		return err
	}
	if k := console.Count(0, "holdfast: slot b"); k != 2 {
		return fmt.Errorf("slot b was started %d times", k)
	}
	n.Saw("2 tries, then slot a")
	return nil
}

func (r *rig) goodUpdate(ctx context.Context, n *script.Notes) error {
	bundle, err := r.bundle(proper)
	if err != nil {
		return err
	}
	if err := r.fresh(ctx); err != nil {
		return err
	}
	forged := append([]byte(nil), bundle...)
	forged[len(forged)/2] ^= 1
	if err := r.put(ctx, forged); err == nil {
		return errors.New("a bundle with one wrong bit was taken")
	}
	if err := r.put(ctx, bundle); err != nil {
		return err
	}
	console := r.machine.Console()
	if r.mark, err = console.Wait(ctx, r.mark, "holdfast: slot b holdfast.trial=1"); err != nil {
		return err
	}
	if err := r.up(ctx); err != nil {
		return err
	}
	if err := r.lights(ctx, n, want{qemu.LEDPower, "double"}); err != nil {
		return err
	}
	if r.mark, err = console.Wait(ctx, r.mark, "this version has proven itself"); err != nil {
		return err
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	s, _, err := r.card.State()
	if err != nil {
		return err
	}
	if s.Slot != "b" || s.Good != "b" {
		return fmt.Errorf("the boot state is %+v", s)
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	if r.machine.Console().Count(0, "holdfast.trial=1") != 0 {
		return errors.New("a confirmed version was tried again")
	}
	n.Saw("confirmed; slot b starts")
	return nil
}
