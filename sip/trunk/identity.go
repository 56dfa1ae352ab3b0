package trunk

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"holdfast/sip/site"
)

// Matches reports whether a certificate, whose chain has been verified already, is that of the trunk: it carries the
// configured name as SAN (RFC 5922 §7.1), and has the configured fingerprint; what is not configured is not asked.
// A trunk with neither matches nothing.
func Matches(t *site.Trunk, cert *x509.Certificate) error {
	if t.TLSName == "" && t.Fingerprint == "" {
		return errors.New("the trunk has neither tls_name nor fingerprint_sha256")
	}
	if t.TLSName != "" {
		if err := cert.VerifyHostname(t.TLSName); err != nil {
			return fmt.Errorf("certificate is not for %s: %w", t.TLSName, err)
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

// ErrStranger refuses a connection whose certificate is of the right roots but of no trunk.
var ErrStranger = errors.New("the certificate is valid but belongs to no trunk of the site document")

// Identify says which trunk a verified certificate belongs to.
func (s *Set) Identify(cert *x509.Certificate) (string, error) {
	if cert == nil {
		return "", errors.New("no client certificate")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		if Matches(&s.trunks[id].cfg, cert) == nil {
			return id, nil
		}
	}
	return "", fmt.Errorf("%w: names %s", ErrStranger, strings.Join(cert.DNSNames, ", "))
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
			opts := x509.VerifyOptions{Roots: t.set.o.Roots, Intermediates: x509.NewCertPool(),
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

// ServerConfig is the trunk listener's: a client certificate is required and its chain verified; who it is, Identify
// says.
func ServerConfig(certificate func() (*tls.Certificate, error), roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      roots,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
	}
}
