package provision

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/sip/site"
)

// doc is a valid document with that serial and site name.
func doc(t testing.TB, serial uint64, name string, more ...func(map[string]any)) []byte {
	t.Helper()
	example, err := os.ReadFile("../../sip/site/testdata/example.json")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(example, &tree); err != nil {
		t.Fatal(err)
	}
	tree["serial"] = serial
	tree["site"].(map[string]any)["name"] = name
	delete(tree, "key_rotation")
	for _, change := range more {
		change(tree)
	}
	data, err := json.MarshalIndent(tree, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func announces(k key) func(map[string]any) {
	return func(tree map[string]any) { tree["key_rotation"] = k.public }
}

// key is a signing key; seed makes it.
type key struct {
	private ed25519.PrivateKey
	public  string
}

func newKey(seed byte) key {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
	return key{private, base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))}
}

func (k key) sign(data []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, data))
}

// portal serves one document after another.
type portal struct {
	*httptest.Server
	mu       sync.Mutex
	serve    http.HandlerFunc
	requests []*http.Request
}

func newPortal(t *testing.T) *portal {
	p := &portal{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, r)
		serve := p.serve
		p.mu.Unlock()
		serve(w, r)
	}))
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *portal) last() *http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[len(p.requests)-1]
}

func (p *portal) set(serve http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serve = serve
}

// offer serves data signed by k with an ETag.
func (p *portal) offer(data []byte, k key) {
	p.set(func(w http.ResponseWriter, r *http.Request) {
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256(data))
		w.Header().Set("ETag", etag)
		w.Header().Set("Holdfast-Signature", k.sign(data))
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write(data)
	})
}

func (p *portal) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return pool
}

// rig is a Provisioner with what it adopted.
type rig struct {
	*Provisioner
	adopted []string // serial and name
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	r := &rig{}
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "site")
	}
	o.Log = slog.New(slog.DiscardHandler)
	o.Interval = 10 * time.Hour
	o.Adopt = func(s *site.Site) {
		r.adopted = append(r.adopted, fmt.Sprint(s.Doc().Serial, " ", s.Doc().Site.Name))
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Provisioner = p
	return r
}

func (r *rig) expect(t testing.TB, adopted ...string) {
	t.Helper()
	if !slices.Equal(r.adopted, adopted) {
		t.Fatalf("adopted %v, want %v; %+v", r.adopted, adopted, r.Status())
	}
}

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

var errStopped = errors.New("the power went")

// TestPowerCutAtEveryStep: whenever saving stops, the next start has the old document or the new one, whole, and can
// save again.
func TestPowerCutAtEveryStep(t *testing.T) {
	k := newKey(1)
	var steps []string
	count := 0
	for stop := 0; ; stop++ {
		dir := t.TempDir()
		old, new_ := doc(t, 1, "old"), doc(t, 2, "new")
		s := &store{dir: dir}
		for _, data := range [][]byte{doc(t, 0, "oldest"), old} {
			if err := s.save(&document{data: data, meta: meta{SignedBy: k.public}}); err != nil {
				t.Fatal(err)
			}
		}
		steps, count = nil, 0
		s.step = func(name string) error {
			if count == stop {
				return errStopped
			}
			count++
			steps = append(steps, name)
			return nil
		}
		err := s.save(&document{data: new_, meta: meta{SignedBy: k.public}})
		after := &store{dir: dir}
		d, damage := after.load(func(*document) error { return nil })
		if d == nil || damage != nil {
			t.Fatalf("stopped before step %d (after %v): no document, %v", stop, steps, damage)
		}
		if got := string(d.data); got != string(old) && got != string(new_) {
			t.Fatalf("stopped before step %d: another document", stop)
		}
		if err == nil && string(d.data) != string(new_) {
			t.Fatal("saved, but the old one is read")
		}
		third := doc(t, 3, "third")
		if err := after.save(&document{data: third}); err != nil {
			t.Fatalf("stopped before step %d: cannot save any more: %v", stop, err)
		}
		if d, err := (&store{dir: dir}).load(func(*document) error { return nil }); err != nil || string(d.data) != string(third) {
			t.Fatalf("stopped before step %d: %v", stop, err)
		}
		if err == nil {
			break
		}
	}
	if want := []string{"create", "write", "write", "sync", "retire", "switch", "sync folder"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v: nothing may be renamed before it is synced", steps, want)
	}
}

// TestDamagedLastGood: whatever byte of the last good file is hurt, its predecessor serves, and is not lost by the next
// save.
func TestDamagedLastGood(t *testing.T) {
	dir := t.TempDir()
	s := &store{dir: dir}
	for serial := range uint64(2) {
		if err := s.save(&document{data: doc(t, serial+1, fmt.Sprint("doc ", serial))}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, currentName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	meaningful := func(d *document) error { _, err := site.Load(d.data); return err }
	hurt := map[string][]byte{"empty": {}, "rubbish": []byte("rubbish")}
	for at := 0; at < len(whole); at += 97 {
		hurt[fmt.Sprint("cut at ", at)] = whole[:at]
	}
	for name, data := range hurt {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		again := &store{dir: dir}
		d, err := again.load(meaningful)
		if d == nil || err == nil || !strings.Contains(string(d.data), "doc 0") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	again := &store{dir: dir}
	again.load(meaningful)
	if err := again.save(&document{data: doc(t, 3, "doc 2")}); err != nil {
		t.Fatal(err)
	}
	if d, err := again.read(previousName, meaningful); err != nil || !strings.Contains(string(d.data), "doc 0") {
		t.Errorf("the predecessor is gone: %v", err)
	}
	os.WriteFile(path, nil, 0o600)
	os.WriteFile(filepath.Join(dir, previousName), nil, 0o600)
	if d, err := (&store{dir: dir}).load(meaningful); d != nil || err == nil {
		t.Errorf("%v %v", d, err)
	}
}

// TestCardFails: what cannot be kept still serves, and the status says so.
func TestCardFails(t *testing.T) {
	k := newKey(1)
	p := newPortal(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Dir: filepath.Join(blocked, "site"), URL: p.URL, Roots: p.roots(), PublicKey: k.public})
	p.offer(doc(t, 1, "one"), k)
	if err := r.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "1 one")
	if r.Status().Card == "" {
		t.Error("nothing said about the card")
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

func FuzzStore(f *testing.F) {
	dir := f.TempDir()
	s := &store{dir: dir}
	if err := s.save(&document{data: []byte("{}")}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, currentName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, currentName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := (&store{dir: dir}).load(func(*document) error { return nil })
		if (d == nil) == (err == nil) {
			t.Fatalf("%v %v", d, err)
		}
	})
}
