package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"holdfast/firmware/update"
)

// Updates is what the daemon can be asked about its own software.
type Updates interface {
	// Update writes a bundle and says what happens next.
	Update(ctx context.Context, bundle io.Reader, o UpdateOrder) (string, error)
}

// UpdateOrder says how an update is meant.
type UpdateOrder struct {
	Force bool // also an older version, or the same
	Now   bool // restart without waiting for calls, pins and the end of an outage; emergency calls are waited for always
}

// Update is the box's software on its card.
type Update struct {
	Slot   string   `json:"slot"`             // that runs: a or b
	State  string   `json:"state"`            // confirmed, trial, writing, waiting; none: the box does not run from an image
	Next   string   `json:"next,omitempty"`   // the slot that the next start tries
	Waits  []string `json:"waits,omitempty"`  // for what the restart waits
	Failed string   `json:"failed,omitempty"` // the slot whose version did not prove itself

	Health map[string]string `json:"health,omitempty"` // of each slot, as it was read back from the card: whole, damaged, or unchecked
}

func handleUpdates(mux *http.ServeMux, b Updates) {
	mux.HandleFunc("POST /update", func(w http.ResponseWriter, r *http.Request) {
		msg, err := b.Update(r.Context(), r.Body, UpdateOrder{Force: r.URL.Query().Get("force") == "true", Now: r.URL.Query().Get("now") == "true"})
		update.Reply(w, r.Body, Answer{msg}, err)
	})
}

// Update has a bundle written; it returns when it is, or when it is refused, and says what happens next.
func (c *Client) Update(ctx context.Context, bundle io.Reader, o UpdateOrder) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://holdfast/update?force=%t&now=%t", o.Force, o.Now), io.NopCloser(bundle))
	if err != nil {
		return "", err
	}
	patient := &http.Client{Transport: c.http.Transport} // a card takes minutes
	res, err := patient.Do(req)
	if err != nil {
		return "", c.unreachable(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	switch {
	case err != nil:
		return "", fmt.Errorf("ask the box: %w", err)
	case res.StatusCode != http.StatusOK:
		return "", errors.New(string(bytes.TrimSpace(text)))
	}
	var a Answer
	if err := json.Unmarshal(text, &a); err != nil {
		return "", fmt.Errorf("read the box's answer: %w", err)
	}
	return a.Message, nil
}
