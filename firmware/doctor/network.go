package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/ports"
	"holdfast/sip/site"
	"holdfast/sip/trunk"
)

// network tries every flow of the ports table that can be tried by TCP.
func network(ctx context.Context, p Patient) []Finding {
	var doc *site.Document
	if p.Site != nil {
		doc = p.Site.Doc()
	}
	var flows []ports.Flow
	for _, f := range ports.Table(p.Config, doc) {
		// Trunks and DNS have checks of their own.
		if f.Endpoint != "" && (!f.Inbound || p.Status != nil) && !strings.HasPrefix(f.ID, "trunk.") && !strings.HasPrefix(f.ID, "dns.") {
			flows = append(flows, f)
		}
	}
	out := make([]Finding, len(flows))
	var all sync.WaitGroup
	for i, f := range flows {
		all.Go(func() { out[i] = try(ctx, p, f) })
	}
	all.Wait()
	return out
}

func try(ctx context.Context, p Patient, f ports.Flow) Finding {
	const area = "network"
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	address := strings.Replace(f.Endpoint, "0.0.0.0:", "127.0.0.1:", 1)
	conn, err := p.Dial(ctx, "tcp4", address)
	if err == nil {
		conn.Close()
		return ok(area, "%s at %s answers", f.To, f.Endpoint)
	}
	fix := fmt.Sprintf("open TCP port %s from %s to %s in the firewall (`holdfast ports` has the whole table), or correct %s", f.Ports, f.Source, f.Address, f.Setting)
	if f.Inbound {
		return fail(area, "see the box's log: another program may have the port", "the box does not answer at %s (%s): %v", f.Endpoint, f.What, err)
	}
	outage := p.Status != nil && p.Status.Mode.Name == "resilience"
	if f.Needed == ports.Always && !outage {
		return fail(area, fix, "%s at %s does not answer (%s): %v", f.To, f.Endpoint, f.What, err)
	}
	return warn(area, fix, "%s at %s does not answer (%s): %v", f.To, f.Endpoint, f.What, err)
}

// trunks shakes hands with every SBC as the box would.
func trunks(ctx context.Context, p Patient) []Finding {
	const area = "trunk"
	if p.Site == nil {
		return nil // document says it
	}
	list := p.Site.Trunks()
	if len(list) == 0 {
		return []Finding{warn(area, "add a trunk to the site document", "there is none: no call goes outside, 911 included")}
	}
	out := make([]Finding, len(list))
	var all sync.WaitGroup
	for i, t := range list {
		all.Go(func() { out[i] = shake(ctx, p, t) })
	}
	all.Wait()
	return out
}

// alertWithin is how long an SBC on the site has to refuse a certificate.
const alertWithin = 400 * time.Millisecond

func shake(ctx context.Context, p Patient, t *site.Trunk) Finding {
	const area = "trunk"
	own, err := filesOf(p, certs.Trunk).Load()
	if err != nil {
		return fail(area, "see certificates", "%s: %v", t.ID, err)
	}
	roots, err := certs.ReadAuthorities(p.Config.Trunk.Roots)
	if err != nil {
		return fail(area, "see certificates", "%s: %v", t.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	address := t.Address
	if !strings.Contains(address, ":") {
		address += ":5061"
	}
	raw, err := p.Dial(ctx, "tcp4", address)
	if err != nil {
		return fail(area, fmt.Sprintf("open TCP from %s to %s in the firewall, or ask whoever runs the SBC", p.Config.Trunk.Listen.Addr(), address), "%s does not answer at %s: %v", t.ID, address, err)
	}
	defer raw.Close()
	asked := false
	c := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.TLSName,
		InsecureSkipVerify: true, // the chain is verified below, so that what is wrong with it can be said
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return own, nil
		}})
	if err := c.HandshakeContext(ctx); err != nil {
		return fail(area, "have the SBC trust the authority of the box's trunk certificate, and speak TLS 1.2 or 1.3", "%s: no TLS with %s: %v", t.ID, address, err)
	}
	// TLS 1.3: a server that does not like our certificate says so after its side of the handshake is over.
	c.SetReadDeadline(time.Now().Add(alertWithin))
	if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && strings.Contains(err.Error(), "remote error") {
		return fail(area, "have the SBC trust the authority of the box's trunk certificate", "%s: %s refuses the box's certificate: %v", t.ID, address, err)
	}
	cs := c.ConnectionState()
	opts := x509.VerifyOptions{Roots: roots.Pool, Intermediates: x509.NewCertPool(), CurrentTime: p.Now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, x := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(x)
	}
	if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
		return fail(area, "put the authority of the SBC's certificate into trunk.roots, or have the SBC show its whole chain", "%s: the SBC's certificate: %v", t.ID, err)
	}
	if err := trunk.Matches(t, cs.PeerCertificates[0]); err != nil {
		return fail(area, "correct tls_name or fingerprint_sha256 of the trunk in the site document, or ask whose machine this is", "%s: %v", t.ID, err)
	}
	if !asked {
		return warn(area, "have the SBC ask for client certificates (mutual TLS)", "%s: the SBC does not ask who the box is", t.ID)
	}
	if f := validity(p.Now, "trunk "+t.ID, cs.PeerCertificates[0]); f.Verdict != OK {
		return warn(area, "tell whoever runs the SBC", "%s: the SBC's certificate: %s", t.ID, f.Text)
	}
	if p.Status != nil {
		for _, s := range p.Status.Trunks {
			if s.ID == t.ID && !s.Up {
				return fail(area, "the connection is good, the answer to OPTIONS is not: ask whoever runs the SBC", "%s: the box holds it for down: %s", t.ID, s.Error)
			}
		}
	}
	return ok(area, "%s at %s: both certificates are taken", t.ID, address)
}

// Failed counts what does not work.
func Failed(list []Finding) (n int) {
	for _, f := range list {
		if f.Verdict == Fail {
			n++
		}
	}
	return n
}

// Areas are those of a list, in its order.
func Areas(list []Finding) (out []string) {
	for _, f := range list {
		if !slices.Contains(out, f.Area) {
			out = append(out, f.Area)
		}
	}
	return out
}
