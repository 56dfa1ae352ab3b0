package trunk

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// colons writes a fingerprint as people copy it.
func colons(cert *tls.Certificate) string {
	sum := sha256.Sum256(cert.Leaf.Raw)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

func TestMatches(t *testing.T) {
	ca := newAuthority(t)
	plain := ca.leaf(t, "sbc.example.com", addresses("10.0.0.60"))
	sum := sha256.Sum256(plain.Leaf.Raw)
	fingerprint := fmt.Sprintf("%x", sum)
	wildcard := ca.leaf(t, "*.example.com")
	two := ca.leaf(t, "a.example.com", func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "b.example.com") })
	domain := ca.leaf(t, "host.example.com", uris("sip:Carrier.example.net", "sip:alice@user.example.net", "https://web.example.net", "sip:port.example.net:5061;x=y"))
	common := ca.leaf(t, "", func(c *x509.Certificate) { c.Subject.CommonName = "sbc.example.com" })
	for name, c := range map[string]struct {
		name, fingerprint string
		cert              *tls.Certificate
		good              bool
	}{
		"name":                           {"sbc.example.com", "", plain, true},
		"case of the name":               {"SBC.Example.COM", "", plain, true},
		"dot at the end":                 {"sbc.example.com.", "", plain, true},
		"address":                        {"10.0.0.60", "", plain, true},
		"other address":                  {"10.0.0.61", "", plain, false},
		"other name":                     {"sbc2.example.com", "", plain, false},
		"name within a name":             {"example.com", "", plain, false},
		"name round a name":              {"x.sbc.example.com", "", plain, false},
		"second name":                    {"b.example.com", "", two, true},
		"wildcard stands for nobody":     {"sbc.example.com", "", wildcard, false},
		"common name is no name":         {"sbc.example.com", "", common, false},
		"SIP domain":                     {"carrier.example.net", "", domain, true},
		"SIP domain with a port":         {"port.example.net", "", domain, true},
		"SIP domain beats the host name": {"host.example.com", "", domain, false},
		"a user is no domain":            {"user.example.net", "", domain, false},
		"a web site is no domain":        {"web.example.net", "", domain, false},
		"fingerprint":                    {"", fingerprint, plain, true},
		"fingerprint with colons":        {"", colons(plain), plain, true},
		"fingerprint of another":         {"", colons(two), plain, false},
		"fingerprint cut short":          {"", fingerprint[:62], plain, false},
		"fingerprint that is none":       {"", "zz", plain, false},
		"both":                           {"sbc.example.com", colons(plain), plain, true},
		"both, name wrong":               {"sbc2.example.com", fingerprint, plain, false},
		"both, fingerprint wrong":        {"sbc.example.com", colons(two), plain, false},
		"neither":                        {"", "", plain, false},
	} {
		err := Matches(&site.Trunk{ID: "a", TLSName: c.name, Fingerprint: c.fingerprint}, c.cert.Leaf)
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestMismatchIsExplained: the reason names what was wanted and what came, and stays short.
func TestMismatchIsExplained(t *testing.T) {
	ca := newAuthority(t)
	many := ca.leaf(t, "", func(c *x509.Certificate) {
		for n := range 100 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example.com", n))
		}
	})
	for want, cert := range map[string]*tls.Certificate{
		"certificate is not for sbc.test but for other.test":                               ca.leaf(t, "other.test"),
		"certificate is not for sbc.test but for no name":                                  ca.leaf(t, ""),
		"n0.example.com, n1.example.com, n2.example.com, n3.example.com, n4.example.com …": many,
	} {
		if err := Matches(&site.Trunk{TLSName: "sbc.test"}, cert.Leaf); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestIdentify(t *testing.T) {
	w := newWorld(t, Options{})
	a, b := w.ca.leaf(t, "a.test"), w.ca.leaf(t, "b.test")
	w.set.Update([]site.Trunk{{ID: "first", TLSName: "a.test"}, {ID: "second", Fingerprint: colons(b)}, {ID: "open"}, {ID: "third", TLSName: "a.test"}})
	for want, cert := range map[string]*tls.Certificate{"first": a, "second": b} {
		if id, err := w.set.Identify(cert.Leaf); id != want || err != nil {
			t.Errorf("%s: %q, %v", want, id, err)
		}
	}
	if _, err := w.set.Identify(w.ca.leaf(t, "c.test").Leaf); !errors.Is(err, ErrStranger) || !strings.Contains(err.Error(), "c.test") {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := w.set.Identify(nil); err == nil {
		t.Error("nobody was identified")
	}
}

// TestDialRefuses: the box talks to nobody but the SBC; the state says why.
func TestDialRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	rogue := newAuthority(t)
	good := w.ca.leaf(t, "sbc.test")
	demanding := w.server(good)
	demanding.ClientCAs = rogue.pool
	old := w.server(good)
	old.MaxVersion = tls.VersionTLS11
	for name, c := range map[string]struct {
		cfg  *tls.Config
		name string
		want string // in State.Err
	}{
		"rogue authority":         {w.server(rogue.leaf(t, "sbc.test")), "sbc.test", "unknown authority"},
		"expired":                 {w.server(w.ca.leaf(t, "sbc.test", expired)), "sbc.test", "expired"},
		"right authority, other":  {w.server(w.ca.leaf(t, "other.test")), "sbc.test", "not for sbc.test but for other.test"},
		"right authority, nobody": {w.server(w.ca.leaf(t, "")), "sbc.test", "not for sbc.test but for no name"},
		"other fingerprint":       {w.server(good), "fingerprint", "has fingerprint"},
		"client's certificate":    {w.server(w.ca.leaf(t, "sbc.test", only(x509.ExtKeyUsageClientAuth))), "sbc.test", "usage"},
		"old TLS":                 {old, "sbc.test", "protocol version"},
		"does not know our roots": {demanding, "sbc.test", ""}, // TLS 1.3 tells the client only after its handshake
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newSBC(t, c.cfg, nowhere, nil)
			set := New(Options{Stack: w.stack, Roots: w.roots, Certificate: w.set.o.Certificate})
			cfg := trunkTo("a", b.address(), c.name)
			if c.name == "fingerprint" {
				cfg.TLSName, cfg.Fingerprint = "", strings.Repeat("00", 32)
			}
			own := &world{t: t, set: set}
			own.run(cfg)
			eventually(t, "the trunk is probed", func() bool { return !set.States()[0].LastProbe.IsZero() })
			if s := set.States()[0]; s.Up || s.Err == "" || !strings.Contains(s.Err, c.want) {
				t.Errorf("up %v, err %q, want %q", s.Up, s.Err, c.want)
			}
			if n := b.asked.Load(); n > 0 {
				t.Errorf("%d requests reached the stranger", n)
			}
		})
	}
}

