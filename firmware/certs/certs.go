// Package certs makes the box's keys and certificate requests, checks the certificates that come back, and keeps both in
// files that a power cut does not tear apart. A key is made on the box and does not leave it. It decides nothing about
// whom the box trusts.
package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// MaxSize is the largest file of certificates that is read, in bytes.
const MaxSize = 64 << 10

// mostCertificates of a chain.
const mostCertificates = 10

// Use is what a certificate is for.
type Use string

// The uses: phones see the one and its names; the SBC sees the other, as client and as server. Those for SBC are not the box's own:
// they are the authorities that an SBC's certificate has to come from.
const (
	Phones Use = "phones"
	Trunk  Use = "trunk"
	SBC    Use = "sbc"
)

// NewKey makes a key as PKCS #8 in PEM: ECDSA P-256, or RSA 2048 for phones that know nothing else.
func NewKey(useRSA bool) ([]byte, error) {
	var key crypto.PrivateKey
	var err error
	if useRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Request is a certificate signing request (PKCS #10, RFC 2986) in PEM.
func Request(keyPEM []byte, n Names) ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	key, err := signer(keyPEM)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: n.common()}, DNSNames: n.DNS, IPAddresses: n.ips()}, key)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Temporary is a certificate that the box signs itself, until somebody brings one. Nobody but a person who compares its
// fingerprint has a reason to trust it.
func Temporary(keyPEM []byte, n Names, from time.Time) ([]byte, error) {
	key, err := signer(keyPEM)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: n.common(), OrganizationalUnit: []string{"Holdfast, temporary"}}, DNSNames: n.DNS, IPAddresses: n.ips(),
		NotBefore: from.Add(-24 * time.Hour), NotAfter: from.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func signer(keyPEM []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(keyPEM); block != nil; block, rest = pem.Decode(rest) {
		if key, err := parseKey(block.Bytes); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("there is no private key in PEM form (PKCS #8, PKCS #1 or SEC 1, without a password)")
}

func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParseECPrivateKey(der)
}

// Info is a certificate in words.
type Info struct {
	Use       Use       `json:"use"`
	Subject   string    `json:"subject"`
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
	SHA256    string    `json:"sha256"`
	Temporary bool      `json:"temporary"` // made by the box itself
	Trust     Trust     `json:"trust"`
}

// Trust is what the other side has to have in its list of authorities.
type Trust struct {
	Subject string `json:"subject"`
	SHA256  string `json:"sha256,omitempty"` // "" when the authority's own certificate is not in the chain
	PEM     string `json:"pem,omitempty"`
}

// Describe says what a loaded certificate is.
func Describe(use Use, c *tls.Certificate) (Info, error) {
	if c == nil || len(c.Certificate) == 0 {
		return Info{}, errors.New("there is no certificate")
	}
	chain := make([]*x509.Certificate, len(c.Certificate))
	for i, der := range c.Certificate {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return Info{}, err
		}
	}
	return describe(use, chain), nil
}

func describe(use Use, chain []*x509.Certificate) Info {
	leaf, top := chain[0], chain[len(chain)-1]
	i := Info{Use: use, Subject: leaf.Subject.String(), Names: []string{}, Issuer: leaf.Issuer.String(), From: leaf.NotBefore, Until: leaf.NotAfter, SHA256: fingerprint(leaf),
		Temporary: len(chain) == 1 && selfSigned(leaf) && slices.Contains(leaf.Subject.OrganizationalUnit, "Holdfast, temporary"), Trust: Trust{Subject: top.Issuer.String()}}
	i.Names = append(i.Names, leaf.DNSNames...)
	for _, a := range leaf.IPAddresses {
		i.Names = append(i.Names, a.String())
	}
	if selfSigned(top) {
		i.Trust.SHA256 = fingerprint(top)
		i.Trust.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: top.Raw}))
	}
	return i
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }
