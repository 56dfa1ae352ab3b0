package provision

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/sip/site"
)

// doc is a valid document with that serial and site name.
func doc(t testing.TB, serial uint64, name string, more ...func(map[string]any)) []byte {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(site.Example(), &tree); err != nil {
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
