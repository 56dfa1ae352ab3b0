package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/firmware/lab/card"
	"holdfast/firmware/lab/script"
)

// slots are versions that do not work, put into slot b as an update would: the box has to leave them again by itself.
func (r *rig) slots() []script.Step {
	tried := card.State{Slot: "b", Good: "a", Tries: 2, Failed: "0"}
	return []script.Step{
		{
			Name: "The good slot's root is damaged", Want: "after one try its boot file is made to count as damaged, too: the other slot starts, once, and stays; the status says so",
			Limit: 2 * bootLimit,
			Do:    r.otherSlot,
		},
		{
			Name: "A version whose kernel file is damaged", Want: "refused twice by its checksum, then the good slot again", Limit: 2 * bootLimit,
			Do: func(ctx context.Context, n *script.Notes) error {
				return r.falls(ctx, n, tried, func() error { return r.card.Damage("b") }, "slot b is damaged")
			},
		},
		{
			Name: "A version whose root cannot be mounted", Want: "two tries that end in a new start, then the good slot again", Limit: 2 * bootLimit,
			Do: func(ctx context.Context, n *script.Notes) error {
				mend := func() error {
					whole, err := r.card.Get("slot-a/boot.img")
					if err != nil {
						return err
					}
					return errors.Join(r.card.PutBootFile("b", whole), r.card.WriteRoot(card.SlotB, make([]byte, 1<<20)))
				}
				return r.falls(ctx, n, tried, mend, "cannot be mounted")
			},
		},
		{
			Name: "A torn boot state", Want: "the file that is whole counts", Limit: bootLimit,
			Do: func(ctx context.Context, n *script.Notes) error {
				if _, err := r.cut(); err != nil {
					return err
				}
				before, _, err := r.card.State()
				if err != nil {
					return err
				}
				if err := r.card.Tear(); err != nil {
					return err
				}
				after, _, err := r.card.State()
				if err != nil {
					return err
				}
				n.Saw("state %d counts instead of %d", after.Seq, before.Seq)
				if err := r.starts(ctx); err != nil {
					return err
				}
				if k := r.machine.Console().Count(0, "holdfast.trial=1"); k != 0 {
					return fmt.Errorf("slot b was tried %d times more", k)
				}
				return nil
			},
		},
	}
}

// otherSlot wears slot b out under a box that has nothing on trial.
func (r *rig) otherSlot(ctx context.Context, n *script.Notes) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	if err := errors.Join(r.MendCloud(), r.card.WriteRoot(card.SlotB, make([]byte, 1<<20)), r.settle("b")); err != nil {
		return err
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	if err := r.until(ctx, func(ctx context.Context) error {
		_, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && !strings.Contains(text, "slot b was to start and could not") {
			err = fmt.Errorf("the status does not say it: %.300s", text)
		}
		return err
	}); err != nil {
		return err
	}
	console := r.machine.Console()
	if lost, damaged, other := console.Count(0, "cannot be mounted"), console.Count(0, "holdfast: slot b is damaged"), console.Count(0, "holdfast: slot a"); lost != 1 || damaged != 1 || other != 1 {
		return fmt.Errorf("slot b could not be mounted %d times, counted as damaged %d times, and slot a was started %d times", lost, damaged, other)
	}
	n.Saw("slot a runs, and the box does not start again for a slot that cannot")
	if _, err := r.cut(); err != nil {
		return err
	}
	return r.settle("a")
}

// falls prepares slot b, lets the box try it, and checks that it comes back to slot a after exactly two tries.
func (r *rig) falls(ctx context.Context, n *script.Notes, s card.State, prepare func() error, symptom string) error {
	if _, err := r.cut(); err != nil {
		return err
	}
	if err := errors.Join(prepare(), r.card.SetState(s)); err != nil {
		return err
	}
	if err := r.starts(ctx); err != nil {
		return err
	}
	console := r.machine.Console()
	tries, symptoms := console.Count(0, "holdfast: slot b holdfast.trial=1"), console.Count(0, symptom)
	n.Saw("%d tries, %d times %q", tries, symptoms, symptom)
	if tries != 2 || symptoms != 2 || console.Count(0, "holdfast: slot a") != 1 {
		return fmt.Errorf("%d tries of slot b, %d symptoms, %d starts of slot a", tries, symptoms, console.Count(0, "holdfast: slot a"))
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	now, _, err := r.card.State()
	if err != nil {
		return err
	}
	if now.Slot != "a" || now.Good != "a" || now.Failed != "b" {
		return fmt.Errorf("the boot state is %+v", now)
	}
	n.Saw("the state names slot b as failed")
	return nil
}
