package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// issuer is an authority of the customer's.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serials = big.NewInt(1)

func newIssuer(t *testing.T, name string, by *issuer) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	serials.Add(serials, big.NewInt(1))
	tmpl := &x509.Certificate{SerialNumber: new(big.Int).Set(serials), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &issuer{cert, key}
}

func (i *issuer) pem() []byte { return block("CERTIFICATE", i.cert.Raw) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sign makes a certificate of a request, as an authority does, or of a bare key.
func (i *issuer) sign(t *testing.T, request []byte, change func(*x509.Certificate)) []byte {
	t.Helper()
	b, _ := pem.Decode(request)
	r, err := x509.ParseCertificateRequest(b.Bytes)
	must(t, err)
	must(t, r.CheckSignature())
	serials.Add(serials, big.NewInt(1))
	tmpl := &x509.Certificate{SerialNumber: new(big.Int).Set(serials), Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, i.cert, r.PublicKey, i.key)
	must(t, err)
	return block("CERTIFICATE", der)
}

var names = Names{DNS: []string{"box.branch.example.com"}, IP: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}

// From the first start to a certificate and its renewal, as a person does it.
func TestLife(t *testing.T) {
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "c", "phones.pem"), filepath.Join(dir, "c", "phones.key")}
	if !p.Missing() {
		t.Error("files that are not there are there")
	}
	root := newIssuer(t, "Root", nil)
	between := newIssuer(t, "Between", root)
	for round, useRSA := range []bool{false, true} {
		key, err := p.NewKey(useRSA)
		must(t, err)
		if again, err := p.NewKey(useRSA); err != nil || !bytes.Equal(again, key) {
			t.Errorf("round %d: a second request has another key (%v)", round, err)
		}
		request, err := Request(key, names)
		must(t, err)
		answer := bytes.Join([][]byte{root.pem(), between.sign(t, request, nil), between.pem()}, []byte("some words\n"))
		c, err := Check(Phones, answer, p.Keys(), now)
		must(t, err)
		if len(c.Warnings) > 0 || c.Key != nil || c.Info.Trust.SHA256 != fingerprint(root.cert) || strings.Join(c.Info.Names, " ") != "box.branch.example.com 10.0.0.5" {
			t.Errorf("round %d: %+v", round, c)
		}
		must(t, p.Install(c))
		loaded, err := p.Load()
		must(t, err)
		pool := x509.NewCertPool()
		pool.AddCert(root.cert)
		middle := x509.NewCertPool()
		for _, der := range loaded.Certificate[1:] {
			x, err := x509.ParseCertificate(der)
			must(t, err)
			middle.AddCert(x)
		}
		if _, err := loaded.Leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: middle, DNSName: "box.branch.example.com", CurrentTime: now}); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if i, err := os.Stat(p.Key); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("round %d: the key has mode %v, %v", round, i.Mode(), err)
		}
		if list, _ := os.ReadDir(filepath.Join(dir, "c")); len(list) != 2 {
			t.Errorf("round %d: left over: %v", round, list)
		}
	}
}

// A certificate for the key that is in use needs no new one, and leaves a request that waits alone.
func TestRenewalWithTheSameKey(t *testing.T) {
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "phones.pem"), filepath.Join(dir, "phones.key")}
	root := newIssuer(t, "Root", nil)
	key, err := NewKey(false)
	must(t, err)
	must(t, os.WriteFile(p.Key, key, 0o600))
	request, err := Request(key, names)
	must(t, err)
	waiting, err := p.NewKey(false)
	must(t, err)
	c, err := Check(Phones, root.sign(t, request, nil), p.Keys(), now)
	must(t, err)
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "the chain ends with the box's own certificate") {
		t.Errorf("%q", c.Warnings)
	}
	must(t, p.Install(c))
	if _, err := p.Load(); err != nil {
		t.Error(err)
	}
	if again, err := p.NewKey(false); err != nil || !bytes.Equal(again, waiting) {
		t.Error("the key that waits is gone", err)
	}
}

