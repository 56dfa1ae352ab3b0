package admin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	"mime/multipart"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/certs"
)

func (f *fakeBox) Certificates() []certs.Info {
	return []certs.Info{
		{Use: certs.Phones, Subject: evil, Names: []string{evil}, Issuer: evil, Until: epoch.Add(40 * 24 * time.Hour), SHA256: "00", Trust: certs.Trust{Subject: evil, PEM: "root in PEM\n"}},
		{Use: certs.Trunk, Subject: evil, Names: []string{}, Issuer: evil, Until: epoch, Trust: certs.Trust{Subject: evil}},
		{Use: certs.SBC, Subject: evil, Names: []string{}, Issuer: evil, Until: epoch},
	}
}
func (f *fakeBox) CertificateRequest(use certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	msg, err := f.note(fmt.Sprintf("request %s %s %t", use, n, useRSA))
	return []byte(msg), err
}
func (f *fakeBox) InstallCertificate(use certs.Use, data []byte) (string, error) {
	return f.note(fmt.Sprintf("install %s %s", use, data))
}

// keyBox keeps real keys and checks real certificates.
type keyBox struct {
	*fakeBox
	certs.Pair
}

func (b *keyBox) CertificateRequest(_ certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	key, err := b.NewKey(useRSA)
	if err != nil {
		return nil, err
	}
	return certs.Request(key, n)
}

func (b *keyBox) InstallCertificate(use certs.Use, data []byte) (string, error) {
	c, err := certs.Check(use, data, b.Keys(), epoch)
	if err != nil {
		return "", err
	}
	return "In force.", b.Install(c)
}

// authority signs what it is asked to.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Customer"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true}
	return &authority{t, root, key}
}

