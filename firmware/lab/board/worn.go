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

// worn is a card at the end of its life: it can be read, and takes nothing more.
func (r *rig) worn() []script.Step {
	return []script.Step{{
		Name: "The card refuses writes", Want: "after a power cut the good slot starts, once, though another was to be tried; what is kept is read, phones are served, the status tells",
		Limit: 2 * bootLimit,
		Do:    r.readsOnly,
	}}
}

func (r *rig) readsOnly(ctx context.Context, n *script.Notes) error {
	if r.machine == nil { // the file system has to be in use when the power goes
		if err := r.starts(ctx); err != nil {
			return err
		}
	}
	if err := r.answers(ctx); err != nil {
		return err
	}
	if _, err := r.cut(); err != nil {
		return err
	}
	s, _, err := r.card.State()
	if err != nil {
		return err
	}
	tried := map[string]string{"a": "b", "b": "a"}[s.Good]
	if err := errors.Join(r.CutCloud(), r.card.SetState(card.State{Slot: tried, Good: s.Good, Tries: 2, Failed: "0"}), r.on()); err != nil {
		return err
	}
	r.disk.WearOut()
	if err := r.up(ctx); err != nil {
		return err
	}
	// The API's token is one of the things that the card has kept.
	if err := r.until(ctx, func(ctx context.Context) error {
		code, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && (code != http.StatusOK || !strings.Contains(text, "nothing new survives a power cut") || !strings.Contains(text, "slot "+tried+" was to start and could not")) {
			err = fmt.Errorf("the status is %d %.300s", code, text)
		}
		return err
	}); err != nil {
		return err
	}
	if _, err := r.served(ctx, "1003"); err != nil {
		return err
	}
	if k := r.machine.Console().Count(0, "holdfast: slot "); k != 1 {
		return fmt.Errorf("a slot was started %d times", k)
	}
	n.Saw("%d writes refused; slot %s runs, what the card has kept is read, and a phone is served", r.disk.Refused(), s.Good)
	_, err = r.cut()
	return errors.Join(err, r.settle(s.Good), r.MendCloud())
}