// TestOwnCertificate: an SBC that wants to know who calls gets the box's certificate, the one in force.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Retry: 20 * time.Millisecond})
	second := w.ca.leaf(t, "renewed.example.com")
	certs := make(chan *tls.Certificate, 2)
	certs <- w.ca.leaf(t, "box.example.com")
	certs <- second
	w.set.o.Certificate = func() (*tls.Certificate, error) { return <-certs, nil }
	b := w.sbc("sbc.test", nil)
	w.run(trunkTo("a", b.address(), "sbc.test"))
	if peer := await(t, "the first OPTIONS", b.peers); peer == nil || peer.DNSNames[0] != "box.example.com" {
		t.Fatalf("the SBC saw %v", peer)
	}
	w.change(true)
	for _, c := range b.Conns() {
		c.Close()
	}
	eventually(t, "the renewed certificate", func() bool { p := await(t, "an OPTIONS", b.peers); return p.Equal(second.Leaf) })
}

func TestOwnCertificateIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.set.o.Certificate = func() (*tls.Certificate, error) { return nil, errors.New("no certificate for the trunk") }
	b := w.sbc("sbc.test", nil)
	w.run(trunkTo("a", b.address(), "sbc.test"))
	eventually(t, "the trunk is probed", func() bool { return !w.set.States()[0].LastProbe.IsZero() })
	if s := w.set.States()[0]; s.Up || !strings.Contains(s.Err, "no certificate for the trunk") {
		t.Errorf("up %v, err %q", s.Up, s.Err)
	}
}

// TestListenerRefuses: who may speak SIP to the trunk listener.
func TestListenerRefuses(t *testing.T) {
	w := newWorld(t, Options{})
	w.set.Update([]site.Trunk{{ID: "a", TLSName: "sbc.test"}})
	for name, c := range map[string]struct {
		cert *tls.Certificate
		good bool
	}{
		"the SBC":                       {w.ca.leaf(t, "sbc.test"), true},
		"none":                          {nil, false},
		"foreign authority":             {newAuthority(t).leaf(t, "sbc.test"), false},
		"right authority, another name": {w.ca.leaf(t, "other.test"), false},
		"expired":                       {w.ca.leaf(t, "sbc.test", expired), false},
		"server's certificate":          {w.ca.leaf(t, "sbc.test", only(x509.ExtKeyUsageServerAuth)), false},
	} {
		cfg := &tls.Config{RootCAs: w.ca.pool, ServerName: "box.example.com"}
		if c.cert != nil {
			cfg.Certificates = []tls.Certificate{*c.cert}
		}
		if got := answers(t, w.stack.Addr(stack.Trunk).String(), cfg); got != c.good {
			t.Errorf("%s: answered %v", name, got)
		}
	}
}

// answers reports whether a server answers an OPTIONS over TLS.
func answers(t *testing.T, addr string, cfg *tls.Config) bool {
	t.Helper()
	raw, err := net.Dial("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	c := tls.Client(raw, cfg)
	fmt.Fprintf(c, "OPTIONS sip:box.example.com SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n"+
		"From: <sip:a@sbc.test>;tag=a\r\nTo: <sip:box.example.com>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
	b := make([]byte, 11)
	n, err := c.Read(b)
	if err != nil {
		if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
			t.Fatal("neither answered nor closed")
		}
		return false
	}
	return string(b[:n]) == "SIP/2.0 200"
}
