package control

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"holdfast/firmware/certs"
)

func (f *fake) Certificates() []certs.Info { return []certs.Info{{Use: certs.Trunk, SHA256: "ab"}} }
func (f *fake) CertificateRequest(use certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	if use != certs.Trunk || !useRSA || !reflect.DeepEqual(n, certs.Names{DNS: []string{"a.b"}, IP: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}) {
		return nil, errors.New("another order")
	}
	return []byte("request"), nil
}
func (f *fake) InstallCertificate(use certs.Use, data []byte) (string, error) {
	if use != certs.Phones || string(data) != "chain" {
		return "", errors.New("another file")
	}
	return "In force.", nil
}

func TestCertificates(t *testing.T) {
	c, _ := serve(t, t.TempDir(), &fake{})
	ctx := t.Context()
	if list, err := c.Certificates(ctx); err != nil || len(list) != 1 || list[0].SHA256 != "ab" {
		t.Errorf("%+v %v", list, err)
	}
	if r, err := c.CertificateRequest(ctx, CertificateOrder{certs.Trunk, []string{"a.b"}, []netip.Addr{netip.MustParseAddr("10.0.0.5")}, true}); r != "request" || err != nil {
		t.Errorf("%q %v", r, err)
	}
	if _, err := c.CertificateRequest(ctx, CertificateOrder{Use: "x"}); err == nil || err.Error() != "another order" {
		t.Error(err)
	}
	if msg, err := c.InstallCertificate(ctx, CertificateFile{certs.Phones, "chain"}); msg != "In force." || err != nil {
		t.Errorf("%q %v", msg, err)
	}
}
