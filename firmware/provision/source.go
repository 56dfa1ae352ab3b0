package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// signatureHeader carries the base64 signature of the body's exact bytes.
const signatureHeader = "Holdfast-Signature"

// Limits of one fetch.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
	fetchTimeout  = 2 * time.Minute
)

func newClient(roots *x509.CertPool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Client{
		Timeout: fetchTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp4", address)
			},
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // it is used every ten hours
		},
		// A redirect would carry the question, and perhaps the token, to somebody who is not in the boot file.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetchURL asks the portal; nil when it has nothing newer than what is in force.
func (p *Provisioner) fetchURL(ctx context.Context) (*document, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.o.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	name := nameOf(request.URL)
	request.Header.Set("Accept", "application/json")
	if p.o.Token != "" {
		request.Header.Set("Authorization", "Bearer "+p.o.Token)
	}
	if now := p.has(); now != nil && now.Source == name && now.Pinned == p.o.PublicKey && now.ETag != "" {
		request.Header.Set("If-None-Match", now.ETag)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", withoutURL(err))
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && request.Header.Get("If-None-Match") != "":
		return nil, nil
	case response.StatusCode >= 300 && response.StatusCode < 400:
		return nil, fmt.Errorf("portal answers %s; redirects are not followed, write the right url into the boot file", response.Status)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("portal answers %s", response.Status)
	}
	data, err := readBounded(response.Body)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	signature := response.Header.Get(signatureHeader)
	signer, err := p.signer(data, signature)
	if err != nil {
		return nil, fmt.Errorf("portal: %w", err)
	}
	etag := response.Header.Get("ETag")
	if len(etag) > 256 {
		etag = ""
	}
	return &document{data: data, meta: meta{Source: name, Signature: signature, SignedBy: signer, ETag: etag, Fetched: time.Now().UTC()}}, nil
}

// readFile reads the file on the card with the signature beside it.
func (p *Provisioner) readFile(context.Context) (*document, error) {
	data, err := readFileBounded(p.o.File)
	if err != nil {
		return nil, fmt.Errorf("site file: %w", err)
	}
	d := &document{data: data, meta: meta{Source: p.o.File, Fetched: time.Now().UTC()}}
	signature, err := readFileBounded(p.o.File + ".sig")
	switch {
	case err == nil && p.pinned != nil:
		d.Signature = strings.TrimSpace(string(signature))
		d.SignedBy, err = p.signer(data, d.Signature)
		if err == nil {
			return d, nil
		}
		d.Signature, d.SignedBy = "", ""
	case err == nil, errors.Is(err, os.ErrNotExist):
		err = ErrSignature
	}
	if p.o.AllowUnsigned {
		return d, nil
	}
	return nil, fmt.Errorf("site file %s: %w", p.o.File, err)
}

func readFileBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

func readBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxDocument {
		return nil, ErrTooBig
	}
	return data, nil
}

// nameOf is a URL for logs and status: without what may be secret in it.
func nameOf(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// withoutURL leaves out the URL that net/http puts into its errors.
func withoutURL(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}
