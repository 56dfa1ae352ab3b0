package site

import (
	"net/netip"
	"testing"
)

func example(t testing.TB) *Site {
	t.Helper()
	s, err := Load(Example())
	if err != nil {
		t.Fatalf("the example is refused:\n%v", err)
	}
	return s
}

func TestExampleHasNoWarnings(t *testing.T) {
	if w := example(t).Warnings(); len(w) != 0 {
		t.Errorf("warnings: %v", w)
	}
}

func TestDefaults(t *testing.T) {
	s := example(t)
	bob, _ := s.UserByID("bob")
	alice, _ := s.UserByID("alice")
	if bob.NoAnswerAfter != 30 || alice.NoAnswerAfter != 20 {
		t.Errorf("no answer after: bob %d, alice %d", bob.NoAnswerAfter, alice.NoAnswerAfter)
	}
	if bob.LongExtension != "8011002" {
		t.Errorf("long extension: %q", bob.LongExtension)
	}
	a, _ := s.Trunk("sbc-a")
	b, _ := s.Trunk("sbc-b")
	if a.MainNumber != "+12175551000" || a.Domain != "10.0.0.60" || b.OptionsInterval != 10 || b.EmergencyForm != "as-dialled" {
		t.Errorf("trunks: %+v %+v", a, b)
	}
	if d := s.Doc().Devices[0]; d.Transport != "tls" {
		t.Errorf("transport: %q", d.Transport)
	}

	data := edit(t, func(m map[string]any) { delete(m, "options"); delete(m, "registration") })
	s, err := Load(data)
	if err != nil {
		t.Fatal(err)
	}
	want := Options{NoAnswerAfter: 30, MaxExpires: 600, MinExpires: 60, MaxContacts: 10}
	got := s.Doc().Options
	got.AllowedHosts = nil
	if got.NoAnswerAfter != want.NoAnswerAfter || got.MaxExpires != want.MaxExpires || got.MinExpires != want.MinExpires ||
		got.MaxContacts != want.MaxContacts || s.Doc().Registration != RegisterInResilience {
		t.Errorf("defaults: %+v %q", got, s.Doc().Registration)
	}
}

// The example's passwords are "secret-" and the user name.
func TestExampleHA1(t *testing.T) {
	d := example(t).Doc()
	for _, u := range d.Users {
		for _, algorithm := range []string{SHA256, MD5} {
			want, err := HA1(algorithm, u.Auth.Username, d.Site.Domain, "secret-"+u.Auth.Username)
			if err != nil || u.Auth.HA1[algorithm] != want {
				t.Errorf("%s %s: %s, %v; want %s", u.ID, algorithm, u.Auth.HA1[algorithm], err, want)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	s := example(t)
	for number, want := range map[string]string{
		"1001": "alice", "8011001": "alice", "+13125551001": "alice", "+12175551001": "alice", "+12175551091": "alice",
		"8021204": "room-204", "8011204": "", "+12175559204": "", "1009": "", "": "", "911": "",
	} {
		u, ok := s.Lookup(number)
		if ok != (want != "") || ok && u.ID != want {
			t.Errorf("Lookup(%q) = %v, %v; want %q", number, u, ok, want)
		}
	}
	if u, ok := s.UserByUsername("1002"); !ok || u.ID != "bob" {
		t.Errorf("UserByUsername: %v %v", u, ok)
	}
}

func TestResolve(t *testing.T) {
	s := example(t)
	for dialled, want := range map[string]string{
		"1001": "alice", "9-217-555-1001": "alice", "+12175551001": "alice", "12175551001": "alice", "5551001": "alice",
		"(312) 555.1002": "bob", "95551234": "+12175551234", "0114989123456": "+4989123456",
	} {
		u, n, err := s.Resolve(dialled)
		got := string(n)
		if u != nil {
			got = u.ID
		}
		if err != nil || got != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", dialled, got, err, want)
		}
	}
	for _, dialled := range []string{"1009", "alice", "", "+", "*98"} {
		if u, n, err := s.Resolve(dialled); err == nil {
			t.Errorf("Resolve(%q) = %v %q; want an error", dialled, u, n)
		}
	}
}

func TestEmergencyNumbers(t *testing.T) {
	s := example(t)
	if got := s.EmergencyNumbers(); len(got) != 2 || got[0] != "911" || got[1] != "112" {
		t.Errorf("emergency numbers: %v", got)
	}
	if got := s.TestNumbers(); len(got) != 1 || got[0] != "933" {
		t.Errorf("test numbers: %v", got)
	}
}

func TestDevices(t *testing.T) {
	s := example(t)
	for instance, want := range map[string]string{
		`"<urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6>"`: "alice",
		"00:04:F2:AA:BB:CC": "room-204",
		"0004f2aabbcc":      "room-204",
		"<urn:uuid:00000000-0000-1000-8000-0004F2AABBCC>": "room-204",
		"elevator-gateway": "reception",
		"urn:uuid:00000000-0000-1000-8000-0004F2AABBCD": "",
		"": "",
	} {
		d, ok := s.DeviceByInstance(instance)
		if ok != (want != "") || ok && d.User != want {
			t.Errorf("DeviceByInstance(%q) = %v, %v; want %q", instance, d, ok, want)
		}
	}
	if d, ok := s.DeviceByAddress(netip.MustParseAddr("::ffff:10.0.0.71")); !ok || d.ID != "elevator-gateway" {
		t.Errorf("DeviceByAddress: %v %v", d, ok)
	}
	if _, ok := s.DeviceByAddress(netip.MustParseAddr("10.0.0.72")); ok {
		t.Error("an unknown address is a device")
	}
}

func TestELINOwner(t *testing.T) {
	s := example(t)
	for n, want := range map[string]string{"+12175559204": "room-204", "+12175559050": "reception", "+12175559000": "", "+12175559002": ""} {
		u, ok := s.ELIN(n)
		if !ok || (u != nil) != (want != "") || u != nil && u.ID != want {
			t.Errorf("ELIN(%s) = %v, %v; want %q", n, u, ok, want)
		}
	}
	if _, ok := s.ELIN("+12175551001"); ok {
		t.Error("a user's number is an ELIN")
	}
}

func TestDomains(t *testing.T) {
	s := example(t)
	for host, want := range map[string]bool{
		"branch.example.com": true, "BRANCH.example.COM.": true, "springfield.cloud.example.com": true,
		"example.com": false, "": false, "branch.example.com:5061": false,
	} {
		if s.IsDomain(host) != want {
			t.Errorf("IsDomain(%q) = %v", host, !want)
		}
	}
}

func TestHA1(t *testing.T) {
	// User, realm and password of RFC 7616 §3.9.1; the values are those of md5sum and sha256sum.
	for algorithm, want := range map[string]string{
		MD5:    "3d78807defe7de2157e2b0b6573a855f",
		SHA256: "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
	} {
		got, err := HA1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", algorithm, got, err, want)
		}
	}
	for _, c := range [][3]string{{"SHA-1", "a", "b"}, {MD5, "", "b"}, {MD5, "a", ""}, {MD5, "a:b", "c"}} {
		if v, err := HA1(c[0], c[1], c[2], "x"); err == nil {
			t.Errorf("HA1%v = %s; want an error", c, v)
		}
	}
}
