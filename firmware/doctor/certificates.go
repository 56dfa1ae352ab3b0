package doctor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/certs"
)

// How long before its end a certificate is worth a word.
const (
	soon   = 30 * 24 * time.Hour
	urgent = 7 * 24 * time.Hour
)

// certificates looks at what the box shows to phones and to the SBC, and at the authorities that it trusts.
func certificates(ctx context.Context, p Patient) []Finding {
	c := p.Config
	out := pair(p, "phones", c.Phones.Certificate, c.Phones.Key, x509.ExtKeyUsageServerAuth)
	out = append(out, pair(p, "trunk", c.Trunk.Certificate, c.Trunk.Key, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)...)
	for _, a := range []struct{ what, file string }{{"trunk roots", c.Trunk.Roots}, {"cloud roots", c.Cloud.Roots}, {"portal roots", c.Portal.Roots}} {
		if a.file != "" {
			out = append(out, authorities(p, a.what, a.file))
		}
	}
	return append(out, shown(ctx, p)...)
}

// pair is a certificate with its key, for these uses.
func pair(p Patient, what, certFile, keyFile string, uses ...x509.ExtKeyUsage) []Finding {
	const area = "certificates"
	if (certs.Pair{Certificate: certFile, Key: keyFile}).Missing() {
		return []Finding{fail(area, "have the box make a request (`holdfast cert request`), and bring what your authority makes of it", "%s: there is none yet: the box shows one that nobody trusts", what)}
	}
	loaded, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return []Finding{fail(area, "put a certificate and the key that belongs to it there, in PEM form", "%s: %v", what, err)}
	}
	leaf := loaded.Leaf
	out := []Finding{validity(p.Now, what, leaf)}
	for _, u := range uses {
		if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, u) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
			name := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "server", x509.ExtKeyUsageClientAuth: "client"}[u]
			out = append(out, fail(area, "have it issued for TLS server and client use", "%s: it may not be used as a TLS %s's", what, name))
		}
	}
	if weak(leaf) {
		out = append(out, warn(area, "have one issued with an ECDSA P-256 or an RSA key of 2048 bits or more", "%s: its key is weak", what))
	}
	if what == "phones" {
		out = append(out, names(p, leaf), trust(loaded.Certificate, leaf))
	}
	return out
}

func validity(now time.Time, what string, c *x509.Certificate) Finding {
	const area, day = "certificates", "2006-01-02"
	left := c.NotAfter.Sub(now)
	switch {
	case now.Before(c.NotBefore):
		return fail(area, "look at the clock first", "%s: it begins on %s only; is the clock right (%s)?", what, c.NotBefore.Format(day), now.Format(day))
	case left < 0:
		return fail(area, "renew it now: nobody who checks it connects any more", "%s: it ended on %s", what, c.NotAfter.Format(day))
	case left < urgent:
		return fail(area, "renew it now; the box takes the new one at SIGHUP, without a restart", "%s: it ends on %s, in %d days", what, c.NotAfter.Format(day), int(left.Hours()/24))
	case left < soon:
		return warn(area, "renew it; the box takes the new one at SIGHUP, without a restart", "%s: it ends on %s, in %d days", what, c.NotAfter.Format(day), int(left.Hours()/24))
	}
	return ok(area, "%s: valid until %s", what, c.NotAfter.Format(day))
}

func weak(c *x509.Certificate) bool {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		return k.Params().BitSize < 256
	}
	return false
}

// names says whether phones find in the certificate whom they call: the SIP domain (RFC 5922), a host name, or the address.
func names(p Patient, leaf *x509.Certificate) Finding {
	const area = "certificates"
	var have []string
	have = append(have, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		have = append(have, ip.String())
	}
	if len(have) == 0 {
		return fail(area, "have it issued with a subject alternative name: phones do not look at the common name", "phones: it stands for nobody")
	}
	listen := p.Config.Phones.Listen.Addr()
	address := listen.IsUnspecified() || leaf.VerifyHostname(listen.String()) == nil
	switch {
	case p.Site != nil && leaf.VerifyHostname(p.Site.Doc().Site.Domain) == nil, len(leaf.DNSNames) > 0 && address:
		return ok(area, "phones: it stands for %s", strings.Join(have, ", "))
	case len(leaf.DNSNames) > 0:
		return warn(area, fmt.Sprintf("phones that are given the box's address instead of a name need %s in it", listen), "phones: it stands for %s only", strings.Join(have, ", "))
	case address:
		return warn(area, "phones that are given a name instead of the address need that name in it", "phones: it stands for the address %s only", strings.Join(have, ", "))
	}
	return fail(area, fmt.Sprintf("have it issued for the name that phones use, and for %s", listen), "phones: it stands for %s, which is neither the box's address nor the SIP domain", strings.Join(have, ", "))
}

// trust says which authority phones must have.
func trust(chain [][]byte, leaf *x509.Certificate) Finding {
	const area = "certificates"
	top := leaf
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil || top.CheckSignatureFrom(c) != nil {
			return warn(area, "put the leaf first, then the authority that signed it, and so on", "phones: the chain in the file does not hang together")
		}
		top = c
	}
	switch own := bytes.Equal(top.RawSubject, top.RawIssuer); {
	case own && top == leaf:
		return warn(area, "each phone has to be given this very certificate, and the next one too: use an authority of your own", "phones: it is signed by itself")
	case own:
		return ok(area, "phones must trust %s, SHA-256 %x", top.Subject, sha256.Sum256(top.Raw))
	}
	return ok(area, "phones must trust %s, which the file does not contain", top.Issuer)
}

// authorities are those of a PEM file.
func authorities(p Patient, what, file string) Finding {
	const area = "certificates"
	data, err := os.ReadFile(file)
	if err != nil {
		return fail(area, "put the authority's certificate there, in PEM form", "%s: %v", what, err)
	}
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fail(area, "put the authority's certificate there, in PEM form", "%s: %v", what, err)
		}
		if f := validity(p.Now, what, c); f.Verdict != OK {
			return f
		}
		n++
	}
	if n == 0 {
		return fail(area, "put the authority's certificate there, in PEM form", "%s: %s holds no certificate", what, file)
	}
	return ok(area, "%s: %d, all valid", what, n)
}

// shown compares what the running box shows to phones with the file: a renewed one takes effect at SIGHUP only.
func shown(ctx context.Context, p Patient) []Finding {
	const area = "certificates"
	if p.Status == nil {
		return nil
	}
	file, err := tls.LoadX509KeyPair(p.Config.Phones.Certificate, p.Config.Phones.Key)
	if err != nil {
		return nil // said above
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	at := p.Config.Phones.Listen
	raw, err := p.Dial(ctx, "tcp4", reachable(at))
	if err != nil {
		return []Finding{fail(area, "see the box's log: another program may have the port", "phones: nobody answers at %s: %v", at, err)}
	}
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // it is looked at, not trusted
	if err := c.HandshakeContext(ctx); err != nil {
		return []Finding{fail(area, "see the box's log", "phones: no TLS at %s: %v", at, err)}
	}
	if !bytes.Equal(c.ConnectionState().PeerCertificates[0].Raw, file.Certificate[0]) {
		return []Finding{warn(area, "send the box SIGHUP, and it takes the new one", "phones: the running box shows another certificate than the file holds")}
	}
	return []Finding{ok(area, "phones: the running box shows it, over %s", tls.VersionName(c.ConnectionState().Version))}
}
