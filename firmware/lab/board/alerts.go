package board

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// alerts is whom the box tells of calls for help, outside. While it refuses, every alert that has come once must come again,
// whatever happens to the box: it was sent after it was safe on the card.
type alerts struct {
	server *http.Server
	url    string

	mu     sync.Mutex
	accept bool
	came   map[string]bool // by idempotency key
	taken  map[string]bool
	news   chan struct{} // closed and replaced with each
}

const (
	keyHeader  = "Idempotency-Key"
	secretFile = "webhook.secret"
)

// newAlerts listens; its certificate is set before the first alert comes.
func newAlerts() (*alerts, net.Listener, error) {
	l, err := net.Listen("tcp4", netip.AddrPortFrom(netip.MustParseAddr(host), 0).String())
	if err != nil {
		return nil, nil, fmt.Errorf("alerts: %w", err)
	}
	a := &alerts{url: "https://" + l.Addr().String() + "/alert", came: map[string]bool{}, taken: map[string]bool{}, news: make(chan struct{})}
	a.server = &http.Server{Handler: http.HandlerFunc(a.take)}
	return a, l, nil
}

func (a *alerts) serve(l net.Listener, c tls.Certificate) {
	go a.server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12})) // ends with Close
}

func (a *alerts) take(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	key := r.Header.Get(keyHeader)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.came[key] = true
	if a.accept {
		a.taken[key] = true
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	close(a.news)
	a.news = make(chan struct{})
}

func (a *alerts) set(accept bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accept = accept
}

// wait waits until ok says yes of what came and what was taken.
func (a *alerts) wait(ctx context.Context, ok func() bool) error {
	for {
		a.mu.Lock()
		done, news := ok(), a.news
		a.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// help makes a call for help whose alerts are refused, and returns the keys that have come until the first new one has.
func (r *rig) help(ctx context.Context) ([]string, error) {
	// What a step before has left refused stands before the new one in the box's queue.
	r.alerts.set(true)
	if err := r.alerts.wait(ctx, func() bool { return len(r.alerts.taken) == len(r.alerts.came) }); err != nil {
		return nil, fmt.Errorf("an older alert is not sent again: %w", err)
	}
	r.alerts.set(false)
	r.alerts.mu.Lock()
	before := len(r.alerts.came)
	r.alerts.mu.Unlock()
	c, err := r.Person("1005").Phone.Dial(branch.Emergency, ua.DialOptions{})
	if err != nil {
		return nil, err
	}
	if err := c.Wait(ctx); err != nil {
		return nil, fmt.Errorf("the call for help: %w", err)
	}
	if err := r.alerts.wait(ctx, func() bool { return len(r.alerts.came) > before }); err != nil {
		return nil, fmt.Errorf("no alert: %w", err)
	}
	if err := c.HangUp(ctx); err != nil {
		return nil, err
	}
	r.alerts.mu.Lock()
	defer r.alerts.mu.Unlock()
	var keys []string
	for k := range r.alerts.came {
		if !r.alerts.taken[k] {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// again waits until every alert of these has come again.
func (r *rig) again(ctx context.Context, n *script.Notes, keys []string) error {
	r.alerts.set(true)
	err := r.alerts.wait(ctx, func() bool {
		for _, k := range keys {
			if !r.alerts.taken[k] {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("an alert that was sent once did not come again: %w", err)
	}
	n.Saw("all %d alerts that had been sent came again", len(keys))
	return nil
}

// writeSecret makes the file that signs alerts.
func writeSecret(dir string) error {
	return os.WriteFile(filepath.Join(dir, secretFile), []byte("a secret of the lab's, sixteen bytes or more\n"), 0o600)
}
