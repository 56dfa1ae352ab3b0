package certs

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAuthorities: what somebody brings to be trusted is checked, kept in one step, and read again.
func TestAuthorities(t *testing.T) {
	root, other := newIssuer(t, "Root", nil), newIssuer(t, "Other", nil)
	between := newIssuer(t, "Between", root)
	file := filepath.Join(t.TempDir(), "certs", "sbc-roots.pem")
	a, err := CheckAuthorities(bytes.Join([][]byte{[]byte("# comment\r\n"), root.pem(), between.pem(), root.pem(), other.pem()}, nil), now)
	must(t, err)
	if len(a.List) != 3 || len(a.Warnings) != 0 {
		t.Errorf("%d, %q", len(a.List), a.Warnings)
	}
	must(t, a.Install(file))
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", i, err)
	}
	got, err := ReadAuthorities(file)
	must(t, err)
	key, err := NewKey(false)
	must(t, err)
	request, err := Request(key, names)
	must(t, err)
	leaf, _, err := read(other.sign(t, request, nil))
	must(t, err)
	if _, err := leaf[0].Verify(x509.VerifyOptions{Roots: got.Pool, CurrentTime: now}); err != nil {
		t.Error(err)
	}
	infos := got.Infos(SBC)
	if len(infos) != 3 || infos[1].Use != SBC || infos[1].Subject != "CN=Between" || infos[1].Trust != (Trust{}) || infos[1].SHA256 == "" {
		t.Errorf("%+v", infos)
	}

	// A whole machine's list is taken as it is.
	must(t, os.WriteFile(file, bytes.Join([][]byte{block("CERTIFICATE", []byte("x")), root.pem()}, nil), 0o600))
	if got, err := ReadAuthorities(file); err != nil || len(got.List) != 1 {
		t.Errorf("%d %v", len(got.List), err)
	}
	for name, data := range map[string][]byte{"empty": nil, "no PEM": []byte("x"), "a key": key, "too large": make([]byte, mostOfAList+1)} {
		must(t, os.WriteFile(file, data, 0o600))
		if _, err := ReadAuthorities(file); err == nil {
			t.Errorf("%s is a list of authorities", name)
		}
	}
	if _, err := ReadAuthorities(file + "x"); err == nil {
		t.Error("nothing is a list of authorities")
	}
}

func TestAuthoritiesRefused(t *testing.T) {
	root := newIssuer(t, "Root", nil)
	key, err := NewKey(false)
	must(t, err)
	request, err := Request(key, names)
	must(t, err)
	own, err := Temporary(key, names, now)
	must(t, err)
	late := func(d time.Duration) []byte {
		old := now
		now = old.AddDate(-9, 0, 0).Add(d) // newIssuer's live nine years
		defer func() { now = old }()
		return newIssuer(t, "Old", nil).pem()
	}
	many := func() (all []byte) {
		for range mostAuthorities + 1 {
			all = append(all, newIssuer(t, "Many", nil).pem()...)
		}
		return all
	}
	for name, c := range map[string]struct {
		data          []byte
		fault, warned string
	}{
		"nothing":      {nil, "there is no certificate in PEM form", ""},
		"a key beside": {append(root.pem(), key...), "there is a private key in it", ""},
		"the SBC's":    {root.sign(t, request, nil), `is no authority: bring the one that signed it ("CN=Root")`, ""},
		"ended":        {append(root.pem(), late(-time.Hour)...), `"CN=Old": it ended on 2026-11-01: leave it out`, ""},
		"ends soon":    {late(20 * 24 * time.Hour), "", `"CN=Old": it ends on `},
		"self-signed":  {own, "", "signed itself"},
		"many":         {many(), "51 authorities are too many", ""},
		"large":        {make([]byte, MaxSize+1), "are no list of authorities", ""},
		"the request":  {request, "this is the request", ""},
	} {
		a, err := CheckAuthorities(c.data, now)
		if c.fault == "" && (err != nil || !strings.Contains(strings.Join(a.Warnings, "\n"), c.warned)) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v %q", name, err, a.Warnings)
		}
	}
}

func TestStages(t *testing.T) {
	const day = 24 * time.Hour
	c := &x509.Certificate{NotBefore: now.Add(-100 * day), NotAfter: now}
	for at, want := range map[time.Duration]struct {
		stage Stage
		text  string
	}{
		-101 * day: {NotYet, "it begins on 2026-07-24 only: is the clock right (2026-07-23)?"},
		-31 * day:  {Good, "valid until 2026-11-01"},
		-29 * day:  {Soon, "it ends on 2026-11-01, in 29 days"},
		-6 * day:   {Urgent, "it ends on 2026-11-01, in 6 days"},
		1:          {Ended, "it ended on 2026-11-01"},
	} {
		if stage, text := Life(c, now.Add(at)); stage != want.stage || text != want.text {
			t.Errorf("%s: %d %q", at, stage, text)
		}
	}
}