// The customer brings certificate and key in one file; the boot file may have them in one, too.
func TestBroughtKey(t *testing.T) {
	for _, one := range []bool{false, true} {
		dir := t.TempDir()
		p := Pair{filepath.Join(dir, "trunk.pem"), filepath.Join(dir, "trunk.key")}
		if one {
			p.Key = p.Certificate
		}
		root := newIssuer(t, "Root", nil)
		key, err := NewKey(true)
		must(t, err)
		request, err := Request(key, names)
		must(t, err)
		c, err := Check(Trunk, append(key, root.sign(t, request, nil)...), p.Keys(), now)
		must(t, err)
		must(t, p.Install(c))
		if _, err := p.Load(); err != nil {
			t.Errorf("one file %t: %v", one, err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 2 && !one || len(list) != 1 && one {
			t.Errorf("one file %t: %v", one, list)
		}
	}
}

// Whenever the power goes during Install, a pair that belongs together is found.
func TestPowerCutInInstall(t *testing.T) {
	root := newIssuer(t, "Root", nil)
	made := func(dir string) (Pair, Candidate) {
		p := Pair{filepath.Join(dir, "phones.pem"), filepath.Join(dir, "phones.key")}
		old, err := NewKey(false)
		must(t, err)
		request, err := Request(old, names)
		must(t, err)
		must(t, errors.Join(os.WriteFile(p.Key, old, 0o600), os.WriteFile(p.Certificate, root.sign(t, request, nil), 0o600)))
		key, err := p.NewKey(false)
		must(t, err)
		request, err = Request(key, names)
		must(t, err)
		c, err := Check(Phones, root.sign(t, request, nil), p.Keys(), now)
		must(t, err)
		return p, c
	}
	for name, cut := range map[string]func(Pair, Candidate){
		"before":               func(Pair, Candidate) {},
		"certificate is there": func(p Pair, c Candidate) { must(t, replace(p.Certificate, c.Chain)) },
		"key is there, both ways": func(p Pair, c Candidate) {
			must(t, replace(p.Certificate, c.Chain))
			must(t, replace(p.Key, p.Keys()[0]))
		},
	} {
		p, c := made(t.TempDir())
		cut(p, c)
		if _, err := p.Load(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		must(t, p.Install(c)) // and it can be done again
		got, err := p.Load()
		must(t, err)
		if want, _ := pem.Decode(c.Chain); !bytes.Equal(got.Certificate[0], want.Bytes) {
			t.Errorf("%s: another certificate", name)
		}
	}
}

func TestRefused(t *testing.T) {
	root, other := newIssuer(t, "Root", nil), newIssuer(t, "Other", nil)
	key, err := NewKey(false)
	must(t, err)
	request, err := Request(key, names)
	must(t, err)
	locked := block("ENCRYPTED PRIVATE KEY", []byte("x"))
	with := func(change func(*x509.Certificate)) []byte { return root.sign(t, request, change) }
	for name, c := range map[string]struct {
		use  Use
		data []byte
		want string
	}{
		"nothing":         {Phones, []byte("hello"), "there is no certificate in PEM form"},
		"the request":     {Phones, request, "this is the request"},
		"too big":         {Phones, make([]byte, MaxSize+1), "are no chain"},
		"locked key":      {Phones, append(with(nil), locked...), "has a password"},
		"torn":            {Phones, block("CERTIFICATE", []byte("x")), "cannot be read"},
		"another key":     {Phones, func() []byte { k, _ := NewKey(false); r, _ := Request(k, names); return root.sign(t, r, nil) }(), "made from the newest request"},
		"stray":           {Phones, append(with(nil), other.pem()...), `"CN=Other" has signed nothing in this chain`},
		"ended":           {Phones, with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), "it ended on 2026-11-01"},
		"no names":        {Phones, with(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }), "no subject alternative name"},
		"authority":       {Phones, with(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "an authority's own certificate"},
		"not for servers": {Phones, with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), "serverAuth is missing"},
		"not for clients": {Trunk, with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "ask for extended key usage clientAuth"},
		"many": {Phones, func() (all []byte) {
			for range mostCertificates + 1 {
				all = append(all, newIssuer(t, "Many", nil).pem()...)
			}
			return all
		}(), "are no chain"},
	} {
		if _, err := Check(c.use, c.data, [][]byte{key}, now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if c, err := Check(Phones, with(func(c *x509.Certificate) { c.NotBefore = now.Add(48 * time.Hour) }), [][]byte{key}, now); err != nil || !strings.Contains(strings.Join(c.Warnings, "\n"), "is the clock right") {
		t.Errorf("not yet valid: %v %q", err, c.Warnings)
	}
	if _, err := Request(key, Names{}); !errors.Is(err, ErrNoNames) {
		t.Errorf("no names: %v", err)
	}
	if _, err := Request([]byte("x"), names); err == nil {
		t.Error("a request without a key")
	}
}

func TestTemporary(t *testing.T) {
	key, err := NewKey(false)
	must(t, err)
	cert, err := Temporary(key, names, now)
	must(t, err)
	pair, err := tls.X509KeyPair(cert, key)
	must(t, err)
	i, err := Describe(Phones, &pair)
	if err != nil || !i.Temporary || i.Trust.PEM != string(cert) || i.SHA256 == "" {
		t.Errorf("%+v %v", i, err)
	}
	if _, err := Describe(Phones, nil); err == nil {
		t.Error("nothing is described")
	}
	if names.String() != "box.branch.example.com, 10.0.0.5" {
		t.Error(names)
	}
}

func FuzzCheck(f *testing.F) {
	key, err := NewKey(false)
	if err != nil {
		f.Fatal(err)
	}
	cert, err := Temporary(key, names, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert)
	f.Add(append(key, cert...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Check(Trunk, data, [][]byte{key}, now)
		if err != nil {
			return
		}
		use := key
		if c.Key != nil {
			use = c.Key
		}
		if _, err := tls.X509KeyPair(c.Chain, use); err != nil {
			t.Errorf("taken, but it cannot be used: %v", err)
		}
	})
}
