package board

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/firmware/lab/script"
)

// worn is a card at the end of its life: it can be read, and takes nothing more.
func (r *rig) worn() []script.Step {
	return []script.Step{{
		Name: "The card refuses writes", Want: "the box starts after a power cut, reads what it has kept, takes phones, and says what is wrong", Limit: 2 * bootLimit,
		Do: r.readsOnly,
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
	if err := errors.Join(r.CutCloud(), r.on()); err != nil {
		return err
	}
	r.disk.WearOut()
	if err := r.up(ctx); err != nil {
		return err
	}
	// The API's token is one of the things that the card has kept.
	if err := r.until(ctx, func(ctx context.Context) error {
		code, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && (code != http.StatusOK || !strings.Contains(text, "nothing new survives a power cut")) {
			err = fmt.Errorf("the status is %d %.300s", code, text)
		}
		return err
	}); err != nil {
		return err
	}
	if _, err := r.served(ctx, "1003"); err != nil {
		return err
	}
	n.Saw("%d writes refused; what the card has kept is read, and a phone is served", r.disk.Refused())
	_, err := r.cut()
	return errors.Join(err, r.MendCloud())
}
