package prompt

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"holdfast/media/prompt/g711"
)

func TestPrompt(t *testing.T) {
	mu := mustNew(t, "PCMU", 8000, 160, pcm(0x10), pcm(0xff), pcm(0x10))
	p, err := NewPrompt("x", mu, mustNew(t, "opus", 48000, 960, []byte{9 << 3}, []byte{9 << 3}, []byte{9 << 3}))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "x" || p.Duration() != 60*time.Millisecond || p.For("pcmu", 8000) != mu || p.For("Opus", 48000) == nil {
		t.Errorf("%+v", p)
	}
	if p.For("PCMU", 16000) != nil || p.For("G729", 8000) != nil || p.For("", 8000) != nil {
		t.Error("a codec that is not there")
	}
	a := p.For("PCMA", 8000)
	if a == nil || a.Len() != 3 || len(a.distinct) != 2 {
		t.Fatalf("PCMA made of PCMU: %+v", a)
	}
	for i := range 3 {
		for j, c := range a.Frame(i) {
			if want := g711.EncodeALaw(g711.DecodeULaw(mu.Frame(i)[j])); c != want {
				t.Fatalf("frame %d: %#x, want %#x", i, c, want)
			}
		}
	}
	own := mustNew(t, "PCMA", 8000, 160, pcm(1), pcm(2), pcm(3))
	if p, err := NewPrompt("x", mu, own); err != nil || p.For("PCMA", 8000) != own {
		t.Errorf("PCMA that is there is not replaced: %v", err)
	}
	for _, bad := range [][]*Frames{nil, {mu, mu}, {mu, mustNew(t, "opus", 48000, 960, strings2frames(12)...)}} {
		if _, err := NewPrompt("x", bad...); err == nil {
			t.Errorf("accepted %v", bad)
		}
	}
}

func strings2frames(n int) (out [][]byte) {
	for range n {
		out = append(out, []byte{9 << 3})
	}
	return out
}

func TestPlayer(t *testing.T) {
	f := mustNew(t, "x", 8000, 160, []byte("a"), []byte("b"), []byte("c"))
	heard := func(p *Player, n int) (s string) {
		for range n {
			if b, ok := p.Next(); ok {
				s += string(b)
			} else {
				s += "."
			}
		}
		return s
	}
	once, loop := NewPlayer(f, false), NewPlayer(f, true)
	if got := heard(&once, 5); got != "abc.." {
		t.Errorf("once: %s", got)
	}
	if got := heard(&loop, 8); got != "abcabcab" {
		t.Errorf("looped: %s", got)
	}
	var none Player
	if got := heard(&none, 2); got != ".." {
		t.Errorf("nothing: %s", got)
	}

	// Another codec, with frames of 10 ms: it goes on at the same time.
	g := mustNew(t, "y", 16000, 160, []byte("0"), []byte("1"), []byte("2"), []byte("3"), []byte("4"), []byte("5"))
	p := NewPlayer(f, true)
	if got := heard(&p, 2); got != "ab" {
		t.Fatal(got)
	}
	p.Change(f)
	p.Change(g)
	if got := heard(&p, 3); got != "450" || p.Frames() != g {
		t.Errorf("after the change: %s", got)
	}
	p.Change(f)
	if got := heard(&p, 2); got != "bc" { // 10 ms are nearer to the second frame than 0 to the first one's end
		t.Errorf("after another: %s", got)
	}
	p.Change(nil)
	if got := heard(&p, 1); got != "." {
		t.Errorf("after the last: %s", got)
	}
}

func TestLoad(t *testing.T) {
	mu := mustNew(t, "PCMU", 8000, 160, pcm(1)).Append(nil)
	opus := mustNew(t, "opus", 48000, 960, []byte{9 << 3}).Append(nil)
	s, err := Load(fstest.MapFS{
		"d/a.pcmu.frames": {Data: mu}, "d/a.opus.frames": {Data: opus}, "d/b-2.opus.frames": {Data: opus}, "d/README.md": {Data: []byte("x")},
		"e/c.opus.frames": {Data: []byte("elsewhere")},
	}, "d")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Names(), " "); got != "a b-2" {
		t.Errorf("names %s", got)
	}
	if p := s.Prompt("a"); p == nil || p.For("PCMA", 8000) == nil || p.For("opus", 48000) == nil {
		t.Errorf("%+v", p)
	}
	if s.Prompt("c") != nil || (*Set)(nil).Prompt("a") != nil {
		t.Error("a prompt that is not there")
	}
	own, err := Load(fstest.MapFS{"a.opus.frames": {Data: opus}}, ".")
	if err != nil {
		t.Fatal(err)
	}
	if both := s.With(own); both.Prompt("a") != own.Prompt("a") || both.Prompt("b-2") == nil || s.Prompt("a") == own.Prompt("a") {
		t.Error("an owner's prompts come first, and change no other set")
	}
	for name, fsys := range map[string]fstest.MapFS{
		"no folder": {}, "no frame file": {"d/a.opus.frames": {Data: []byte("x")}}, "another codec's name": {"d/a.pcma.frames": {Data: mu}},
		"no prompt's name": {"d/pcmu.frames": {Data: mu}}, "two dots": {"d/a.b.pcmu.frames": {Data: mu}}, "too long": {"d/a.pcmu.frames": {Data: make([]byte, MaxFile+9)}},
	} {
		if _, err := Load(fsys, "d"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What comes with the program is complete, and small.
func TestDefault(t *testing.T) {
	s, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[string]time.Duration{
		HoldMusic: 10 * time.Second, RingBack: 6 * time.Second, Silence: 20 * time.Millisecond,
		EmergencyNotice: 4 * time.Second, AllTrunksDead: 3 * time.Second, NotInService: 3 * time.Second, NobodyThere: 3 * time.Second,
	}
	for name, least := range lengths {
		p := s.Prompt(name)
		if p == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if d := p.Duration(); d < least || d > 30*time.Second {
			t.Errorf("%s lasts %v", name, d)
		}
		for codec, clock := range map[string]uint32{"opus": 48000, "PCMU": 8000, "PCMA": 8000, "G729": 8000} {
			f := p.For(codec, clock)
			if f == nil {
				t.Errorf("%s is missing in %s", name, codec)
			} else if f.Period() != 20*time.Millisecond {
				t.Errorf("%s in %s has frames of %v", name, codec, f.Period())
			}
		}
	}
	if len(s.Names()) != len(lengths) {
		t.Errorf("prompts %v", s.Names())
	}
	entries, err := standard.ReadDir("default")
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 400<<10 {
		t.Errorf("%d bytes are too many for a small box", size)
	}

	// Heard as PCMU: nothing clips, speech and music are loud, silence is none.
	for name := range lengths {
		f := s.Prompt(name).For("PCMU", 8000)
		var peak, sum float64
		for i := range f.Len() {
			for _, c := range f.Frame(i) {
				x := float64(g711.DecodeULaw(c)) / 32768
				peak, sum = max(peak, x, -x), sum+x*x
			}
		}
		power := sum / float64(160*f.Len())
		if name == Silence {
			if peak != 0 {
				t.Errorf("silence has a peak of %v", peak)
			}
		} else if peak > 0.8 || peak < 0.1 || power < 0.0005 {
			t.Errorf("%s: peak %.2f, power %.5f", name, peak, power)
		}
	}
}

func BenchmarkDefault(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Default(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	s, err := Default()
	if err != nil {
		b.Fatal(err)
	}
	p := NewPlayer(s.Prompt(HoldMusic).For("opus", 48000), true)
	b.ReportAllocs()
	for b.Loop() {
		p.Next()
	}
}