func (a *authority) sign(request string, until time.Time) string {
	a.t.Helper()
	b, _ := pem.Decode([]byte(request))
	if b == nil {
		a.t.Fatalf("no request: %.200s", request)
	}
	r, err := x509.ParseCertificateRequest(b.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses,
		NotBefore: epoch.AddDate(0, 0, -9), NotAfter: until}, a.cert, r.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// upload sends the form as a browser does.
func (r *rig) upload(cookie string, parts map[string]string, edit ...func(*http.Request)) answer {
	r.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for name, text := range parts {
		if name == "use" {
			m.WriteField(name, text)
		} else if w, err := m.CreateFormFile(name, name+".pem"); err != nil {
			r.t.Fatal(err)
		} else {
			w.Write([]byte(text))
		}
	}
	m.Close()
	return r.do("POST", "/certificates/install", cookie, &body, append([]func(*http.Request){header("Content-Type", m.FormDataContentType())}, edit...)...)
}

// TestCertificateByPage: request, answer, in force; then all that goes wrong, each with its reason on the next page.
func TestCertificateByPage(t *testing.T) {
	dir := t.TempDir()
	box := &keyBox{newFakeBox(), certs.Pair{Certificate: filepath.Join(dir, "phones.pem"), Key: filepath.Join(dir, "phones.key")}}
	r := newRig(t, func(o *Options) { o.Box = box })
	cookie, ca := r.login("root"), newAuthority(t)
	says := func() string {
		_, text, _ := strings.Cut(r.do("GET", "/box", cookie, nil).body, `class="notice`)
		text, _, _ = strings.Cut(text, "</")
		return html.UnescapeString(text)
	}

	a := r.post("/certificates/request", cookie, url.Values{"use": {"phones"}, "names": {"box.example.com, 10.0.0.5"}})
	if a.status != 200 || a.header.Get("Content-Type") != pemType || a.header.Get("Content-Disposition") != `attachment; filename="holdfast-phones.csr"` || strings.Contains(a.body, "PRIVATE") {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	request, next := a.body, epoch.AddDate(1, 0, 0)
	if a := r.upload(cookie, map[string]string{"use": "phones", "chain": ca.sign(request, next)}); a.status != 303 || a.header.Get("Location") != "/box" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if text := says(); !strings.Contains(text, "In force.") {
		t.Errorf("the page says %q", text)
	}
	installed, err := box.Load()
	if err != nil || strings.Join(installed.Leaf.DNSNames, " ") != "box.example.com" || !installed.Leaf.IPAddresses[0].Equal(netip.MustParseAddr("10.0.0.5").AsSlice()) {
		t.Fatal(err)
	}

	foreign, err := certs.NewKey(false)
	if err != nil {
		t.Fatal(err)
	}
	other, err := certs.NewKey(false)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := certs.Request(foreign, certs.Names{DNS: []string{"other.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		parts map[string]string
		want  string
	}{
		"nothing":           {map[string]string{"use": "phones"}, "Choose the file with the certificates."},
		"empty":             {map[string]string{"use": "phones", "chain": ""}, "Choose the file with the certificates."},
		"no certificate":    {map[string]string{"use": "phones", "chain": evil}, "there is no certificate in PEM form"},
		"the request":       {map[string]string{"use": "phones", "chain": request}, "this is the request"},
		"ended":             {map[string]string{"use": "phones", "chain": ca.sign(request, epoch.Add(-time.Hour))}, "was not installed: it ended on 2026-03-01"},
		"of another key":    {map[string]string{"use": "phones", "chain": ca.sign(string(stranger), next)}, "was it made from the newest request?"},
		"with a wrong key":  {map[string]string{"use": "phones", "chain": ca.sign(string(stranger), next), "key": string(other)}, "neither the key that came with it"},
		"with no key in it": {map[string]string{"use": "phones", "chain": ca.sign(string(stranger), next), "key": "x"}, "There is no private key in PEM form"},
		"UTF-16":            {map[string]string{"use": "phones", "chain": "\xff\xfe-\x00"}, "The file is written in UTF-16: save it as UTF-8"},
		"the key in UTF-16": {map[string]string{"use": "phones", "chain": ca.sign(string(stranger), next), "key": "\xff\xfe-\x00"}, "The file is written in UTF-16: save it as UTF-8"},
		"large":             {map[string]string{"use": "phones", "chain": strings.Repeat("x", maxCertificates)}, "This is too large: 64 KB"},
		"rather large":      {map[string]string{"use": "phones", "chain": strings.Repeat("x", certs.MaxSize)}, "bytes are no chain"},
	} {
		before, err := os.ReadFile(box.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if a := r.upload(cookie, c.parts); a.status != 303 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if text := says(); !strings.Contains(text, c.want) || strings.Contains(text, "PRIVATE KEY-----\nM") {
			t.Errorf("%s: the page says %q, want %q", name, text, c.want)
		}
		if after, err := os.ReadFile(box.Certificate); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the certificate is another one (%v)", name, err)
		}
	}
	if a := r.post("/certificates/request", cookie, url.Values{"use": {"phones"}, "names": {"https://box:8443"}}); a.status != 303 || !strings.Contains(says(), "is no name that can be dialled") {
		t.Errorf("a bad name: %d", a.status)
	}

	// A key that was made elsewhere comes with its certificate.
	r.upload(cookie, map[string]string{"use": "phones", "chain": ca.sign(string(stranger), next), "key": string(foreign)})
	if installed, err := box.Load(); err != nil || installed.Leaf.DNSNames[0] != "other.example.com" {
		t.Errorf("%v; the page says %q", err, says())
	}
	for _, line := range r.log.Lines(tailLines) {
		if strings.Contains(line, "PRIVATE") {
			t.Errorf("the log holds a key: %s", line)
		}
	}
}

// TestCertificateFormsMayWho: only an admin sees the forms, and an upload from elsewhere is refused before it is read.
func TestCertificateFormsMayWho(t *testing.T) {
	r := newRig(t)
	for name, may := range map[string]bool{"viewer": false, "desk": false, "root": true} {
		cookie := r.login(name)
		page := r.do("GET", "/box", cookie, nil).body
		for _, action := range []string{"/certificates/request", "/certificates/install"} {
			if strings.Contains(page, `action="`+action+`"`) != may {
				t.Errorf("%s sees %s: %t", name, action, !may)
			}
		}
		if !strings.Contains(page, `href="/certificates/root.pem?use=phones"`) || strings.Contains(page, `href="/certificates/root.pem?use=trunk"`) || strings.Count(page, "the authority has it") != 1 {
			t.Errorf("%s: roots", name)
		}
		if a := r.upload(cookie, map[string]string{"use": "phones", "chain": "x"}); (a.status == 403) == may {
			t.Errorf("%s: %d", name, a.status)
		}
		if a := r.upload(cookie, map[string]string{"use": "phones", "chain": "x"}, header("Sec-Fetch-Site", "cross-site")); a.status != 403 {
			t.Errorf("%s from another site: %d", name, a.status)
		}
	}
	if got := r.box.asked(); len(got) != 1 || got[0] != "install phones x\n" {
		t.Errorf("the box was asked %q", got)
	}
	if a := r.do("GET", "/certificates/root.pem", r.login("viewer"), nil); a.body != "root in PEM\n" || a.header.Get("Content-Disposition") != `attachment; filename="holdfast-phones-root.pem"` {
		t.Errorf("%d %v %q", a.status, a.header, a.body)
	}
}
