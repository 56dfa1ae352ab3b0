package watchdog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoWatchdog: what is no watchdog is refused, and the magic byte has been written before it is let go.
func TestNoWatchdog(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none"), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, 0); err == nil || !strings.Contains(err.Error(), "tells no timeout") {
		t.Error(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "V" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestFood: feeding never writes the byte that stops the timer; closing writes nothing else.
func TestFood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	d := &Device{file: f}
	for range 3 {
		if err := d.Feed(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "...V" {
		t.Errorf("%q, %v", b, err)
	}
	if err := d.Feed(); err == nil {
		t.Error("a closed watchdog was fed")
	}
	if err := d.Close(); err == nil {
		t.Error("closed twice")
	}
}
