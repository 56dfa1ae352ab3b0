package webhook

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/outbox"
	"holdfast/firmware/snapshot"
)

var secret = []byte("0123456789abcdef")

// receiver is the other side: it verifies, and keeps what it got by key.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	alerts map[string]Alert
	got    int
	say    []int // statuses of the first answers; then 200
}

func listen(t *testing.T, say ...int) *receiver {
	r := &receiver{alerts: make(map[string]Alert), say: say}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
		if err != nil {
			t.Error(err)
		}
		key, err := Verify(req.Header, secret, body, time.Now(), time.Minute)
		if err != nil {
			t.Error(err)
		}
		var a Alert
		if err := json.Unmarshal(body, &a); err != nil || a.Key != key {
			t.Errorf("%s: %v", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.got++; r.got <= len(r.say) {
			w.Header().Set("Location", "https://elsewhere.invalid/")
			w.WriteHeader(r.say[r.got-1])
			return
		}
		r.alerts[key] = a
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) seen() (alerts, requests int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.alerts), r.got
}

func (r *receiver) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(r.Certificate())
	return pool
}

func sender(t *testing.T, r *receiver, o Options) *Sender {
	t.Helper()
	o.URL, o.Secret, o.Roots, o.Box = r.URL, secret, r.roots(), "branch-7"
	o.Site = func() string { return "springfield" }
	if o.Outbox == nil {
		o.Outbox = card(func(context.Context) error { return nil })
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// card is an Outbox that does as it is told.
type card func(ctx context.Context) error

func (c card) Append(ctx context.Context, _ string, _ []byte) (outbox.ID, error) {
	return outbox.ID{}, c(ctx)
}

// call is an emergency call as the journal tells of it.
func call() (emergency.Emergency, emergency.Step) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return emergency.Emergency{Facts: emergency.Facts{ID: "c1", At: at, Dialled: "9911", Number: "911", Address: "100 Main St",
		Caller: emergency.Caller{User: "u204", Display: "Room 204"}}, ELIN: "+12175559000"}, emergency.Step{Seq: 1, At: at, Kind: emergency.Recognised}
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for " + what)
		}
	}
}

func TestAlerts(t *testing.T) {
	e, s := call()
	a, ok := For(e, s, "branch-7", "springfield")
	if !ok || !strings.HasPrefix(a.Key, "c1-1-recognised-") || a.Event != "emergency.began" || a.Update || a.Title != "911 ROOM 204" || a.Callback != "+12175559000" || a.Address != "100 Main St" {
		t.Errorf("%+v", a)
	}
	s.Seq, s.Kind = 7, emergency.Acknowledged
	if a, ok := For(e, s, "", ""); !ok || !strings.HasPrefix(a.Key, "c1-7-acknowledged-") || !a.Update {
		t.Errorf("%+v", a)
	}
	// After a power cut numbers are given again: another step, or another time, is other news.
	names := make(map[string]bool)
	for _, again := range []emergency.Step{{Seq: 3, Kind: emergency.Invite, At: s.At}, {Seq: 3, Kind: emergency.Restart, At: s.At},
		{Seq: 3, Kind: emergency.Restart, At: s.At.Add(time.Minute)}, {Seq: 3, Kind: emergency.Restart, At: s.At}} {
		a, _ := For(e, again, "", "")
		names[a.Key] = true
	}
	if len(names) != 3 {
		t.Errorf("%v", names)
	}
	if _, ok := For(e, emergency.Step{Kind: emergency.NoticeRung}, "", ""); ok {
		t.Error("the world is told that a phone rings")
	}
	e.Test = true
	for kind := range events {
		if _, ok := For(e, emergency.Step{Kind: kind}, "", ""); ok {
			t.Errorf("the world is told of a test's %s", kind)
		}
	}
}

