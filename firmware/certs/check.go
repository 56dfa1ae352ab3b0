package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/firmware/typed"
)

// Candidate is what somebody brought, checked and in order.
type Candidate struct {
	Info     Info
	Chain    []byte   // PEM: leaf first, then each one's issuer
	Key      []byte   // PEM; nil when it did not come with it: it belongs to Use's own key
	Warnings []string // that do not keep it from being used
}

// Check reads what somebody brought: certificates in any order, in PEM, perhaps with their key. keys are the ones that the
// box has (PEM); the certificate must belong to one of them, or to the key that came with it, which is then in Candidate.Key.
// A fault says what to ask the authority for.
func Check(use Use, data []byte, keys [][]byte, now time.Time) (Candidate, error) {
	if len(data) > MaxSize {
		return Candidate{}, fmt.Errorf("%d bytes are no chain of certificates", len(data))
	}
	all, brought, err := read(data)
	if err != nil {
		return Candidate{}, err
	}
	if len(all) > mostCertificates {
		return Candidate{}, fmt.Errorf("%d certificates are no chain", len(all))
	}
	var c Candidate
	leaf, key := match(all, append([][]byte{brought}, keys...))
	if leaf == nil && brought != nil {
		return Candidate{}, errors.New("neither the key that came with it nor a key of this box belongs to a certificate in it: bring the two that were made together")
	}
	if leaf == nil {
		return Candidate{}, errors.New("no certificate in it belongs to a key of this box: was it made from the newest request?")
	}
	if c.Key = nil; key != nil && bytes.Equal(key, brought) {
		c.Key = brought
	}
	chain, err := order(leaf, all)
	if err != nil {
		return Candidate{}, err
	}
	if err := suits(use, leaf); err != nil {
		return Candidate{}, err
	}
	switch life, text := Life(leaf, now); life {
	case Ended:
		return Candidate{}, errors.New(text)
	case NotYet:
		c.Warnings = append(c.Warnings, text)
	}
	if top := chain[len(chain)-1]; len(chain) == 1 && !selfSigned(top) {
		c.Warnings = append(c.Warnings, fmt.Sprintf("the chain ends with the box's own certificate: unless %q is what the other side trusts, add the certificates between", top.Issuer))
	}
	for _, x := range chain {
		c.Chain = append(c.Chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})...)
	}
	c.Info = describe(use, chain)
	return c, nil
}

// read takes a file apart; the key is nil when there is none.
func read(data []byte) (all []*x509.Certificate, key []byte, err error) {
	if data, err = typed.Text(data); err != nil {
		return nil, nil, fmt.Errorf("the file %w", err)
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("a certificate in it cannot be read: %w", err)
			}
			if !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
			return nil, nil, errors.New("this is the request: bring what the authority makes of it")
		case "ENCRYPTED PRIVATE KEY":
			return nil, nil, errors.New("the key in it has a password: take it off, or make a request on the box")
		default:
			if _, err := parseKey(block.Bytes); err == nil {
				key = pem.EncodeToMemory(block)
			}
		}
	}
	if len(all) == 0 {
		return nil, nil, errors.New(`there is no certificate in PEM form in it ("-----BEGIN CERTIFICATE-----"); ask for Base64 or PEM`)
	}
	return all, key, nil
}

// match finds the certificate that belongs to one of the keys, the first key that has one.
func match(all []*x509.Certificate, keys [][]byte) (*x509.Certificate, []byte) {
	for _, k := range keys {
		if len(k) == 0 {
			continue
		}
		own, err := signer(k)
		if err != nil {
			continue
		}
		public, ok := own.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok {
			continue
		}
		for _, c := range all {
			if public.Equal(c.PublicKey) {
				return c, k
			}
		}
	}
	return nil, nil
}

// order puts each certificate's issuer behind it. One that does not belong to the chain is a mistake worth telling.
func order(leaf *x509.Certificate, all []*x509.Certificate) ([]*x509.Certificate, error) {
	chain := []*x509.Certificate{leaf}
	for {
		last := chain[len(chain)-1]
		if selfSigned(last) {
			break
		}
		i := slices.IndexFunc(all, func(c *x509.Certificate) bool {
			return c != last && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil && !slices.Contains(chain, c)
		})
		if i < 0 {
			break
		}
		chain = append(chain, all[i])
	}
	for _, c := range all {
		if !slices.Contains(chain, c) {
			return nil, fmt.Errorf("%q has signed nothing in this chain: take it out, or bring what is missing between", c.Subject)
		}
	}
	return chain, nil
}

// suits says whether a certificate can be used for it.
func suits(use Use, leaf *x509.Certificate) error {
	if leaf.IsCA {
		return fmt.Errorf("%q is an authority's own certificate, not one for a box", leaf.Subject)
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		return errors.New("it has no subject alternative name: phones and SBCs do not look at the common name any more (RFC 9525)")
	}
	switch k := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return fmt.Errorf("an RSA key of %d bits is too short: 2048 at least", k.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if k.Params().BitSize < 256 {
			return fmt.Errorf("an ECDSA key of %d bits is too short: P-256 at least", k.Params().BitSize)
		}
	}
	switch leaf.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return fmt.Errorf("its signature is %s, which nobody trusts any more: ask for SHA-256", leaf.SignatureAlgorithm)
	}
	may := func(u x509.ExtKeyUsage) bool {
		return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0 || slices.Contains(leaf.ExtKeyUsage, u) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	}
	if !may(x509.ExtKeyUsageServerAuth) {
		return errors.New("it is not for servers (extended key usage serverAuth is missing)")
	}
	if use == Trunk && !may(x509.ExtKeyUsageClientAuth) {
		return errors.New("towards the SBC the box is client and server: ask for extended key usage clientAuth besides serverAuth")
	}
	return nil
}
