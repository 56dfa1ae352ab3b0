package update

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Client asks the updater. It takes no time limit: writing a card takes minutes.
type Client struct{ http *http.Client }

var _ Keeper = (*Client)(nil)

// NewClient makes a client for the updater at path; it connects with each question.
func NewClient(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}}
}

// Status asks how the card is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/status", nil, &s)
}

// Apply has a bundle written. It returns when the next start will try it.
func (c *Client) Apply(ctx context.Context, r io.Reader, force bool) (release Release, err error) {
	return release, c.call(ctx, http.MethodPost, fmt.Sprintf("/apply?force=%t", force), r, &release)
}

// Confirm says that what runs has proven itself.
func (c *Client) Confirm(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/confirm", nil, &struct{}{})
}

// GiveUp goes back to what was good last, with the next start; it reports whether there is anything to go back from.
func (c *Client) GiveUp(ctx context.Context) (back bool, err error) {
	return back, c.call(ctx, http.MethodPost, "/give-up", nil, &back)
}

// Reboot restarts the board.
func (c *Client) Reboot(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/reboot", nil, &struct{}{})
}

func (c *Client) call(ctx context.Context, method, path string, body io.Reader, out any) error {
	if body != nil {
		body = io.NopCloser(body) // whoever opened it closes it
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://updater"+path, body)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the updater: %w", errors.Unwrap(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		return errors.New(string(bytes.TrimSpace(why)))
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("ask the updater: %w", err)
	}
	return nil
}
