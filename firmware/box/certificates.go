package box

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// certificate loads a leaf with its chain and key, and says in plain words what is wrong with it.
func certificate(what, certFile, keyFile string) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s certificate (%s, %s): %w", what, certFile, keyFile, err)
	}
	return &c, nil
}

// roots loads the authorities of a PEM file; "" means the system's, returned as nil.
func roots(what, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s roots: %w", what, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s roots: %w", what, errors.New(file+" holds no certificate in PEM form"))
	}
	return pool, nil
}
