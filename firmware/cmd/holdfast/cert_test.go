package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/control"
)

func (f *fake) Certificates() []certs.Info {
	return []certs.Info{{Use: certs.Phones, Names: []string{"box.example.com"}, SHA256: "ab12", Issuer: "CN=Between", Trust: certs.Trust{Subject: "CN=Root", SHA256: "cd34", PEM: "root in PEM\n"}}}
}
func (f *fake) CertificateRequest(use certs.Use, n certs.Names, useRSA bool) ([]byte, error) {
	msg, err := f.note([]any{use, n.String(), useRSA})
	return []byte(msg), err
}
func (f *fake) InstallCertificate(use certs.Use, data []byte) (string, error) {
	return f.note([]any{use, string(data)})
}

func TestCertWords(t *testing.T) {
	served(t, &fake{})
	file := write(t, "chain.pem", "chain")
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"show":          {[]string{"show"}, 0, "For phones: box.example.com\n"},
		"whom to trust": {[]string{"show"}, 0, "  Phones must trust CN=Root\n               SHA-256 cd34;"},
		"root":          {[]string{"show", "--root"}, 0, "root in PEM\n"},
		"root of none":  {[]string{"show", "--root", "--for", "fax"}, 1, `nothing is in force for "fax"`},
		"JSON":          {[]string{"show", "--json"}, 0, `"sha256": "ab12"`},
		"request":       {[]string{"request", "--names", "a.example.com, 10.0.0.5", "--for", "trunk"}, 0, "Done."},
		"install":       {[]string{"install", file}, 0, "Done."},
		"nothing":       {nil, 2, "say `holdfast cert show`"},
		"no file":       {[]string{"install"}, 2, "one file"},
		"too much":      {[]string{"show", "x"}, 2, "flags only"},
		"missing":       {[]string{"install", file + "x"}, 1, "no such file"},
	} {
		out, status, err := call(t, append([]string{"cert"}, c.args...)...)
		if err != nil {
			out += err.Error()
		}
		if status != c.status || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, %q is missing in\n%s", name, status, c.want, out)
		}
	}
}

// A box that has no certificate starts with one of its own, is asked for a request, gets the answer and shows it at once; a
// file that is replaced on the card is shown within seconds, too.
func TestCertificatesOfRunningBox(t *testing.T) {
	m := newMachine(t)
	boot, run, _ := onMachine(t, 0)
	dir := filepath.Dir(boot)
	text, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(`certificate = "phones.pem"`, "", `key = "phones.key"`, "", `roots = "sbc-roots.pem"`, "", "10.77.0.5:5061", "127.0.0.1:5061", `media_address = "10.77.0.5"`, "").Replace(string(text))
	if err := os.WriteFile(boot, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start("run", "-c", boot)
	client := control.NewClient(filepath.Join(run, control.SocketName))
	eventually(t, "the start", func() bool { _, err := client.Status(t.Context()); return err == nil })
	list, err := client.Certificates(t.Context())
	if err != nil || len(list) != 2 || !list[0].Temporary || list[1].Temporary {
		t.Fatalf("%+v %v", list, err)
	}
	if s, err := client.Status(t.Context()); err != nil || !strings.Contains(strings.Join(s.Alarms, "\n"), "the phones certificate is a temporary one") {
		t.Errorf("%v %q", err, s.Alarms)
	}

	// Nor does it know whom to trust towards the SBC; then it is told.
	if s, err := client.Status(t.Context()); err != nil || !strings.Contains(strings.Join(s.Alarms, "\n"), "it is not known whom to trust towards the SBC") {
		t.Errorf("%v %q", err, s.Alarms)
	}
	roots, err := os.ReadFile(filepath.Join(dir, "sbc-roots.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := client.InstallCertificate(t.Context(), control.CertificateFile{Use: certs.SBC, PEM: string(roots)}); err != nil || !strings.Contains(msg, "must come from CN=test") {
		t.Errorf("%q %v", msg, err)
	}
	if list, err = client.Certificates(t.Context()); err != nil || len(list) != 3 || list[2].Use != certs.SBC || list[2].Subject != "CN=test" {
		t.Errorf("%+v %v", list, err)
	}
	if s, err := client.Status(t.Context()); err != nil || strings.Contains(strings.Join(s.Alarms, "\n"), "whom to trust") {
		t.Errorf("%v %q", err, s.Alarms)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Customer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	sign := func(request string, serial int64) string {
		b, _ := pem.Decode([]byte(request))
		r, err := x509.ParseCertificateRequest(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}, root, r.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	request, err := client.CertificateRequest(t.Context(), control.CertificateOrder{Use: certs.Phones, DNS: []string{"box.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := client.InstallCertificate(t.Context(), control.CertificateFile{Use: certs.Phones, PEM: sign(request, 2)})
	if err != nil || !strings.Contains(msg, "In force for phones: box.example.com, until ") {
		t.Fatalf("%q %v", msg, err)
	}
	shows := func(serial int64) bool {
		out, err := m.command("openssl", "s_client", "-connect", "127.0.0.1:5061", "-showcerts").Output()
		b, _ := pem.Decode(out)
		if b == nil {
			t.Logf("%v: %s", err, out)
			return false
		}
		c, err := x509.ParseCertificate(b.Bytes)
		return err == nil && c.SerialNumber.Int64() == serial && strings.Join(c.DNSNames, " ") == "box.example.com"
	}
	eventually(t, "the new certificate", func() bool { return shows(2) })
	if _, err := client.InstallCertificate(t.Context(), control.CertificateFile{Use: certs.Phones, PEM: "nothing"}); err == nil {
		t.Error("nothing was installed")
	}
	// The same key once more, brought by hand.
	p := certs.Pair{Certificate: filepath.Join(dir, "data", "certs", "phones.pem"), Key: filepath.Join(dir, "data", "certs", "phones.key")}
	if err := os.WriteFile(p.Certificate, []byte(sign(request, 3)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(p.Certificate, p.Key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file of the card", func() bool { return shows(3) })
}
