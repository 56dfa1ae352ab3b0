package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/box"
)

// typed is what somebody passes on standard input.
func typed(t *testing.T, text string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	before := os.Stdin
	os.Stdin = r
	t.Cleanup(func() { os.Stdin = before; r.Close() })
}

// TestAdmin: accounts and tokens by the command line, as the running box reads them.
func TestAdmin(t *testing.T) {
	boot := bootFolder(t)
	data := t.TempDir()
	text, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(boot, []byte(strings.Replace(string(text), `data_dir = "/var/lib/holdfast"`, `data_dir = "`+data+`"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	store := account.Open(filepath.Join(data, box.AccountsFile), nil)
	expect := func(status int, want string, args ...string) string {
		t.Helper()
		out, got, err := call(t, append([]string{"admin"}, append(args, "-c", boot)...)...)
		if err != nil {
			out += err.Error()
		}
		if got != status || !strings.Contains(out, want) {
			t.Errorf("admin %q: status %d, %s; want %d, %q", args, got, out, status, want)
		}
		return out
	}
	expect(0, "Nobody may use the admin page yet", "list")
	typed(t, "four words of nonsense\n")
	expect(0, "maria may log in as admin.", "passwd", "maria")
	typed(t, "four words of nonsense")
	expect(0, "desk may log in as front-desk.", "passwd", "desk", "--role", "front-desk")
	typed(t, "short\n")
	expect(1, "too short", "passwd", "bob")
	typed(t, "")
	expect(1, "no password was given", "passwd", "bob")
	if u, err := store.Authenticate("maria", "four words of nonsense"); err != nil || u.Role != account.Admin {
		t.Errorf("%+v, %v", u, err)
	}
	out := expect(0, "This is shown once", "token", "grafana", "--scopes", "read,drill", "--for", "1h")
	token, _, _ := strings.Cut(out, "\n")
	if _, scopes, err := store.Token(token); err != nil || scopes != account.Read|account.Drill {
		t.Errorf("%q: %v, %v", token, scopes, err)
	}
	list := expect(0, "front-desk", "list")
	if !strings.Contains(list, "read,drill, until ") || strings.Contains(list, "argon2") {
		t.Errorf("%s", list)
	}
	expect(0, "desk may not use", "remove", "desk")
	expect(1, "no such account", "remove", "desk")
	expect(1, "nobody else is an admin", "remove", "maria")
	expect(1, "nobody else is an admin", "role", "maria", "--role", "viewer")
	typed(t, "four words of nonsense\n")
	expect(1, "nobody else is an admin", "passwd", "maria", "--role", "viewer")
	expect(2, "there is no role", "role", "maria")
	expect(1, "no such account", "role", "desk", "--role", "viewer")
	typed(t, "four words of nonsense\n")
	expect(0, "bob may log in as viewer.", "passwd", "bob")
	expect(0, "bob is admin now.", "role", "bob", "--role", "admin")
	expect(0, "maria may not use", "remove", "maria")
	expect(0, "The token grafana", "remove", strings.Split(token, "_")[1])
	if _, _, err := store.Token(token); err == nil {
		t.Error("the token is good")
	}
	expect(2, "there is no role", "passwd", "bob", "--role", "boss")
	expect(2, "there is no scope", "token", "x", "--scopes", "all")
	expect(2, "name an account", "passwd")
	expect(2, "say `holdfast admin passwd NAME", "nonsense")
}
