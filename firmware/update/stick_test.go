package update

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSticks: a stick is read once when it is put in; what is wrong with it is told until it is taken out.
func TestSticks(t *testing.T) {
	older := v2
	older.Version = "v0.5.0"
	good, foreign, old := bundle(t, v2, ours), bundle(t, v2, foreign), bundle(t, older, ours)
	runs := bundle(t, v1, ours)
	for _, c := range []struct {
		name  string
		files map[string][]byte
		slot  Slot   // to boot afterwards
		told  string // "" for nothing
	}{
		{"no stick with anything for us", map[string][]byte{"letter.txt": good}, A, ""},
		{"an update", map[string][]byte{"holdfast-rpi4.update": good, "letter.txt": nil}, B, ""},
		{"the good one of several", map[string][]byte{"a.update": good, "b.update": foreign, "c.update": []byte("x")}, B, ""},
		{"not FAT at all", nil, A, "nothing on it can be read: format it as FAT32"},
		{"a foreign one", map[string][]byte{"a.update": foreign}, A, "a.update: the bundle is not signed"},
		{"the one that runs", map[string][]byte{"a.update": runs}, A, ""},
		{"the one that runs, and an older one", map[string][]byte{"a.update": old, "b.update": runs}, A, ""},
		{"an older one", map[string][]byte{"a.update": old}, A, "a.update: v0.5.0 is not newer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			card, _ := newCard(t, 1)
			dir, in, mounts := t.TempDir(), false, 0
			for name, b := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			server := &Server{Card: card, Key: trusted.Key, Log: slog.New(slog.DiscardHandler)}
			s := NewSticks(server)
			s.parts = func() ([]string, error) {
				if in {
					return []string{"/dev/sda1", "/dev/sda2"}, nil
				}
				return nil, nil
			}
			s.mount = func(part string) (string, func() error, error) {
				if mounts++; part == "/dev/sda2" || c.files == nil {
					return "", nil, errors.New("no FAT")
				}
				return dir, func() error { mounts += 10; return nil }, nil
			}
			for _, in = range []bool{false, true, true, true} {
				s.look(t.Context())
			}
			if told := server.Status().Stick; (told == "") != (c.told == "") || !strings.HasPrefix(told, c.told) {
				t.Errorf("told: %s", told)
			}
			once := 12 // tried twice, and unmounted once
			if c.files == nil {
				once = 2
			}
			if mounts != once {
				t.Errorf("%d, want %d", mounts, once)
			}
			if got := card.State().Slot; got != c.slot {
				t.Errorf("slot %s", got)
			}
			in = false
			if s.look(t.Context()); server.Status().Stick != "" {
				t.Error("still told when the stick is out")
			}
			in = true
			if s.look(t.Context()); mounts != 2*once {
				t.Error("put in again, it is read again")
			}
		})
	}
}
