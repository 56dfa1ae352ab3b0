// Package ca is a throw-away certificate authority: it lives as long as the lab and its key never leaves the process.
package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// day is how long a leaf is good unless Authority says otherwise.
const day = 24 * time.Hour

// Authority signs leaves (ECDSA P-256).
type Authority struct {
	Life time.Duration // of leaves; New makes it a day. The authority itself lives a year

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with a fresh key.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	t := template(name, 365*day)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	return &Authority{Life: day, cert: cert, key: key}, nil
}

func template(name string, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(life)}
}

// Leaf signs a certificate for server and client use with the given DNS names and addresses.
func (a *Authority) Leaf(names []string, addrs ...netip.Addr) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: %w", err)
	}
	t := template(names[0], a.Life)
	t.KeyUsage, t.DNSNames = x509.KeyUsageDigitalSignature, names
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, ip := range addrs {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("ca: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// Pool holds the authority's certificate.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// WriteRoots writes the authority's certificate as PEM.
func (a *Authority) WriteRoots(file string) error {
	return writePEM(file, "CERTIFICATE", a.cert.Raw)
}

// Write writes a leaf as NAME.crt and NAME.key into a folder.
func Write(dir, name string, c tls.Certificate) error {
	if err := writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", c.Certificate[0]); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return writePEM(filepath.Join(dir, name+".key"), "PRIVATE KEY", der)
}

func writePEM(file, kind string, der []byte) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	return nil
}
