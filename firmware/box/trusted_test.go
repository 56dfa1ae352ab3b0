package box

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/config"
)

func TestRoots(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "missing.pem"): "cloud roots: open " + filepath.Join(dir, "missing.pem") + ": no such file or directory",
		empty:                             "cloud roots: " + empty + " holds no certificate in PEM form",
	} {
		if _, err := roots("cloud", file); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	b := &Box{log: rigLog()}
	if pool := b.trusted("cloud", empty, "nothing works"); pool == nil || !pool.Equal(x509.NewCertPool()) {
		t.Error("a file that cannot be read means the system's authorities")
	}
	if want := "cloud roots: " + empty + " holds no certificate in PEM form; nothing works until that is mended and the program starts again"; strings.Join(b.storage, "") != want {
		t.Errorf("alarms %q, want %s", b.storage, want)
	}
	if pool, err := roots("cloud", ""); pool != nil || err != nil {
		t.Errorf("the system's: %v, %v", pool, err)
	}
	if _, err := certificate(certs.Phones, certs.Pair{Certificate: empty, Key: empty}); err == nil {
		t.Error("an empty certificate was loaded")
	}
	key, err := certs.NewKey(false)
	if err != nil {
		t.Fatal(err)
	}
	one, err := certs.Temporary(key, certs.Names{DNS: []string{"portal.example.com"}}, time.Now())
	want := x509.NewCertPool()
	if err != nil || !want.AppendCertsFromPEM(one) {
		t.Fatal(err)
	}
	edited := filepath.Join(t.TempDir(), "edited.pem")
	put(t, edited, append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(one, []byte("\n"), []byte("\r\n"))...))
	if pool, err := roots("test", edited); err != nil || !pool.Equal(want) {
		t.Errorf("as Notepad saves it: %v", err)
	}
	put(t, edited, []byte("\xff\xfe-\x00-\x00"))
	if _, err := roots("test", edited); err == nil || !strings.Contains(err.Error(), "test roots: "+edited+" is written in UTF-16: save it as UTF-8") {
		t.Error(err)
	}
}

// What people type into a file comes with what their editors put around it.
func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for _, c := range []struct {
		text      string
		least     int
		want, err string
	}{
		{"abc", 0, "abc", ""},
		{"\xef\xbb\xbfabc\r\n", 0, "abc", ""},
		{"sixteen bytes or more\n", 16, "sixteen bytes or more", ""},
		{"too short\n", 16, "", "has 9 bytes; use 16 or more"},
		{"\xef\xbb\xbf\r\n", 0, "", "is empty"},
		{"", 16, "", "is empty"},
		{"\xff\xfea\x00b\x00c\x00", 0, "", "UTF-16"},
		{"\xfe\xff\x00a\x00b\x00c", 0, "", "UTF-16"},
	} {
		put(t, file, []byte(c.text))
		got, err := secret("token", file, c.least)
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), "token: "+file+" "+c.err) && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
	put(t, file, nil)
	if _, err := secret("token", file, 0); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// A box whose helpers' files are damaged or gone starts and serves: each is an alarm. The list for the person at a PC has them, in one
// order always.
func TestWholeBoxWithDamagedFiles(t *testing.T) {
	var cfg *config.Config
	b := wholeBox(t, func(c *config.Config) {
		garbage := filepath.Join(t.TempDir(), "garbage.pem")
		put(t, garbage, []byte("\x00\xff garbage"))
		gone := garbage + ".gone"
		c.Cloud.Roots, c.Portal.Roots, c.Webhook.Roots, c.Report.Roots, c.Homer.Roots, c.Syslog.Roots = garbage, garbage, garbage, gone, garbage, garbage
		c.Homer.Transport, c.Syslog.Certificate, c.Syslog.Key = "tls", gone, garbage
		c.Report.URL, c.Report.SecretFile = "https://127.0.0.1:9/", gone
		c.Portal.TokenFile = gone
		cfg = c
	})
	alarms := strings.Join(b.Status().Alarms, "\n")
	for _, want := range []string{"cloud roots: ", "the cloud counts as gone", "portal roots: ", "portal token: ", "webhook roots: ", "report secret: ", "homer roots: ",
		"syslog roots: ", "syslog certificate ("} {
		if !strings.Contains(alarms, want) {
			t.Errorf("no %q in\n%s", want, alarms)
		}
	}
	b.scrape(t) // it is up
	list := func() string {
		faults, _ := CheckFiles(cfg, time.Now())
		return errors.Join(faults...).Error()
	}
	first := list()
	for range 20 {
		if again := list(); again != first {
			t.Fatalf("two orders of one list:\n%s\n\n%s", first, again)
		}
	}
}

// A secret that is too short is said where the boot file is checked, and an alert that cannot be signed keeps no box from starting.
func TestWholeBoxWithShortSecret(t *testing.T) {
	var cfg *config.Config
	b := wholeBox(t, func(c *config.Config) {
		put(t, c.Webhook.SecretFile, []byte("short"))
		cfg = c
	})
	const want = "webhook secret: "
	if alarms := strings.Join(b.Status().Alarms, "\n"); !strings.Contains(alarms, want) || !strings.Contains(alarms, "nobody outside is told of emergency calls") {
		t.Errorf("alarms %s", alarms)
	}
	if faults, _ := CheckFiles(cfg, time.Now()); !strings.Contains(errors.Join(faults...).Error(), want) {
		t.Errorf("faults %v", faults)
	}
}
