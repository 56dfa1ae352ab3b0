package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"holdfast/firmware/typed"
)

// How much is read: of what somebody brings, and of a list that stands on the card, in bytes.
const (
	mostAuthorities = 50
	mostOfAList     = 1 << 20
)

// Authorities are those that the other side's certificates have to come from.
type Authorities struct {
	Pool     *x509.CertPool // of ReadAuthorities
	List     []*x509.Certificate
	Warnings []string // that do not keep them from being used
	pem      []byte   // of CheckAuthorities
}

// ReadAuthorities reads a PEM file as it is: a whole machine's list too, where some have ended and one or two cannot be read.
func ReadAuthorities(file string) (a Authorities, err error) {
	f, err := os.Open(file)
	if err != nil {
		return a, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostOfAList+1))
	if err != nil {
		return a, err
	}
	if len(data) > mostOfAList {
		return a, fmt.Errorf("%s is larger than %d bytes", file, mostOfAList)
	}
	if data, err = typed.Text(data); err != nil {
		return a, fmt.Errorf("%s %w", file, err)
	}
	a.Pool = x509.NewCertPool()
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			a.Pool.AddCert(c)
			a.List = append(a.List, c)
		}
	}
	if len(a.List) == 0 {
		return a, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return a, nil
}

// CheckAuthorities reads what somebody brought to be trusted from now on, in PEM. A fault says what to bring instead.
func CheckAuthorities(data []byte, now time.Time) (a Authorities, err error) {
	if len(data) > MaxSize {
		return a, fmt.Errorf("%d bytes are no list of authorities", len(data))
	}
	all, key, err := read(data)
	switch {
	case err != nil:
		return a, err
	case key != nil:
		return a, errors.New("there is a private key in it: whom to trust is said by certificates alone; keep the key where it belongs")
	case len(all) > mostAuthorities:
		return a, fmt.Errorf("%d authorities are too many: %d at most", len(all), mostAuthorities)
	}
	for _, c := range all {
		life, text := Life(c, now)
		switch {
		case life == Ended:
			return a, fmt.Errorf("%q: %s: leave it out", c.Subject, text)
		case !c.IsCA && !selfSigned(c):
			return a, fmt.Errorf("%q is no authority: bring the one that signed it (%q), or the root above that", c.Subject, c.Issuer)
		case !c.IsCA:
			a.Warnings = append(a.Warnings, fmt.Sprintf("%q signed itself: it is trusted as this very certificate, and the next one will not be", c.Subject))
		}
		if life != Good {
			a.Warnings = append(a.Warnings, fmt.Sprintf("%q: %s", c.Subject, text))
		}
		a.List = append(a.List, c)
		a.pem = append(a.pem, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return a, nil
}

// Install keeps what was checked in a file, in one step that survives a power cut.
func (a Authorities) Install(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keep the authorities: %w", err)
	}
	if err := replace(file, a.pem); err != nil {
		return fmt.Errorf("keep the authorities: %w", err)
	}
	return nil
}

// Infos describes them.
func (a Authorities) Infos(use Use) (out []Info) {
	for _, c := range a.List {
		i := describe(use, []*x509.Certificate{c})
		i.Trust, i.Temporary = Trust{}, false
		out = append(out, i)
	}
	return out
}
