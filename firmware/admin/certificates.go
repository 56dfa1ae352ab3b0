package admin

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/certs"
	"holdfast/firmware/control"
	"holdfast/firmware/typed"
)

// maxCertificates bounds a body that brings certificates, in bytes: chain, key, and what JSON or a form puts round them.
const maxCertificates = 2*certs.MaxSize + 16<<10

const pemType = "application/x-pem-file"

// CertificateRequest is what an authority is sent.
type CertificateRequest struct {
	PEM string `json:"pem"` // PKCS #10
}

// certificateOperations are the API's.
func (s *Server) certificateOperations() []operation {
	return []operation{
		{Method: "GET", Path: "/certificates", Summary: "The certificates that the box shows, and whom the other side must trust; with use sbc the authorities that the box takes an SBC's certificate from", scope: account.Read, answer: []certs.Info{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.o.Box.Certificates(), nil }},
		{Method: "GET", Path: "/certificates/root.pem", Summary: "The authority that the other side must trust", scope: account.Read, raw: s.rootFile, kind: pemType,
			query: []parameter{{"use", "phones, or trunk; without it phones", "string"}}},
		{Method: "POST", Path: "/certificates/request", Summary: "Make a certificate request; the key stays on the box. Without names it carries those of the certificate in force",
			scope: account.Maintain, body: control.CertificateOrder{}, answer: CertificateRequest{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				o := in.(*control.CertificateOrder)
				data, err := s.requestCertificate(whoIs(r), o.Use, certs.Names{DNS: o.DNS, IP: o.IP}, o.RSA)
				return CertificateRequest{string(data)}, err
			}},
		{Method: "POST", Path: "/certificates/install", Summary: "Check a certificate (PEM: the chain in any order, and the key if it was made elsewhere), or with use sbc the authorities of the SBC's, and put it into force",
			scope: account.Maintain, body: control.CertificateFile{}, answer: control.Answer{}, most: maxCertificates,
			do: func(s *Server, r *http.Request, in any) (any, error) {
				f := in.(*control.CertificateFile)
				msg, err := s.installCertificate(whoIs(r), f.Use, []byte(f.PEM))
				return control.Answer{Message: msg}, err
			}},
	}
}

func (s *Server) requestCertificate(me who, use certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	data, err := s.o.Box.CertificateRequest(use, n, useRSA)
	if err == nil {
		s.log.Info("certificate request made on the page", "by", me.name, "use", string(use), "names", clip(n.String(), 200))
	}
	return data, err
}

func (s *Server) installCertificate(me who, use certs.Use, data []byte) (string, error) {
	msg, err := s.o.Box.InstallCertificate(use, data)
	if err != nil {
		s.log.Warn("a certificate was refused", "by", me.name, "use", clip(string(use), 20), "err", err)
		return "", fmt.Errorf("the certificate was not installed: %w", err)
	}
	s.log.Warn("certificate installed on the page", "by", me.name, "use", string(use))
	return msg, nil
}

// formCertificateRequest answers with a file; the page stays.
func (s *Server) formCertificateRequest(w http.ResponseWriter, r *http.Request) {
	use := certs.Use(r.PostForm.Get("use"))
	data, err := s.requestCertificate(whoIs(r), use, certs.ParseNames(r.PostForm.Get("names")), r.PostForm.Get("rsa") == "yes")
	if err != nil {
		s.answer(w, r, "/box", "", err)
		return
	}
	w.Header().Set("Content-Type", pemType)
	attachment(w, "holdfast-"+string(use)+".csr")
	w.Write(data)
}

// formInstallCertificate takes files from a browser.
func (s *Server) formInstallCertificate(w http.ResponseWriter, r *http.Request) {
	msg := ""
	data, err := uploaded(r)
	if err == nil {
		msg, err = s.installCertificate(whoIs(r), certs.Use(r.PostForm.Get("use")), data)
	}
	s.answer(w, r, "/box", msg, err)
}

func isUpload(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data")
}

// uploaded is what the form brings: the chain, and the key behind it. Nothing of it is written to a disk on the way: it fits into
// the memory that is given to it.
func uploaded(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(maxCertificates); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, fmt.Errorf("this is too large: %d KB are the most that certificates and key may have", certs.MaxSize>>10)
		}
		return nil, errors.New("the upload cannot be read: choose the files again")
	}
	chain, err := uploadedFile(r, "chain")
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, errors.New("choose the file with the certificates")
	}
	key, err := uploadedFile(r, "key")
	if err != nil {
		return nil, err
	}
	if len(key) > 0 && !holdsKey(key) {
		return nil, errors.New(`there is no private key in PEM form ("-----BEGIN PRIVATE KEY-----") in the file for the key; leave it out if the request was made on the box`)
	}
	return append(append(chain, '\n'), key...), nil
}

// uploadedFile reads one file; nil if none was chosen.
func uploadedFile(r *http.Request, name string) ([]byte, error) {
	f, _, err := r.FormFile(name)
	if errors.Is(err, http.ErrMissingFile) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the upload cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f) // bounded with the body
	if err != nil {
		return nil, fmt.Errorf("the upload cannot be read: %w", err)
	}
	if data, err = typed.Text(data); err != nil {
		return nil, fmt.Errorf("the file %w", err)
	}
	return data, nil
}

func holdsKey(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}

// rootFile is what phones, or the SBC, must have in their list of authorities.
func (s *Server) rootFile(w http.ResponseWriter, r *http.Request) {
	use := certs.Use(r.URL.Query().Get("use"))
	if use == "" {
		use = certs.Phones
	}
	for _, c := range s.o.Box.Certificates() {
		switch {
		case c.Use != use || use == certs.SBC:
		case c.Trust.PEM == "":
			refuse(w, r, http.StatusNotFound, "the authority's own certificate is not in the chain that was installed: ask for that of "+clip(c.Trust.Subject, 200))
			return
		default:
			w.Header().Set("Content-Type", pemType)
			attachment(w, "holdfast-"+string(use)+"-root.pem")
			io.WriteString(w, c.Trust.PEM)
			return
		}
	}
	refuse(w, r, http.StatusNotFound, "there is no such certificate: phones or trunk")
}
