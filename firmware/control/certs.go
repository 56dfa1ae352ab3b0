package control

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"

	"holdfast/firmware/certs"
)

// Certificates is what the daemon can be asked about its certificates.
type Certificates interface {
	// Certificates are those that the box shows, then the authorities that it trusts.
	Certificates() []certs.Info
	// CertificateRequest makes a PKCS #10 request in PEM; the key stays on the box.
	CertificateRequest(use certs.Use, n certs.Names, useRSA bool) ([]byte, error)
	// InstallCertificate puts a chain in PEM into force at once, or for certs.SBC the authorities of the SBC's.
	InstallCertificate(use certs.Use, data []byte) (string, error)
}

// CertificateOrder asks for a request.
type CertificateOrder struct {
	Use certs.Use    `json:"use"`
	DNS []string     `json:"dns,omitempty"`
	IP  []netip.Addr `json:"ip,omitempty"`
	RSA bool         `json:"rsa,omitempty"`
}

// CertificateFile is what an authority sent.
type CertificateFile struct {
	Use certs.Use `json:"use"`
	PEM string    `json:"pem"`
}

func handleCertificates(mux *http.ServeMux, b Certificates) {
	mux.HandleFunc("GET /certificates", func(w http.ResponseWriter, _ *http.Request) { reply(w, b.Certificates(), nil) })
	mux.HandleFunc("POST /certificates/request", func(w http.ResponseWriter, r *http.Request) {
		var o CertificateOrder
		if !order(w, r, &o) {
			return
		}
		data, err := b.CertificateRequest(o.Use, certs.Names{DNS: o.DNS, IP: o.IP}, o.RSA)
		reply(w, Answer{string(data)}, err)
	})
	mux.HandleFunc("POST /certificates/install", func(w http.ResponseWriter, r *http.Request) {
		var o CertificateFile
		if !order(w, r, &o) {
			return
		}
		msg, err := b.InstallCertificate(o.Use, []byte(o.PEM))
		reply(w, Answer{msg}, err)
	})
}

// order reads what is asked for; false: the answer has been given.
func order(w http.ResponseWriter, r *http.Request, o any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(o)
	if err != nil && err != io.EOF {
		http.Error(w, "bad order: "+err.Error(), http.StatusBadRequest)
	}
	return err == nil || err == io.EOF
}

// Certificates asks which are in force.
func (c *Client) Certificates(ctx context.Context) ([]certs.Info, error) {
	var list []certs.Info
	err := c.call(ctx, http.MethodGet, "/certificates", nil, &list)
	return list, err
}

// CertificateRequest asks for a request in PEM.
func (c *Client) CertificateRequest(ctx context.Context, o CertificateOrder) (string, error) {
	var a Answer
	err := c.post(ctx, "/certificates/request", o, &a)
	return a.Message, err
}

// InstallCertificate brings what an authority sent.
func (c *Client) InstallCertificate(ctx context.Context, f CertificateFile) (string, error) {
	var a Answer
	err := c.post(ctx, "/certificates/install", f, &a)
	return a.Message, err
}
