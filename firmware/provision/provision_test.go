package provision

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/sip/site"
)

func TestPortal(t *testing.T) {
	k1, k2, k3 := newKey(1), newKey(2), newKey(3)
	p := newPortal(t)
	dir := filepath.Join(t.TempDir(), "site")
	o := Options{Dir: dir, URL: p.URL + "/doc?secret=1", Token: "tok", Roots: p.roots(), PublicKey: k1.public}
	r := newRig(t, o)
	ctx := t.Context()

	p.offer(doc(t, 5, "first"), k1)
	if err := r.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "5 first")
	if got := p.last(); got.Header.Get("Authorization") != "Bearer tok" || got.Header.Get("If-None-Match") != "" {
		t.Errorf("%v", got.Header)
	}
	if got, err := r.Fetch(ctx, false); got != Unchanged || err != nil || p.last().Header.Get("If-None-Match") == "" {
		t.Errorf("%s %v %v", got, err, p.last().Header)
	}
	if s := r.Status(); s.Serial != 5 || s.Unsigned || s.Error != "" || s.Card != "" || s.Confirmed.IsZero() || strings.Contains(s.Source, "secret") {
		t.Errorf("%+v", s)
	}

	// What is refused leaves the one in force alone and says why.
	p.offer(doc(t, 4, "older"), k1)
	if got, err := r.Fetch(ctx, false); got != Unchanged || !errors.Is(err, ErrOlder) {
		t.Errorf("older: %s %v", got, err)
	}
	p.offer(doc(t, 5, "same serial, other content"), k1)
	if got, err := r.Fetch(ctx, false); got != Unchanged || !errors.Is(err, ErrOlder) {
		t.Errorf("same serial: %s %v", got, err)
	}
	p.offer(doc(t, 6, "foreign"), k2)
	if got, err := r.Fetch(ctx, true); got != Unchanged || !errors.Is(err, ErrSignature) {
		t.Errorf("foreign key: %s %v", got, err)
	}
	p.offer([]byte(`{"version": 1, "serial": 9}`), k1)
	var faults site.Errors
	if got, err := r.Fetch(ctx, true); got != Unchanged || !errors.As(err, &faults) {
		t.Errorf("without meaning: %s %v", got, err)
	}
	if s := r.Status(); s.Serial != 5 || s.Error == "" {
		t.Errorf("%+v", s)
	}
	r.expect(t, "5 first")

	// Forced by hand, an older one is taken.
	p.offer(doc(t, 4, "older"), k1)
	if got, err := r.Fetch(ctx, true); got != Adopted || err != nil {
		t.Errorf("forced: %s %v", got, err)
	}
	r.expect(t, "5 first", "4 older")

	// Rotation: announced, both sign; used, the old one is retired, across a restart too.
	p.offer(doc(t, 7, "announces", announces(k2)), k1)
	r.Fetch(ctx, false)
	p.offer(doc(t, 8, "old key still signs", announces(k2)), k1)
	r.Fetch(ctx, false)
	r = newRig(t, o)
	p.offer(doc(t, 9, "new key"), k2)
	if err := r.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Fetch(ctx, false); got != Adopted || err != nil {
		t.Errorf("new key: %s %v", got, err)
	}
	r.expect(t, "8 old key still signs", "9 new key")
	r = newRig(t, o)
	p.offer(doc(t, 10, "retired key"), k1)
	if err := r.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Fetch(ctx, false); got != Unchanged || !errors.Is(err, ErrSignature) {
		t.Errorf("retired key: %s %v", got, err)
	}
	r.expect(t, "9 new key")

	// Another key in the boot file starts afresh; the last good one serves until then.
	o.PublicKey = k3.public
	r = newRig(t, o)
	if err := r.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	p.offer(doc(t, 9, "new key"), k3) // the same bytes must be signed anew: "not modified" would not do
	if got, err := r.Fetch(ctx, false); got != Adopted || err != nil {
		t.Errorf("same document, third key: %s %v", got, err)
	}
	p.offer(doc(t, 11, "third key"), k3)
	if got, err := r.Fetch(ctx, false); got != Adopted || err != nil {
		t.Errorf("third key: %s %v", got, err)
	}
	r.expect(t, "9 new key", "9 new key", "11 third key")
}

func TestPortalMisbehaves(t *testing.T) {
	k := newKey(1)
	good := doc(t, 1, "good")
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"401":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "portal answers 401 Unauthorized"},
		"500":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "portal answers 500"},
		"204":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "portal answers 204"},
		"304 unasked": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "portal answers 304"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusFound)
		}, "redirects are not followed"},
		"no signature": {func(w http.ResponseWriter, _ *http.Request) { w.Write(good) }, "signature is missing or wrong"},
		"half signature": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Holdfast-Signature", k.sign(good)[:40])
			w.Write(good)
		}, "signature is missing or wrong"},
		"changed content": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Holdfast-Signature", k.sign(good))
			w.Write(append([]byte(" "), good...))
		}, "signature is missing or wrong"},
		"not JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Holdfast-Signature", k.sign([]byte("x")))
			io.WriteString(w, "x")
		}, "/doc"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			block := make([]byte, 1<<20)
			for range MaxDocument>>20 + 2 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, "larger than 32 MiB"},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			w.Write(good[:10])
		}, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			p.set(c.serve)
			r := newRig(t, Options{URL: p.URL + "/doc", Roots: p.roots(), PublicKey: k.public})
			err := r.Begin(t.Context())
			if !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), c.want) || !strings.Contains(r.Status().Error, c.want) {
				t.Errorf("%v, want %q; status %q", err, c.want, r.Status().Error)
			}
			r.expect(t)
		})
	}
	// A certificate of somebody else.
	p := newPortal(t)
	p.offer(good, k)
	r := newRig(t, Options{URL: p.URL, Roots: x509.NewCertPool(), PublicKey: k.public})
	if err := r.Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("%v", err)
	}
}

