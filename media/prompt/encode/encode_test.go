package main

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/media/prompt"
	"holdfast/media/prompt/g711"
)

// wav writes 16-bit PCM.
func wav(rate, channels int, samples ...int16) []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 16, 0, 0, 0, 1, 0, byte(channels), 0)
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(2*channels*rate))
	b = append(b, byte(2*channels), 0, 16, 0)
	b = append(b, "LIST\x03\x00\x00\x00abc\x00data"...)
	b = le.AppendUint32(b, uint32(2*len(samples)))
	for _, s := range samples {
		b = le.AppendUint16(b, uint16(s))
	}
	return b
}

func TestParseWAV(t *testing.T) {
	s, err := parseWAV(wav(22050, 2, 16384, 0, -32768, -32768, 100))
	if err != nil || s.rate != 22050 || len(s.samples) != 2 || s.samples[0] != 0.25 || s.samples[1] != -1 {
		t.Errorf("%+v, %v", s, err)
	}
	good := wav(8000, 1, 1, 2)
	stream := append([]byte(nil), good...)
	copy(stream[len(stream)-8:], "\xff\xff\xff\x7f") // length not known when it was written
	if s, err := parseWAV(stream); err != nil || len(s.samples) != 2 {
		t.Errorf("a stream: %+v, %v", s, err)
	}
	change := func(at int, c byte) []byte { b := append([]byte(nil), good...); b[at] = c; return b }
	for name, b := range map[string][]byte{
		"nothing": nil, "another file": []byte("OggS00000000"), "no chunks": good[:12], "a chunk cut off": good[:30], "floats": change(20, 3),
		"8 bits": change(34, 8), "no channel": change(22, 0), "too slow": wav(4000, 1, 1), "no samples": wav(8000, 1), "no format": append(append([]byte(nil), good[:12]...), good[48:]...),
	} {
		if _, err := parseWAV(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// power of one frequency in a sound, 1 for a full-scale sine.
func power(s sound, f float64) float64 {
	var re, im float64
	for i, x := range s.samples {
		a := 2 * math.Pi * f * float64(i) / float64(s.rate)
		re, im = re+x*math.Cos(a), im+x*math.Sin(a)
	}
	n := float64(len(s.samples)) / 2
	return (re*re + im*im) / (n * n)
}

func TestResample(t *testing.T) {
	sine := func(rate int, f float64) sound {
		s := silence(rate, 0.5)
		for i := range s.samples {
			s.samples[i] = math.Sin(2 * math.Pi * f * float64(i) / float64(rate))
		}
		return s
	}
	for _, tt := range []struct {
		from, to int
		f        float64
		pass     bool
	}{
		{22050, 16000, 1000, true}, {22050, 16000, 6500, true}, {16000, 8000, 3300, true}, {8000, 16000, 3000, true}, {44100, 16000, 440, true},
		{16000, 8000, 5000, false}, {22050, 16000, 9500, false}, {16000, 8000, 7000, false},
	} {
		out := sine(tt.from, tt.f).resample(tt.to, true)
		if len(out.samples) != tt.to/2 || out.rate != tt.to {
			t.Fatalf("%+v: %d samples at %d Hz", tt, len(out.samples), out.rate)
		}
		sum := 0.0
		for _, x := range out.samples {
			sum += x * x
		}
		sum /= float64(len(out.samples)) / 2
		if tt.pass && (math.Abs(power(out, tt.f)-1) > 0.02 || math.Abs(sum-1) > 0.02) || !tt.pass && sum > 1e-4 {
			t.Errorf("%+v: %v at the frequency, %v in all", tt, power(out, tt.f), sum)
		}
	}
}

func TestSound(t *testing.T) {
	s := sound{8000, []float64{0, 0, 0.1, -0.25, 0.001, 0}}
	if got := s.trim(); len(got.samples) != 2 {
		t.Errorf("trimmed to %v", got.samples)
	}
	if got := s.level(6.0206); math.Abs(got.samples[3]+0.5) > 1e-4 {
		t.Errorf("level %v", got.samples[3])
	}
	if got := silence(8000, 1).trim(); len(got.samples) != 0 {
		t.Error("silence is left")
	}
	if got := (sound{8000, []float64{2, -2, 0.5}}).pcm(); got[0] != 32767 || got[1] != -32767 || got[2] != 16384 {
		t.Errorf("samples %v", got)
	}
	if b := blocks([]int16{1, 2, 3}, 2); len(b) != 2 || len(b[1]) != 2 || b[1][0] != 3 || b[1][1] != 0 {
		t.Errorf("blocks %v", b)
	}
}

// The tones are those of the recommendations, the loops have no seam, and equal bars are stored once.
func TestStandardSounds(t *testing.T) {
	tone := sound{rate, ringBack().samples[:2*rate]}
	for f, want := range map[float64]bool{440: true, 480: true, 400: false, 520: false, 1000: false} {
		if db := 10 * math.Log10(power(tone, f)+1e-12); want != (db > -23 && db < -21) {
			t.Errorf("ring-back has %.1f dB at %v Hz", db, f)
		}
	}
	if n := len(ringBack().samples); n != 6*rate {
		t.Errorf("ring-back lasts %d samples", n)
	}
	m := music()
	if n := len(m.samples); n%(rate/50) != 0 {
		t.Errorf("%d samples of music are no whole number of frames", n)
	}
	jump := 0.0
	for i, x := range m.samples {
		before := m.samples[(i+len(m.samples)-1)%len(m.samples)]
		if i == 0 && math.Abs(x-before) > 0.01 {
			t.Errorf("the seam of the music jumps by %v", x-before)
		}
		jump = max(jump, math.Abs(x-before))
	}
	if jump > 0.35 {
		t.Errorf("the music jumps by %v", jump)
	}
	f, err := encodeULaw(piece{name: "m", sound: m, loop: true, music: true})
	if err != nil {
		t.Fatal(err)
	}
	if size := len(f.Append(nil)); size > f.Len()*162*7/8 {
		t.Errorf("%d bytes for %d frames: equal bars are not equal frames", size, f.Len())
	}
}

// The committed set's G.711 and tones are what this program makes: nothing was put there by hand.
func TestCommittedTones(t *testing.T) {
	set, err := prompt.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []piece{{name: prompt.RingBack, sound: ringBack(), loop: true}, {name: prompt.HoldMusic, sound: music(), loop: true, music: true}, {name: prompt.Silence, sound: silence(rate, 0.1), loop: true}} {
		made, err := encodeULaw(p)
		if err != nil {
			t.Fatal(err)
		}
		kept := set.Prompt(p.name).For("PCMU", 8000)
		if made.Len() != kept.Len() {
			t.Fatalf("%s: %d frames are kept, %d made", p.name, kept.Len(), made.Len())
		}
		for i := range made.Len() {
			for j, c := range made.Frame(i) { // another processor may round otherwise
				a, b := int(g711.DecodeULaw(c)), int(g711.DecodeULaw(kept.Frame(i)[j]))
				if max(a-b, b-a) > 16+max(a, -a)/8 {
					t.Fatalf("%s: frame %d is not what is kept", p.name, i)
				}
			}
		}
	}
}

func TestRecordings(t *testing.T) {
	dir := t.TempDir()
	samples := make([]int16, 44100/2)
	for i := range samples {
		samples[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/44100))
	}
	file := filepath.Join(dir, "my.wav")
	if err := os.WriteFile(file, wav(44100, 1, samples...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, "", false, []string{"own=" + file}); err != nil {
		t.Fatal(err)
	}
	set, err := prompt.Load(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	f := set.Prompt("own").For("PCMU", 8000)
	if f == nil || f.Len() != 25 {
		t.Fatalf("%+v", f)
	}
	heard := sound{rate: 8000}
	for i := range f.Len() {
		for _, c := range f.Frame(i) {
			heard.samples = append(heard.samples, float64(g711.DecodeULaw(c))/32768)
		}
	}
	if p := power(heard, 440); math.Abs(math.Sqrt(p)-8000.0/32768) > 0.01 {
		t.Errorf("440 Hz at %v", math.Sqrt(p))
	}
	for _, bad := range [][]string{{"own"}, {"=x.wav"}, {"a.b=x.wav"}, {"../x=x.wav"}, {"x=" + filepath.Join(dir, "none.wav")}, {"x=" + filepath.Join(dir, "own.pcmu.frames")}} {
		if err := run(dir, "", false, bad); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	if err := run("", "", false, nil); err == nil || !strings.Contains(err.Error(), "-out") {
		t.Errorf("no folder: %v", err)
	}
	if err := run(dir, filepath.Join(dir, "no-such-program"), false, nil); err == nil {
		t.Error("nobody speaks, and no error")
	}
}
