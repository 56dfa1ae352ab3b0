package box

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
	"holdfast/firmware/lab/ca"
	"holdfast/sip/trunk"
)

// withCertificates is a box that has those files, and nothing else; and what an authority made for it in PEM, with its key.
func withCertificates(t *testing.T) (b *Box, roots, leaf []byte) {
	t.Helper()
	dir := t.TempDir()
	certsDir := filepath.Join(dir, "certs")
	file := func(name string) string { return filepath.Join(certsDir, name) }
	authority, err := ca.New("Customer")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Leaf([]string{"box.branch.example"}, netip.MustParseAddr("10.0.0.5"))
	if err = errors.Join(err, os.MkdirAll(certsDir, 0o700), ca.Write(certsDir, "own", pair), authority.WriteRoots(file("sbc-roots.pem"))); err != nil {
		t.Fatal(err)
	}
	b = &Box{log: rigLog(), trunks: trunk.New(trunk.Options{}), cfg: &config.Config{Name: "box", DataDir: dir,
		Phones: config.Phones{Listen: netip.MustParseAddrPort("10.0.0.5:5061"), Certificate: file("phones.pem"), Key: file("phones.key")},
		Trunk:  config.TrunkSide{Listen: netip.MustParseAddrPort("10.0.0.5:5062"), Certificate: file("trunk.pem"), Key: file("trunk.key"), Roots: file("sbc-roots.pem")}}}
	read := func(name string) []byte {
		data, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	cert, key := read("own.crt"), read("own.key")
	for _, use := range []string{"phones", "trunk"} {
		put(t, file(use+".pem"), cert)
		put(t, file(use+".key"), key)
	}
	return b, read("sbc-roots.pem"), append(cert, key...)
}

// put writes a file, or removes it when there is no data.
func put(t *testing.T, file string, data []byte) {
	t.Helper()
	var err error
	if data == nil {
		err = os.Remove(file)
	} else {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// trusts says what the box shows and whom it trusts: "own" or "temporary" for phones and trunk, the SBC's authorities.
func (b *Box) trusts(t *testing.T) string {
	t.Helper()
	var out []string
	for _, i := range b.Certificates() {
		switch {
		case i.Use == certs.SBC:
			out = append(out, i.Subject)
		case i.Temporary:
			out = append(out, "temporary")
		default:
			out = append(out, "own")
		}
	}
	return strings.Join(out, " ")
}

const inForce = "own own CN=Customer"

// Files that go away, or are torn, while the box runs take nothing out of force: each is an alarm until it is back.
func TestCertificatesThatGoAway(t *testing.T) {
	b, roots, _ := withCertificates(t)
	if err := b.startCertificates(); err != nil || b.trusts(t) != inForce || len(b.trustAlarms(time.Now())) > 0 {
		t.Fatalf("%v %s %q", err, b.trusts(t), b.trustAlarms(time.Now()))
	}
	cfg := b.cfg
	own := func(file string) []byte {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	phones, key := own(cfg.Phones.Certificate), own(cfg.Phones.Key)
	type content struct {
		file string
		data []byte
	}
	for _, c := range []struct {
		name      string
		bad, good []content
		alarm     string
	}{
		{"the SBC's authorities are gone", []content{{cfg.Trunk.Roots, nil}}, []content{{cfg.Trunk.Roots, roots}}, "trunk roots: "},
		{"they are torn", []content{{cfg.Trunk.Roots, roots[:100]}}, []content{{cfg.Trunk.Roots, roots}}, "trunk roots: "},
		{"the phones' pair is gone", []content{{cfg.Phones.Certificate, nil}, {cfg.Phones.Key, nil}}, []content{{cfg.Phones.Certificate, phones}, {cfg.Phones.Key, key}}, "phones certificate "},
		{"the phones' certificate is gone", []content{{cfg.Phones.Certificate, nil}}, []content{{cfg.Phones.Certificate, phones}}, "phones certificate "},
		{"the trunk's pair is gone", []content{{cfg.Trunk.Certificate, nil}, {cfg.Trunk.Key, nil}}, []content{{cfg.Trunk.Certificate, phones}, {cfg.Trunk.Key, key}}, "trunk certificate "},
		{"the trunk's key is torn", []content{{cfg.Trunk.Key, []byte("x")}}, []content{{cfg.Trunk.Key, key}}, "trunk certificate "},
	} {
		for _, f := range c.bad {
			put(t, f.file, f.data)
		}
		b.reloadCertificates()
		alarms := b.trustAlarms(time.Now())
		if b.trusts(t) != inForce || len(alarms) != 1 || !strings.Contains(alarms[0], "certificates on the card cannot be used: "+c.alarm) || !strings.Contains(alarms[0], "before stay") && !strings.Contains(alarms[0], "before stays") {
			t.Errorf("%s: %s is in force, alarms %q", c.name, b.trusts(t), alarms)
		}
		for _, f := range c.good {
			put(t, f.file, f.data)
		}
		b.reloadCertificates()
		if alarms := b.trustAlarms(time.Now()); b.trusts(t) != inForce || len(alarms) > 0 {
			t.Errorf("%s, and is back: %s is in force, alarms %q", c.name, b.trusts(t), alarms)
		}
	}
}

// A box whose files are damaged starts all the same, and is mended while it runs.
func TestStartsWithDamagedCertificates(t *testing.T) {
	b, roots, leaf := withCertificates(t)
	for _, file := range []string{b.cfg.Trunk.Roots, b.cfg.Phones.Certificate, b.cfg.Trunk.Key} {
		put(t, file, []byte("\x00\xff garbage"))
	}
	if err := b.startCertificates(); err != nil || b.trusts(t) != "temporary temporary" {
		t.Fatalf("%v %s", err, b.trusts(t))
	}
	expect := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, a := range b.trustAlarms(time.Now()) {
			if a, ok := strings.CutPrefix(a, "certificates on the card cannot be used: "); ok {
				got = append(got, strings.Join(strings.Fields(a)[:2], " "))
			}
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: alarms about %q, want %q", when, got, want)
		}
	}
	expect("at the start", "phones certificate", "trunk certificate", "trunk roots:")
	b.reloadCertificates()
	expect("looked at again", "phones certificate", "trunk certificate", "trunk roots:")
	install := func(use certs.Use, data []byte) {
		t.Helper()
		if _, err := b.InstallCertificate(use, data); err != nil {
			t.Fatal(err)
		}
	}
	install(certs.Phones, leaf) // which hides no other's fault
	expect("with the phones' one", "trunk certificate", "trunk roots:")
	install(certs.SBC, roots)
	expect("with the SBC's authority", "trunk certificate")
	install(certs.Trunk, leaf)
	expect("with all")
	if b.trusts(t) != inForce {
		t.Error(b.trusts(t))
	}
}

// What nobody has brought yet is no fault: other alarms ask for it.
func TestStartsWithoutCertificates(t *testing.T) {
	b, _, _ := withCertificates(t)
	if err := os.RemoveAll(filepath.Join(b.cfg.DataDir, "certs")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.startCertificates(); err != nil || b.trusts(t) != "temporary temporary" {
			t.Fatalf("%v %s", err, b.trusts(t))
		}
		if a := b.trustAlarms(time.Now()); len(a) != 1 || !strings.Contains(a[0], "it is not known whom to trust") {
			t.Errorf("alarms %q", a)
		}
	}
}

// The whole box starts with what is damaged, wherever the boot file says that it is, and serves.
func TestWholeBoxWithDamagedCertificates(t *testing.T) {
	b := wholeBox(t, func(c *config.Config) {
		put(t, c.Trunk.Roots, []byte("garbage"))
		put(t, c.Phones.Certificate, []byte("garbage")) // the trunk's too
	})
	alarms := strings.Join(b.Status().Alarms, "\n")
	for _, want := range []string{"cannot be used: phones certificate (", "cannot be used: trunk certificate (", "cannot be used: trunk roots: ", "not known whom to trust"} {
		if !strings.Contains(alarms, want) {
			t.Errorf("no %q in\n%s", want, alarms)
		}
	}
	b.scrape(t) // it is up
}
