package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binding is about what the registrar keeps of a phone.
type binding struct {
	AOR, Contact, Instance, CallID string
	CSeq                           uint32
	Expires                        time.Time
}

func someBinding(n, seq int) (string, binding) {
	return fmt.Sprintf("user%d@branch.example;<urn:uuid:00000000-0000-1000-8000-%012d>;1", n, n), binding{
		AOR: fmt.Sprintf("user%d@branch.example", n), Contact: fmt.Sprintf("sip:user%d@10.0.%d.%d:49152;transport=tls;ob", n, n>>8&255, n&255),
		Instance: fmt.Sprintf("urn:uuid:00000000-0000-1000-8000-%012d", n), CallID: fmt.Sprintf("call-%d@phone", n), CSeq: uint32(seq),
		Expires: time.Unix(1_800_000_000+int64(seq), 0).UTC(),
	}
}

func open(t testing.TB, path string) (*File, Report) {
	t.Helper()
	s, r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, r
}

func TestSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, r := open(t, path)
	if r.Entries != 0 || r.Fault != "" {
		t.Errorf("a new file reports %+v", r)
	}
	want := map[string]binding{}
	for n := range 50 {
		key, b := someBinding(n, 1)
		want[key] = b
		if err := s.Put("bindings", key, b); err != nil {
			t.Fatal(err)
		}
	}
	gone, _ := someBinding(7, 0)
	delete(want, gone)
	if err := errors.Join(s.Delete("bindings", gone), s.Delete("bindings", "never there"), s.Put("mode", "mode", "resilience")); err != nil {
		t.Fatal(err)
	}
	// Not closed: a killed program does not close either.
	again, r := open(t, path)
	got, unfit := Load[binding](again, "bindings")
	if r.Entries != 50 || r.Fault != "" || unfit != 0 || !maps.Equal(got, want) {
		t.Errorf("%+v, %d unfit, %d entries, want %d", r, unfit, len(got), len(want))
	}
	if mode, _ := Load[string](again, "mode"); mode["mode"] != "resilience" {
		t.Errorf("mode %v", mode)
	}
	if _, unfit := Load[int](again, "mode"); unfit != 1 {
		t.Errorf("%d unfit, want 1", unfit)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestRefuses(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "state"))
	if err := s.Put("x", strings.Repeat("k", MaxKey), 1); !errors.Is(err, ErrTooBig) {
		t.Errorf("long key: %v", err)
	}
	if err := s.Put("x", "k", strings.Repeat("v", MaxValue)); !errors.Is(err, ErrTooBig) {
		t.Errorf("long value: %v", err)
	}
	if err := s.Put("x", "k", func() {}); err == nil {
		t.Error("a function was kept")
	}
	s.used = MaxLive
	if err := s.Put("x", "k", 1); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	s.used = 0
	s.Close()
	if err := s.Put("x", "k", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, _, err := Open(filepath.Join(t.TempDir(), "no", "such", "folder")); err == nil {
		t.Error("opened in a folder that is not there")
	}
}

// TestTornAnywhere: cut at any byte, the file gives the state of its last whole record; flipped anywhere, never a state
// that was not.
func TestTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, filepath.Join(dir, "state"))
	states := []map[string]int{{}}
	sizes := []int64{s.size}
	now := map[string]int{}
	for n := range 12 {
		key := fmt.Sprint("k", n%5)
		var err error
		if n%4 == 3 {
			err = s.Delete("x", key)
			delete(now, key)
		} else {
			err = s.Put("x", key, n)
			now[key] = n
		}
		if err != nil {
			t.Fatal(err)
		}
		states, sizes = append(states, maps.Clone(now)), append(sizes, s.size)
	}
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	load := func(data []byte) (map[string]int, Report) {
		if err := os.WriteFile(other, data, 0o600); err != nil {
			t.Fatal(err)
		}
		again, r := open(t, other)
		defer again.Close()
		got, _ := Load[int](again, "x")
		return got, r
	}
	for cut := range whole {
		want, whole1 := map[string]int{}, false
		for i, size := range sizes {
			if int64(cut) >= size {
				want, whole1 = states[i], int64(cut) == size
			}
		}
		got, r := load(whole[:cut])
		if !maps.Equal(got, want) || (r.Fault == "") != whole1 {
			t.Fatalf("cut at %d: %v, want %v; fault %q", cut, got, want, r.Fault)
		}
		flipped := append([]byte(nil), whole...)
		flipped[cut] ^= 0x40
		got, r = load(flipped)
		known := false
		for _, state := range states {
			known = known || maps.Equal(got, state)
		}
		if !known || r.Fault == "" {
			t.Fatalf("flipped at %d: %v, fault %q", cut, got, r.Fault)
		}
	}
}

