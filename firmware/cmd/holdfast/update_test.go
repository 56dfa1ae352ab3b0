package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
)

func (f *fake) Update(_ context.Context, bundle io.Reader, o control.UpdateOrder) (string, error) {
	b, err := io.ReadAll(bundle)
	if string(b) == "bad" {
		return "", errors.New("not signed")
	}
	return fmt.Sprintf("took %q, %+v", b, o), err
}

func TestUpdateCommand(t *testing.T) {
	dir := t.TempDir()
	served(t, new(fake))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bundle" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "from the net")
	}))
	defer web.Close()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for file, text := range map[string]string{good: "a bundle", bad: "bad"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{good}, 0, `took "a bundle", {Force:false Now:false}`},
		{[]string{"--force", "--now", good}, 0, `took "a bundle", {Force:true Now:true}`},
		{[]string{"--json", good}, 0, `"message": "took`},
		{[]string{web.URL + "/bundle"}, 0, `took "from the net"`},
		{[]string{web.URL + "/none"}, 1, "answers 404"},
		{[]string{bad}, 1, "not signed"},
		{[]string{filepath.Join(dir, "none")}, 1, "no such file"},
		{[]string{dir}, 1, "is no file"},
		{nil, 2, "say which bundle"},
		{[]string{good, bad}, 2, "say which bundle"},
	} {
		out, status, err := call(t, append([]string{"update"}, c.args...)...)
		if status != c.status || !strings.Contains(out+fmt.Sprint(err), c.want) {
			t.Errorf("%v: %d %s %v", c.args, status, out, err)
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		n, size int64
		since   time.Duration
		want    string
	}{
		{0, -1, 0, "writing: 0 MiB"},
		{3 << 20, -1, time.Minute, "writing: 3 MiB"},
		{0, 64 << 20, 3 * time.Second, "writing: 0 of 64 MiB, 0 %"},
		{16 << 20, 64 << 20, time.Second, "writing: 16 of 64 MiB, 25 %"},
		{16 << 20, 64 << 20, 10 * time.Second, "writing: 16 of 64 MiB, 25 %, about 31 s left"},
		{64 << 20, 64 << 20, 10 * time.Second, "checking what is on the card"},
	} {
		if got := progressLine(c.n, c.size, c.since); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestUpdateKey(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, ed25519.PublicKeySize))
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	none, pub, junk := filepath.Join(dir, "none"), file("pub", key+"\n"), file("junk", "junk")
	if k, err := updateKey(none, pub); err != nil || len(k) != ed25519.PublicKeySize {
		t.Errorf("the image's: %v", err)
	}
	if _, err := updateKey(none, none); err == nil || !strings.Contains(err.Error(), "no key that signs bundles") {
		t.Error(err)
	}
	if _, err := updateKey(none, junk); err == nil || !strings.Contains(err.Error(), "is not an ed25519 public key") {
		t.Error(err)
	}
}
