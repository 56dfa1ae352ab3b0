package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/firmware/update"
)

// TestRound: a key, a bundle, and what is in it.
func TestRound(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("release", "VERSION=v1.2.3\nCOMMIT=abc\nBOARD=rpi4\nSLOT_FORMAT=1\n")
	write(update.RootFile, "root")
	write(update.BootFile, "boot")
	for _, args := range []string{"key K", "make -key K -slot . -o OUT", "show -pub K.pub OUT"} {
		if err := run(words(dir, args)); err != nil {
			t.Fatalf("%s: %v", args, err)
		}
	}
	if i, err := os.Stat(at("K")); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the secret is open: %v %v", i.Mode(), err)
	}
	b, err := os.ReadFile(at("OUT"))
	if err != nil || !bytes.Contains(b, []byte(`"version":"v1.2.3"`)) || !bytes.HasSuffix(b, []byte("rootboot")) {
		t.Errorf("%q %v", b, err)
	}
	if err := run(words(dir, "key OTHER")); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"key K":                          "file exists",
		"show -pub OTHER.pub OUT":        "not signed",
		"show -pub K.pub K":              "no update bundle",
		"make -key NONE -slot . -o X":    "no such file",
		"make -key release -slot . -o X": "is no key",
		"make -key K -slot none -o X":    "no such file",
		"dance":                          "say:",
		"":                               "say key",
	} {
		if err := run(words(dir, args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	if _, err := os.Stat(at("X")); err == nil {
		t.Error("a bundle was left that is none")
	}
}

// words are arguments; names of files are those of dir.
func words(dir, args string) []string {
	list := strings.Fields(args)
	for i, w := range list {
		if i > 0 && !strings.HasPrefix(w, "-") {
			list[i] = filepath.Join(dir, w)
		}
	}
	return list
}