// TestRewriteKeepsTheLogSmall: refreshes for ever do not make the file grow for ever, and nothing is lost by a rewrite.
func TestRewriteKeepsTheLogSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	want := map[string]binding{}
	for seq := range 20000 {
		key, b := someBinding(seq%20, seq)
		want[key] = b
		if err := s.Put("bindings", key, b); err != nil {
			t.Fatal(err)
		}
		if s.size > 2*s.used+slack {
			t.Fatalf("%d bytes for %d that live", s.size, s.used)
		}
	}
	again, _ := open(t, path)
	if got, _ := Load[binding](again, "bindings"); !maps.Equal(got, want) {
		t.Error("lost something")
	}
}

// TestWriteFails: after a failed write the next one puts everything right.
func TestWriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, path)
	good := s.f
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	good.Close()
	s.f = readOnly
	if err := s.Put("x", "first", 1); err == nil {
		t.Fatal("wrote to a file that is read-only")
	}
	if err := s.Put("x", "second", 2); err != nil {
		t.Fatal(err)
	}
	again, r := open(t, path)
	if got, _ := Load[int](again, "x"); len(got) != 2 || r.Fault != "" {
		t.Errorf("%v %+v", got, r)
	}
}

func TestConcurrentUse(t *testing.T) {
	s, _ := open(t, filepath.Join(t.TempDir(), "state"))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 200 {
				if err := s.Put("x", fmt.Sprint(g, "-", n%10), n); err != nil {
					t.Error(err)
				}
				if n%3 == 0 {
					s.Delete("x", fmt.Sprint(g, "-", n%10))
				}
			}
		})
	}
	wg.Wait()
	before, _ := Load[int](s, "x")
	again, _ := open(t, s.path)
	if after, _ := Load[int](again, "x"); !maps.Equal(before, after) {
		t.Errorf("%d entries, after reopening %d", len(before), len(after))
	}
}

// TestKilled: a program that is killed in full flight loses nothing that it has acknowledged.
func TestKilled(t *testing.T) {
	if path := os.Getenv("SNAPSHOT_VICTIM"); path != "" {
		s, _, err := Open(path)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		for seq := 1; ; seq++ {
			if err := s.Put("x", fmt.Sprint("k", seq%100), seq); err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println(seq) // the acknowledgement
		}
	}
	dir := t.TempDir()
	for round := range 3 {
		path := filepath.Join(dir, fmt.Sprint("state", round))
		victim := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		victim.Env = append(os.Environ(), "SNAPSHOT_VICTIM="+path)
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged, enough := 0, 500+rand.IntN(4000)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatal(lines.Text())
			}
			if acknowledged == enough {
				victim.Process.Kill()
			}
		}
		victim.Wait()
		s, r := open(t, path)
		got, _ := Load[int](s, "x")
		for seq := max(1, acknowledged-99); seq <= acknowledged; seq++ {
			if got[fmt.Sprint("k", seq%100)] < seq {
				t.Errorf("round %d: %d was acknowledged (the last was %d) and is lost: %+v", round, seq, acknowledged, r)
			}
		}
		s.Close()
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(appendRecord([]byte(magic), put, "s", "k", []byte("1")))
	f.Add(appendRecord(appendRecord([]byte(magic), put, "s", "k", []byte("1")), remove, "s", "k", nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &File{live: make(map[string]map[string][]byte)}
		fault := s.replay(data)
		var used int64
		for section, entries := range s.live {
			for key, value := range entries {
				used += recordSize(section, key, value)
			}
		}
		if used != s.used || used > int64(len(data)) || (fault == "" && len(data) < len(magic)) {
			t.Fatalf("used %d, counted %d, of %d bytes", s.used, used, len(data))
		}
	})
}

// BenchmarkPut is the cost of one registration's refresh while 5,000 phones are registered, rewrites included.
func BenchmarkPut(b *testing.B) {
	dir := b.TempDir()
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if shm, err := os.MkdirTemp("/dev/shm", "snapshot"); err == nil {
			dir = shm
			b.Cleanup(func() { os.RemoveAll(shm) })
		}
	}
	s, _ := open(b, filepath.Join(dir, "state"))
	const phones = 5000
	for n := range phones {
		key, v := someBinding(n, 0)
		if err := s.Put("bindings", key, v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	seq := 0
	worst := time.Duration(0)
	for b.Loop() {
		seq++
		key, v := someBinding(seq%phones, seq)
		begin := time.Now()
		if err := s.Put("bindings", key, v); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(begin))
	}
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}
