package box

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"

	"holdfast/firmware/typed"
)

// What the box asks and tells outside needs files of its own: authorities, a token, secrets. One that cannot be read costs what it is
// for, is an alarm, and keeps no box from starting: phones and 911 need none of it.

// lacks notes a file that cannot be used, and what the box does without it.
func (b *Box) lacks(err error, without string) {
	if err != nil {
		b.hurt("%v; %s until that is mended and the program starts again", err, without)
	}
}

// trusted are the authorities of a PEM file; nil are the system's, for "". A file that cannot be read means nobody, never the system's.
func (b *Box) trusted(what, file, without string) *x509.CertPool {
	pool, err := roots(what, file)
	if err != nil {
		b.lacks(err, without)
		return x509.NewCertPool()
	}
	return pool
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
	if pem, err = typed.Text(pem); err != nil {
		return nil, fmt.Errorf("%s roots: %s %w", what, file, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s roots: %s holds no certificate in PEM form", what, file)
	}
	return pool, nil
}

// secret reads a file that people have typed, without what editors put around it; least is how many bytes it must have.
func secret(what, file string, least int) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if data, err = typed.Text(data); err != nil {
		return nil, fmt.Errorf("%s: %s %w", what, file, err)
	}
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("%s: %s is empty", what, file)
	case len(data) < least:
		return nil, fmt.Errorf("%s: %s has %d bytes; use %d or more", what, file, len(data), least)
	}
	return data, nil
}
