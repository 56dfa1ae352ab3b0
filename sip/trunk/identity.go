package trunk

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"holdfast/sip/site"
)

// Matches reports whether a certificate, whose chain has been verified already, is that of the trunk: it carries the
// configured name (RFC 5922 §7.1; or address) and has the configured fingerprint; what is not configured is not asked.
// A trunk with neither matches nothing.
func Matches(t *site.Trunk, cert *x509.Certificate) error {
	if t.TLSName == "" && t.Fingerprint == "" {
		return errors.New("the trunk has neither tls_name nor fingerprint_sha256")
	}
	if t.TLSName != "" {
		if have := names(cert); !slices.Contains(have, canonical(t.TLSName)) {
			return fmt.Errorf("certificate is not for %s but for %s", t.TLSName, list(have))
		}
	}
	if t.Fingerprint != "" {
		sum := sha256.Sum256(cert.Raw)
		want, err := hex.DecodeString(strings.ReplaceAll(strings.ToLower(t.Fingerprint), ":", ""))
		if err != nil || subtle.ConstantTimeCompare(sum[:], want) != 1 {
			return fmt.Errorf("certificate has fingerprint %x", sum)
		}
	}
	return nil
}

// names are whom a certificate stands for: its addresses, and its SIP domains as RFC 5922 §7.1 finds them: the sip URIs
// that name no user, or without any the DNS names. The subject's common name counts for nothing. A wildcard stands for
// itself only (§7.2): whoever may answer for some host of a domain is not the SBC.
func names(cert *x509.Certificate) (out []string) {
	for _, u := range cert.URIs {
		host, _, _ := strings.Cut(u.Opaque, ";")
		if strings.EqualFold(u.Scheme, "sip") && host != "" && !strings.Contains(host, "@") {
			host, _, _ = strings.Cut(host, ":")
			out = append(out, canonical(host))
		}
	}
	if len(out) == 0 {
		for _, n := range cert.DNSNames {
			out = append(out, canonical(n))
		}
	}
	for _, ip := range cert.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// mostNames of a certificate that is refused are told; it may carry thousands.
const mostNames = 5

func list(names []string) string {
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > mostNames:
		return strings.Join(names[:mostNames], ", ") + " …"
	}
	return strings.Join(names, ", ")
}

// ErrStranger refuses a connection whose certificate is of the right roots but of no trunk.
var ErrStranger = errors.New("the certificate is valid but belongs to no trunk of the site document")

// Identify says which trunk a verified certificate belongs to.
func (s *Set) Identify(cert *x509.Certificate) (string, error) {
	if cert == nil {
		return "", errors.New("no client certificate")
	}
	for _, t := range append(s.all(), s.stay()...) {
		if Matches(&t.cfg, cert) == nil {
			return t.cfg.ID, nil
		}
	}
	return "", fmt.Errorf("%w: it is for %s", ErrStranger, list(names(cert)))
}

// Is reports whether a verified certificate is that of the trunk, be it another's too: SBCs may share a name.
func (s *Set) Is(id string, cert *x509.Certificate) bool {
	return cert != nil && slices.ContainsFunc(append(s.all(), s.stay()...), func(t *trunk) bool {
		return t.cfg.ID == id && Matches(&t.cfg, cert) == nil
	})
}

// tlsConfig for dialling: the chain against the configured roots, then the name. Go's own check cannot do without a
// host name, and a trunk may be known by its fingerprint alone; VerifyConnection checks both at every handshake.
func (t *trunk) tlsConfig() *tls.Config {
	cfg := t.cfg
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cfg.TLSName,
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.set.o.Certificate()
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the SBC sent no certificate")
			}
			opts := x509.VerifyOptions{Roots: trusted(t.set.o.Roots), Intermediates: x509.NewCertPool(),
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
			for _, c := range cs.PeerCertificates[1:] {
				opts.Intermediates.AddCert(c)
			}
			if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
				return fmt.Errorf("certificate of trunk %s: %w", cfg.ID, err)
			}
			return Matches(&cfg, cs.PeerCertificates[0])
		},
	}
}

// ServerConfig is the trunk listener's: a client certificate is required and its chain verified against the roots of that
// moment; who it is, Identify says. Sessions are not resumed: what was verified against older roots must not count.
func ServerConfig(certificate func() (*tls.Certificate, error), roots func() *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{
				MinVersion:             tls.VersionTLS12,
				ClientAuth:             tls.RequireAndVerifyClientCert,
				ClientCAs:              trusted(roots),
				SessionTicketsDisabled: true,
				GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
			}, nil
		},
	}
}

// trusted never is nil: to crypto/tls that would mean the machine's own list of authorities.
func trusted(roots func() *x509.CertPool) *x509.CertPool {
	if roots != nil {
		if pool := roots(); pool != nil {
			return pool
		}
	}
	return x509.NewCertPool()
}
