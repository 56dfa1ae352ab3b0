package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A boot file that is not there, but was meant to be.
func TestMisnamedBootFile(t *testing.T) {
	const rename = "give that the name holdfast.toml"
	for _, c := range []struct {
		files []string
		want  string
	}{
		{nil, "`holdfast example` prints one"},
		{[]string{"README.txt", "boot.scr", "holdfast", "holdfast-lab"}, "`holdfast example` prints one"},
		{[]string{"README.txt", "holdfast.example.toml", "holdfast-errors.txt"}, "copy holdfast.example.toml to holdfast.toml"},
		{[]string{"holdfast.example.toml", "holdfast.toml.txt"}, "holdfast.toml.txt lies beside it: " + rename},
		{[]string{"Holdfast (1).toml", "holdfast.example.toml"}, "Holdfast (1).toml lies beside it: " + rename},
		{[]string{"holdfast.txt"}, "holdfast.txt lies beside it: " + rename},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := readConfig(filepath.Join(dir, "holdfast.toml"))
		if err == nil || !strings.Contains(err.Error(), "no such file") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.files, err)
		}
	}
}

// What the network should be is not known from a file that is half written, or gone: a running box keeps what it has then.
func TestUsableNetwork(t *testing.T) {
	boot := bootFolder(t)
	good, err := os.ReadFile(boot)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, by string) string { return strings.Replace(string(good), old, by, 1) }
	network, rest, _ := strings.Cut(string(good), "[network]")
	_, rest, _ = strings.Cut(rest, "[time]")
	for _, c := range []struct {
		name, text string
		usable     bool
		address    string
	}{
		{"good", string(good), true, "10.0.0.5/24"},
		{"a mistake elsewhere", changed("missed = 3", "missed = true"), true, "10.0.0.5/24"},
		{"no network wanted", network + "[time]" + rest, true, "invalid Prefix"},
		{"half of it", string(good)[:strings.Index(string(good), `"10.0.0.5/24"`)+5], false, "invalid Prefix"},
		{"empty", "", false, "invalid Prefix"},
		{"a wrong mask", changed(`"10.0.0.5/24"`, `"10.0.0.5/255.255.255.0"`), false, "invalid Prefix"},
		{"quotes of a word processor", changed(`"10.0.0.5/24"`, "\u201c10.0.0.5/24\u201d"), false, "invalid Prefix"},
		{"gone", "-", false, "invalid Prefix"},
	} {
		if err := os.WriteFile(boot, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.text == "-" {
			if err := os.Remove(boot); err != nil {
				t.Fatal(err)
			}
		}
		n, _, usable := readNetwork(boot, slog.New(slog.DiscardHandler))
		if usable != c.usable || n.Address.String() != c.address {
			t.Errorf("%s: usable %t, %s", c.name, usable, n.Address)
		}
	}
}
