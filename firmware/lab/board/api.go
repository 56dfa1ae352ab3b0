package board

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const adminPort = 8443

// fallback is where a box answers whatever its settings say.
var fallback = netip.MustParseAddr("169.254.9.11")

// ask sends a request to the box's API, at its own address, and returns the answer's status and body. The certificate is checked.
func (r *rig) ask(ctx context.Context, method, path string, body []byte) (int, string, error) {
	_, conf := r.Door()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("https://%s/api/v1%s", netip.AddrPortFrom(Box, adminPort), path), bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, strings.TrimSpace(string(text)), err
}

// answers waits until the API does.
func (r *rig) answers(ctx context.Context) error {
	for {
		code, text, err := r.ask(ctx, http.MethodGet, "/status", nil)
		if err == nil && code == http.StatusOK {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the admin API answers %d %.200s: %w", code, text, ctx.Err())
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// put has an update written; it returns when the box says that the next start will try it. The updater, a program of its own, may
// still be starting: it is asked with what is no bundle until it is there.
func (r *rig) put(ctx context.Context, bundle []byte) error {
	for {
		_, text, err := r.ask(ctx, http.MethodPut, "/update", []byte("no bundle"))
		if err != nil {
			return err
		}
		if !strings.Contains(text, "ask the updater: dial") {
			break
		}
		if ctx.Err() != nil {
			return errors.New(text)
		}
		pause(ctx, 200*time.Millisecond)
	}
	code, text, err := r.ask(ctx, http.MethodPut, "/update", bundle)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("the update was answered with %d: %s", code, text)
	}
	return err
}

// reached reports whether a TLS server answers at the fallback address, whatever certificate it shows.
func reached(ctx context.Context) error {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // an installer on the wire has no name to check
	c, err := d.DialContext(ctx, "tcp4", netip.AddrPortFrom(fallback, adminPort).String())
	if err != nil {
		return err
	}
	return c.Close()
}