func TestFile(t *testing.T) {
	k := newKey(1)
	file := filepath.Join(t.TempDir(), "site.json")
	put := func(data []byte, signature string) {
		t.Helper()
		os.Remove(file + ".sig")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if signature != "" {
			if err := os.WriteFile(file+".sig", []byte(signature+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx := t.Context()
	one := doc(t, 1, "one")

	strict := newRig(t, Options{File: file, PublicKey: k.public})
	if err := strict.Begin(ctx); !errors.Is(err, ErrNothing) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	put(one, "")
	if err := strict.Begin(ctx); !errors.Is(err, ErrSignature) {
		t.Errorf("unsigned: %v", err)
	}
	put(one, newKey(2).sign(one))
	if err := strict.Begin(ctx); !errors.Is(err, ErrSignature) {
		t.Errorf("foreign: %v", err)
	}
	put(one, k.sign(one))
	if err := strict.Begin(ctx); err != nil {
		t.Errorf("signed: %v", err)
	}
	strict.expect(t, "1 one")

	loose := newRig(t, Options{File: file, AllowUnsigned: true})
	put(one, "")
	if err := loose.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	put(doc(t, 1, "edited by hand"), "")
	if got, err := loose.Fetch(ctx, false); got != Adopted || err != nil {
		t.Errorf("%s %v", got, err)
	}
	put(doc(t, 0, "zero"), "")
	if got, err := loose.Fetch(ctx, false); got != Unchanged || err == nil {
		t.Errorf("%s %v", got, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := loose.Fetch(ctx, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	loose.expect(t, "1 one", "1 edited by hand")
	if !loose.Status().Unsigned {
		t.Error("not said to be unsigned")
	}
}

// TestFileThenPortal: the file is for the first start; it never replaces what the portal has signed at the same serial.
func TestFileThenPortal(t *testing.T) {
	k := newKey(1)
	p := newPortal(t)
	file := filepath.Join(t.TempDir(), "site.json")
	if err := os.WriteFile(file, doc(t, 3, "file"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{URL: p.URL, Roots: p.roots(), PublicKey: k.public, File: file, AllowUnsigned: true})
	p.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	if err := r.Begin(t.Context()); err != nil || len(p.requests) != 0 {
		t.Fatalf("%v, %d requests", err, len(p.requests))
	}
	if _, err := r.Fetch(t.Context(), false); err == nil {
		t.Error("503 is no error")
	}
	p.offer(doc(t, 4, "portal"), k)
	r.Fetch(t.Context(), false)
	if err := os.WriteFile(file, doc(t, 4, "other file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Fetch(t.Context(), false); !errors.Is(err, ErrOlder) {
		t.Errorf("%v", err)
	}
	os.Remove(file)
	if got, err := r.Fetch(t.Context(), false); got != Unchanged || err != nil {
		t.Errorf("without the file: %s %v", got, err)
	}
	r.expect(t, "3 file", "4 portal")
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no source":       {PublicKey: newKey(1).public},
		"no key":          {URL: "https://x/"},
		"no key for file": {File: "x"},
		"bad key":         {URL: "https://x/", PublicKey: "AAAA"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// roundTrip answers requests without a network, so that Run can be watched under a fake clock.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRunTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKey(1)
		r := newRig(t, Options{URL: "https://portal.test/doc", PublicKey: k.public})
		begin := time.Now()
		var looks []time.Duration
		data := doc(t, 1, "one")
		r.client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			looks = append(looks, time.Since(begin))
			if time.Since(begin) < 13*time.Minute {
				return nil, errors.New("no network")
			}
			return &http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Holdfast-Signature": {k.sign(data)}},
				Body: io.NopCloser(strings.NewReader(string(data)))}, nil
		})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(8 * time.Minute) // at 0, 1, 3 and 7 minutes
		r.Kick()                    // at 8, and from there anew
		synctest.Wait()
		time.Sleep(8 * time.Minute) // at 9, 11 and 15, when it works
		synctest.Wait()
		r.expect(t, "1 one")
		time.Sleep(24 * time.Hour) // at 15 min + 10 h and + 20 h
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, 1, 3, 7, 8, 9, 11, 15, 15 + 600, 15 + 1200}
		for i := range want {
			want[i] *= time.Minute
		}
		if !slices.Equal(looks, want) {
			t.Errorf("looked at %v, want %v", looks, want)
		}
		r.expect(t, "1 one")
	})
}
