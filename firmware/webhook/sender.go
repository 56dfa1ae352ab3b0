package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/outbox"
)

// Outbox is the durable queue (firmware/outbox).
type Outbox interface {
	Append(ctx context.Context, kind string, payload []byte) (outbox.ID, error)
}

// Options of a Sender.
type Options struct {
	URL      string
	Secret   []byte         // MinSecret bytes or more
	Roots    *x509.CertPool // nil: the system's
	Outbox   Outbox
	Box      string        // the box's name
	Site     func() string // the site's
	Timeout  time.Duration // of one try (default 10 s)
	Patience time.Duration // for the card, before an alert is sent from RAM besides (default 5 s)
	Log      *slog.Logger
}

// Sender tells one address.
type Sender struct {
	o    Options
	http *http.Client

	mu     sync.Mutex
	status Status
}

// Status is how it went lately.
type Status struct {
	Sent      uint64
	Refused   uint64    // alerts that the other side will never take
	LastError string    // "" when the last try went well
	Since     time.Time // of the first of the failed tries in a row
}

// New makes a Sender; it sends nothing yet.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("webhook: %q is not an https address", o.URL)
	}
	if len(o.Secret) < MinSecret {
		return nil, fmt.Errorf("webhook: the secret has %d bytes; use %d or more", len(o.Secret), MinSecret)
	}
	if o.Outbox == nil {
		return nil, errors.New("webhook: no outbox")
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.Site == nil {
		o.Site = func() string { return "" }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sender{o: o, http: &http.Client{
		Timeout: o.Timeout,
		// What is signed for one address is not shown to another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots}, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 16 << 10, ResponseHeaderTimeout: o.Timeout,
		},
	}}, nil
}

// Follow is for emergency.Journal.Follow: it returns nil when the alert about a step is safe in the outbox, or has
// arrived. A card that hangs or fails does not keep an alert back: after a little patience it is sent from RAM. Should
// it be sent from both, both have one key.
func (s *Sender) Follow(ctx context.Context, e emergency.Emergency, step emergency.Step) error {
	alert, ok := For(e, step, s.o.Box, s.o.Site())
	if !ok {
		return nil
	}
	body, err := alert.encode()
	if err != nil {
		s.o.Log.Error("an alert is lost", "call", e.ID, "err", err)
		return nil // trying again makes it no better
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kept, failed := make(chan struct{}), make(chan error, 1)
	go s.keepUntil(ctx, body, kept, failed)
	patience := time.NewTimer(s.o.Patience)
	defer patience.Stop()
	select {
	case <-kept:
		return nil
	case err := <-failed:
		s.o.Log.Warn("the card does not keep an alert: it is sent from RAM", "call", e.ID, "err", err)
	case <-patience.C:
		s.o.Log.Warn("the card is slow to keep an alert: it is sent from RAM", "call", e.ID)
	case <-ctx.Done():
		return ctx.Err()
	}
	sent := make(chan error, 1)
	go func() { sent <- s.sendUntil(ctx, alert.Key, body) }()
	select {
	case err := <-sent:
		return err
	case <-kept: // the try that is under way may arrive as well; the key tells
		return nil
	}
}

// keepUntil puts an alert into the outbox, and closes kept when it is there; the first failure goes to failed.
func (s *Sender) keepUntil(ctx context.Context, body []byte, kept chan<- struct{}, failed chan<- error) {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		_, err := s.o.Outbox.Append(ctx, Kind, body)
		if err == nil {
			close(kept)
			return
		}
		select {
		case failed <- err:
		default:
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// sendUntil tries again and again until it is taken, refused for good, or ctx ends.
func (s *Sender) sendUntil(ctx context.Context, key string, body []byte) error {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := s.send(ctx, key, body)
		if err == nil || errors.Is(err, outbox.ErrRefused) {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Deliver is for outbox.Box.Deliver: it sends a kept alert.
func (s *Sender) Deliver(ctx context.Context, entry outbox.Entry) error {
	key, err := keyOf(entry.Payload)
	if err != nil {
		return errors.Join(err, outbox.ErrRefused)
	}
	return s.send(ctx, key, entry.Payload)
}

// send tries once. The error is outbox.ErrRefused when the other side will never take this alert.
func (s *Sender) send(ctx context.Context, key string, body []byte) error {
	err := s.post(ctx, key, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.status.Sent++
		s.status.LastError, s.status.Since = "", time.Time{}
	case ctx.Err() != nil: // the box stops
	default:
		if s.status.LastError == "" {
			s.status.Since = time.Now()
			s.o.Log.Warn("webhook: an alert is not taken yet", "err", err)
		}
		s.status.LastError = err.Error()
		if errors.Is(err, outbox.ErrRefused) {
			s.status.Refused++
		}
	}
	return err
}

func (s *Sender) post(ctx context.Context, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast")
	sign(req.Header, s.o.Secret, key, body, time.Now())
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection serves again
	return verdict(res.StatusCode)
}

// verdict reads an answer's status. 409 says that the key was seen before: the alert is there. What says that this very
// request is wrong would say so for ever, and the alerts behind it must not wait for it; all else may change.
func verdict(status int) error {
	switch {
	case status >= 200 && status < 300, status == http.StatusConflict:
		return nil
	case status == http.StatusBadRequest, status == http.StatusGone, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnsupportedMediaType, status == http.StatusUnprocessableEntity:
		return fmt.Errorf("webhook: the other side says %d %s: %w", status, http.StatusText(status), outbox.ErrRefused)
	}
	return fmt.Errorf("webhook: the other side says %d %s", status, http.StatusText(status))
}

// Status is a copy of how it went.
func (s *Sender) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}
