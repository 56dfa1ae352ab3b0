package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"holdfast/firmware/certs"
)

// certificates looks at what the box shows to phones and to the SBC, and at the authorities that it trusts.
func certificates(ctx context.Context, p Patient) []Finding {
	c := p.Config
	out := append(pair(p, certs.Phones), pair(p, certs.Trunk)...)
	for _, a := range []struct{ what, file string }{{"trunk roots", c.Trunk.Roots}, {"cloud roots", c.Cloud.Roots}, {"portal roots", c.Portal.Roots}} {
		if a.file != "" {
			out = append(out, authorities(p, a.what, a.file))
		}
	}
	return append(out, shown(ctx, p)...)
}

// filesOf is where the certificate and the key of a use are.
func filesOf(p Patient, use certs.Use) certs.Pair {
	if use == certs.Trunk {
		return certs.Pair{Certificate: p.Config.Trunk.Certificate, Key: p.Config.Trunk.Key}
	}
	return certs.Pair{Certificate: p.Config.Phones.Certificate, Key: p.Config.Phones.Key}
}

// pair is a certificate with its key, judged as one that somebody brings.
func pair(p Patient, use certs.Use) []Finding {
	const area, renew = "certificates", "have the box make a request (`holdfast cert request`, or the admin page), and bring what your authority makes of it"
	files := filesOf(p, use)
	if files.Missing() {
		return []Finding{fail(area, renew, "%s: there is none yet: the box shows one that nobody trusts", use)}
	}
	loaded, err := files.Load()
	if err != nil {
		return []Finding{fail(area, "put a certificate and the key that belongs to it there, in PEM form", "%s: %v", use, err)}
	}
	var out []Finding
	if f := validity(p.Now, string(use), loaded.Leaf); f.Verdict != OK {
		out = append(out, f)
	}
	data, err := os.ReadFile(files.Certificate)
	if err != nil {
		return append(out, fail(area, renew, "%s: %v", use, err))
	}
	judged, err := certs.Check(use, data, files.Keys(), loaded.Leaf.NotBefore) // of its time the finding above speaks
	if err != nil {
		out = append(out, fail(area, renew, "%s: %v", use, err))
	}
	if len(out) == 0 {
		out = append(out, validity(p.Now, string(use), loaded.Leaf))
	}
	if use == certs.Phones {
		out = append(out, names(p, loaded.Leaf))
		if err == nil {
			out = append(out, trust(judged, loaded.Certificate))
		}
	}
	return out
}

func validity(now time.Time, what string, c *x509.Certificate) Finding {
	const area = "certificates"
	life, text := certs.Life(c, now)
	switch life {
	case certs.NotYet:
		return fail(area, "look at the clock first", "%s: %s", what, text)
	case certs.Ended:
		return fail(area, "renew it now: nobody who checks it connects any more", "%s: %s", what, text)
	case certs.Urgent:
		return fail(area, "renew it now; the box takes a new one up by itself, without a restart", "%s: %s", what, text)
	case certs.Soon:
		return warn(area, "renew it; the box takes a new one up by itself, without a restart", "%s: %s", what, text)
	}
	return ok(area, "%s: %s", what, text)
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
		return fail(area, "have it issued for the name that phones use", "phones: it stands for nobody")
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

// trust says which authority phones must have. TLS wants the chain in order; Check has put it so.
func trust(c certs.Candidate, file [][]byte) Finding {
	const area = "certificates"
	for n, rest := 0, c.Chain; len(rest) > 0; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || n >= len(file) || !bytes.Equal(block.Bytes, file[n]) {
			return warn(area, "put the box's own first, then the authority that signed it, and so on; `holdfast cert install` does that", "phones: the chain in the file is not in order")
		}
	}
	switch t := c.Info.Trust; {
	case t.SHA256 == c.Info.SHA256:
		return warn(area, "each phone has to be given this very certificate, and the next one too: use an authority of your own", "phones: it is signed by itself")
	case t.SHA256 != "":
		return ok(area, "phones must trust %s, SHA-256 %s", t.Subject, t.SHA256)
	default:
		return ok(area, "phones must trust %s, which the file does not contain", t.Subject)
	}
}

// authorities are those of a PEM file.
func authorities(p Patient, what, file string) Finding {
	const area = "certificates"
	fix := "put the authority's certificate there, in PEM form"
	if file == p.Config.Trunk.Roots {
		fix = "bring the authority of the SBC's certificate: `holdfast cert install --for sbc FILE`, or the admin page"
	}
	a, err := certs.ReadAuthorities(file)
	if err != nil {
		return fail(area, fix, "%s: %v", what, err)
	}
	good := 0
	var worst Finding
	for _, c := range a.List {
		f := validity(p.Now, fmt.Sprintf("%s: %q", what, c.Subject), c)
		if f.Verdict == OK {
			good++
		} else if worst.Verdict != Fail {
			worst = f
		}
	}
	switch {
	case good == len(a.List):
		return ok(area, "%s: %d, all valid", what, good)
	case good > 0: // of a whole machine's list some have always ended
		worst.Verdict = Warn
	}
	return worst
}

// shown compares what the running box shows to phones with the file: a renewed one is taken up within seconds.
func shown(ctx context.Context, p Patient) []Finding {
	const area = "certificates"
	if p.Status == nil {
		return nil
	}
	file, err := filesOf(p, certs.Phones).Load()
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
		return []Finding{warn(area, "if this is not the first seconds after a change, the box cannot use the file: see its alarms and its log", "phones: the running box shows another certificate than the file holds")}
	}
	return []Finding{ok(area, "phones: the running box shows it, over %s", tls.VersionName(c.ConnectionState().Version))}
}
