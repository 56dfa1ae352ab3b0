package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// Client talks to the daemon behind a socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client for the socket at path; it connects with each call.
func NewClient(path string) *Client {
	return &Client{path, &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}}
}

// Status asks for the box's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// StartDrill starts a drill and says what came of it.
func (c *Client) StartDrill(ctx context.Context, o DrillOrder) (string, error) {
	var a Answer
	err := c.post(ctx, "/drill/start", o, &a)
	return a.Message, err
}

// StopDrill ends the running drill.
func (c *Client) StopDrill(ctx context.Context, by string) (string, error) {
	var a Answer
	err := c.post(ctx, "/drill/stop?by="+url.QueryEscape(by), nil, &a)
	return a.Message, err
}

// Fetch makes the box look for a new site document now; force takes an older serial too.
func (c *Client) Fetch(ctx context.Context, force bool) (string, error) {
	var a Answer
	err := c.post(ctx, fmt.Sprintf("/site/fetch?force=%t", force), nil, &a)
	return a.Message, err
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	answer, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(out); err != nil {
		return fmt.Errorf("read the box's answer: %w", err)
	}
	return nil
}

// open asks, and hands out the body of a good answer.
func (c *Client) open(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://holdfast"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	if why = bytes.TrimSpace(why); len(why) == 0 {
		return nil, fmt.Errorf("the box answers %s", res.Status)
	}
	return nil, errors.New(string(why))
}

// unreachable says what to do when the daemon cannot be asked.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no box is running here (%s): start it with `holdfast run -c holdfast.toml`, or name another socket with --socket", c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may not be opened: run this as the box's user or as root", c.path)
	}
	return fmt.Errorf("ask the box: %w", err)
}
