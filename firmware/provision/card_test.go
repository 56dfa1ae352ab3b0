package provision

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast/sip/site"
)

var errStopped = errors.New("the power went")

// TestPowerCutAtEveryStep: whenever saving stops, the next start has the old document or the new one, whole, and can
// save again.
func TestPowerCutAtEveryStep(t *testing.T) {
	k := newKey(1)
	var steps []string
	count := 0
	for stop := 0; ; stop++ {
		dir := t.TempDir()
		old, new_ := doc(t, 1, "old"), doc(t, 2, "new")
		s := &store{dir: dir}
		for _, data := range [][]byte{doc(t, 0, "oldest"), old} {
			if err := s.save(&document{data: data, meta: meta{SignedBy: k.public}}); err != nil {
				t.Fatal(err)
			}
		}
		steps, count = nil, 0
		s.step = func(name string) error {
			if count == stop {
				return errStopped
			}
			count++
			steps = append(steps, name)
			return nil
		}
		err := s.save(&document{data: new_, meta: meta{SignedBy: k.public}})
		after := &store{dir: dir}
		d, damage := after.load(func(*document) error { return nil })
		if d == nil || damage != nil {
			t.Fatalf("stopped before step %d (after %v): no document, %v", stop, steps, damage)
		}
		if got := string(d.data); got != string(old) && got != string(new_) {
			t.Fatalf("stopped before step %d: another document", stop)
		}
		if err == nil && string(d.data) != string(new_) {
			t.Fatal("saved, but the old one is read")
		}
		third := doc(t, 3, "third")
		if err := after.save(&document{data: third}); err != nil {
			t.Fatalf("stopped before step %d: cannot save any more: %v", stop, err)
		}
		if d, err := (&store{dir: dir}).load(func(*document) error { return nil }); err != nil || string(d.data) != string(third) {
			t.Fatalf("stopped before step %d: %v", stop, err)
		}
		if err == nil {
			break
		}
	}
	if want := []string{"create", "write", "write", "sync", "retire", "switch", "sync folder"}; !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v: nothing may be renamed before it is synced", steps, want)
	}
}

// TestDamagedLastGood: whatever byte of the last good file is hurt, its predecessor serves, and is not lost by the next
// save.
func TestDamagedLastGood(t *testing.T) {
	dir := t.TempDir()
	s := &store{dir: dir}
	for serial := range uint64(2) {
		if err := s.save(&document{data: doc(t, serial+1, fmt.Sprint("doc ", serial))}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, currentName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	meaningful := func(d *document) error { _, err := site.Load(d.data); return err }
	hurt := map[string][]byte{"empty": {}, "rubbish": []byte("rubbish")}
	for at := 0; at < len(whole); at += 97 {
		hurt[fmt.Sprint("cut at ", at)] = whole[:at]
	}
	for name, data := range hurt {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		again := &store{dir: dir}
		d, err := again.load(meaningful)
		if d == nil || err == nil || !strings.Contains(string(d.data), "doc 0") {
			t.Fatalf("%s: %v", name, err)
		}
	}
	again := &store{dir: dir}
	again.load(meaningful)
	if err := again.save(&document{data: doc(t, 3, "doc 2")}); err != nil {
		t.Fatal(err)
	}
	if d, err := again.read(previousName, meaningful); err != nil || !strings.Contains(string(d.data), "doc 0") {
		t.Errorf("the predecessor is gone: %v", err)
	}
	os.WriteFile(path, nil, 0o600)
	os.WriteFile(filepath.Join(dir, previousName), nil, 0o600)
	if d, err := (&store{dir: dir}).load(meaningful); d != nil || err == nil {
		t.Errorf("%v %v", d, err)
	}
}

// TestCardFails: what cannot be kept still serves, and the status says so.
func TestCardFails(t *testing.T) {
	k := newKey(1)
	p := newPortal(t)
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Dir: filepath.Join(blocked, "site"), URL: p.URL, Roots: p.roots(), PublicKey: k.public})
	p.offer(doc(t, 1, "one"), k)
	if err := r.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "1 one")
	if r.Status().Card == "" {
		t.Error("nothing said about the card")
	}
}

func FuzzStore(f *testing.F) {
	dir := f.TempDir()
	s := &store{dir: dir}
	if err := s.save(&document{data: []byte("{}")}); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, currentName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, currentName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := (&store{dir: dir}).load(func(*document) error { return nil })
		if (d == nil) == (err == nil) {
			t.Fatalf("%v %v", d, err)
		}
	})
}