func TestSignature(t *testing.T) {
	body, now := []byte(`{"key":"k"}`), time.Unix(1_700_000_000, 0)
	made := func(change func(h http.Header)) http.Header {
		h := make(http.Header)
		sign(h, secret, "k", body, now)
		change(h)
		return h
	}
	// printf '1700000000.k.{"key":"k"}' | openssl dgst -sha256 -hmac 0123456789abcdef
	if got := made(func(http.Header) {}).Get(SignatureHeader); got != "v1=85f026c74b8935b11571c5ae740b0c14f75bb2cd90d15700b5adfda0c087560d" {
		t.Errorf("%s", got)
	}
	if key, err := Verify(made(func(http.Header) {}), secret, body, now.Add(59*time.Second), time.Minute); err != nil || key != "k" {
		t.Error(key, err)
	}
	for name, c := range map[string]struct {
		h      http.Header
		secret string
		body   string
		at     time.Time
	}{
		"other secret":    {made(func(http.Header) {}), "another secret 1", string(body), now},
		"other body":      {made(func(http.Header) {}), string(secret), `{"key":"x"}`, now},
		"other key":       {made(func(h http.Header) { h.Set(KeyHeader, "x") }), string(secret), string(body), now},
		"no key":          {made(func(h http.Header) { h.Del(KeyHeader) }), string(secret), string(body), now},
		"other time":      {made(func(h http.Header) { h.Set(TimestampHeader, "1700000001") }), string(secret), string(body), now},
		"no time":         {made(func(h http.Header) { h.Del(TimestampHeader) }), string(secret), string(body), now},
		"no signature":    {made(func(h http.Header) { h.Del(SignatureHeader) }), string(secret), string(body), now},
		"moved separator": {made(func(h http.Header) { h.Set(TimestampHeader, "1700000000.k"); h.Set(KeyHeader, "") }), string(secret), string(body), now},
		"replayed":        {made(func(http.Header) {}), string(secret), string(body), now.Add(61 * time.Second)},
		"from the future": {made(func(http.Header) {}), string(secret), string(body), now.Add(-61 * time.Second)},
	} {
		if _, err := Verify(c.h, []byte(c.secret), []byte(c.body), c.at, time.Minute); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	good := Options{URL: "https://a.example/x", Secret: secret, Outbox: card(nil)}
	for name, change := range map[string]func(*Options){
		"http":         func(o *Options) { o.URL = "http://a.example/" },
		"no URL":       func(o *Options) { o.URL = "" },
		"no host":      func(o *Options) { o.URL = "https:///x" },
		"short secret": func(o *Options) { o.Secret = secret[1:] },
		"no outbox":    func(o *Options) { o.Outbox = nil },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestVerdicts(t *testing.T) {
	for status, want := range map[int]string{200: "", 202: "", 204: "", 409: "", 301: "again", 302: "again", 400: "refused", 401: "again", 403: "again",
		404: "again", 410: "refused", 413: "refused", 422: "refused", 429: "again", 500: "again", 503: "again"} {
		got := "again"
		switch err := verdict(status); {
		case err == nil:
			got = ""
		case errors.Is(err, outbox.ErrRefused):
			got = "refused"
		}
		if got != want {
			t.Errorf("%d: %q", status, got)
		}
	}
}

// TestSend: errors and redirects are tried again later, a stranger's certificate is not accepted.
func TestSend(t *testing.T) {
	r := listen(t, 503, 302)
	s := sender(t, r, Options{})
	e, step := call()
	a, _ := For(e, step, "b", "s")
	body, err := a.encode()
	if err != nil {
		t.Fatal(err)
	}
	entry := outbox.Entry{Payload: body}
	for n := range 2 {
		if err := s.Deliver(t.Context(), entry); err == nil || s.Status().LastError == "" || s.Status().Since.IsZero() {
			t.Errorf("try %d went well: %+v", n, s.Status())
		}
	}
	if err := s.Deliver(t.Context(), entry); err != nil || s.Status() != (Status{Sent: 1}) {
		t.Error(err, s.Status())
	}
	if err := s.Deliver(t.Context(), outbox.Entry{Payload: []byte("{}")}); !errors.Is(err, outbox.ErrRefused) {
		t.Errorf("%v", err)
	}
	s, err = New(Options{URL: r.URL, Secret: secret, Roots: x509.NewCertPool(), Outbox: card(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), entry); err == nil || errors.Is(err, outbox.ErrRefused) {
		t.Errorf("%v", err)
	}
}

func TestFollow(t *testing.T) {
	hangs := card(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	fails := card(func(context.Context) error { return errors.New("read-only file system") })
	for name, c := range map[string]struct {
		outbox   Outbox
		patience time.Duration // short only where it must run out
		requests int
	}{
		"good card":    {card(func(context.Context) error { return nil }), time.Hour, 0},
		"hanging card": {hangs, 20 * time.Millisecond, 1},
		"broken card":  {fails, time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := listen(t)
			s := sender(t, r, Options{Outbox: c.outbox, Patience: c.patience})
			e, step := call()
			if err := s.Follow(t.Context(), e, step); err != nil {
				t.Error(err)
			}
			if _, requests := r.seen(); requests != c.requests {
				t.Errorf("%d requests", requests)
			}
			e.Test = true
			if err := s.Follow(t.Context(), e, step); err != nil {
				t.Error(err)
			}
			if _, requests := r.seen(); requests != c.requests {
				t.Error("the world was told of a test")
			}
		})
	}
	// Neither the card nor the network: it waits, and ends when the box does.
	r := listen(t, 503, 503, 503)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	e, step := call()
	if err := sender(t, r, Options{Outbox: fails, Patience: time.Millisecond}).Follow(ctx, e, step); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	// The card comes back before the network.
	tries := 0
	heals := card(func(context.Context) error {
		if tries++; tries < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	if err := sender(t, listen(t, 503, 503, 503, 503), Options{Outbox: heals, Patience: time.Millisecond}).Follow(t.Context(), e, step); err != nil || tries != 2 {
		t.Errorf("%v after %d", err, tries)
	}
}

// TestNeverLostNeverTwice: the box is stopped and started again at several points between the call and the answer of
// the other side, whose every alert comes, under one key however often.
func TestNeverLostNeverTwice(t *testing.T) {
	dir := t.TempDir()
	r := listen(t, 500, 500)
	life := func(run func(ctx context.Context, j *emergency.Journal, box *outbox.Box, s *Sender)) {
		t.Helper()
		f, _, err := snapshot.Open(filepath.Join(dir, "snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		j, err := emergency.New(emergency.Options{Snapshot: f, Followers: []string{Kind}})
		if err != nil {
			t.Fatal(err)
		}
		box, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		run(ctx, j, box, sender(t, r, Options{Outbox: box}))
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	e, _ := call()
	// The call; nobody gets to tell.
	life(func(_ context.Context, j *emergency.Journal, _ *outbox.Box, _ *Sender) {
		if err := j.Begin(e.Facts); err != nil {
			t.Fatal(err)
		}
	})
	// The alert is in the outbox, but the program dies before it knows that.
	life(func(ctx context.Context, j *emergency.Journal, box *outbox.Box, s *Sender) {
		now, _ := j.Get("c1")
		if err := s.Follow(ctx, now, now.Steps[0]); err != nil {
			t.Error(err)
		}
	})
	// So it is there twice; the network comes and goes.
	life(func(ctx context.Context, j *emergency.Journal, box *outbox.Box, s *Sender) {
		inner, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		group.Go(func() { j.Follow(inner, Kind, s.Follow) })
		group.Go(func() { box.Deliver(inner, Kind, s.Deliver) })
		wait(t, "two entries", func() bool { return j.Behind(Kind) == 0 && box.Stats().Pending == 2 })
		cancel()
		group.Wait()
	})
	life(func(ctx context.Context, j *emergency.Journal, box *outbox.Box, s *Sender) {
		inner, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		group.Go(func() { j.Follow(inner, Kind, s.Follow) })
		group.Go(func() { box.Deliver(inner, Kind, s.Deliver) })
		wait(t, "delivery", func() bool { return box.Stats().Pending == 0 })
		cancel()
		group.Wait()
	})
	alerts, requests := r.seen()
	if alerts != 1 || requests < 4 {
		t.Errorf("%d alerts in %d requests", alerts, requests)
	}
	for _, a := range r.alerts {
		if !strings.HasPrefix(a.Key, "c1-1-recognised-") || a.Box != "branch-7" || a.Site != "springfield" || !strings.HasPrefix(a.Title, "911") {
			t.Errorf("%+v", a)
		}
	}
}
