package prompt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"strings"
	"testing"
	"time"
)

// pcm is a payload of 20 ms at 8 bits and 8000 Hz.
func pcm(c byte) []byte { return bytes.Repeat([]byte{c}, 160) }

func mustNew(t testing.TB, codec string, clock, step uint32, payloads ...[]byte) *Frames {
	t.Helper()
	f, err := New(codec, clock, step, payloads)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	f := mustNew(t, "PCMU", 8000, 160, pcm(1), pcm(2), pcm(1), pcm(1), pcm(3))
	b := f.Append([]byte("before"))
	b = b[len("before"):]
	if want := len(magic) + 2 + 4 + 14 + 3*162 + 5*2 + 4; len(b) != want {
		t.Errorf("%d bytes, want %d: equal frames are stored once", len(b), want)
	}
	g, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if g.Codec() != "PCMU" || g.Clock() != 8000 || g.Step() != 160 || g.Period() != 20*time.Millisecond || g.Len() != 5 || g.Duration() != 100*time.Millisecond {
		t.Errorf("%+v", g)
	}
	for i := range f.Len() {
		if !bytes.Equal(f.Frame(i), g.Frame(i)) {
			t.Errorf("frame %d differs", i)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	many := make([][]byte, maxCount+1)
	for i := range many {
		many[i] = pcm(1)
	}
	for _, tt := range []struct {
		name, codec string
		clock, step uint32
		payloads    [][]byte
		want        string
	}{
		{"no codec", "", 8000, 160, [][]byte{pcm(1)}, "name has 1 to 16"},
		{"a long name", strings.Repeat("x", 17), 8000, 160, [][]byte{pcm(1)}, "name has 1 to 16"},
		{"a name with a slash", "PCMU/8000", 8000, 160, [][]byte{pcm(1)}, "no codec's name"},
		{"a name in other letters", "µ", 8000, 160, [][]byte{pcm(1)}, "no codec's name"},
		{"a slow clock", "x", 7999, 160, [][]byte{pcm(1)}, "clock of 7999"},
		{"a fast clock", "x", 192001, 160, [][]byte{pcm(1)}, "clock of 192001"},
		{"no length", "x", 8000, 0, [][]byte{pcm(1)}, "no whole number"},
		{"half a millisecond", "x", 8000, 164, [][]byte{pcm(1)}, "no whole number"},
		{"5 ms", "x", 8000, 40, [][]byte{pcm(1)}, "no whole number"},
		{"70 ms", "x", 8000, 560, [][]byte{pcm(1)}, "no whole number"},
		{"nothing", "x", 8000, 160, nil, "no frame"},
		{"too much", "PCMU", 8000, 160, many, "too many"},
		{"an empty frame", "x", 8000, 160, [][]byte{{}}, "0 bytes"},
		{"a long frame", "x", 8000, 160, [][]byte{make([]byte, 1276)}, "1276 bytes"},
		{"a short frame of PCMU", "pcmu", 8000, 160, [][]byte{pcm(1), pcm(1)[1:]}, "do not last"},
		{"PCMA at another clock", "PCMA", 16000, 320, [][]byte{make([]byte, 320)}, "clock of PCMA"},
		{"G.729 with a silence descriptor", "G729", 8000, 160, [][]byte{make([]byte, 12)}, "do not last"},
		{"Opus at 8000 Hz", "opus", 8000, 160, [][]byte{{0x48}}, "not 160"},
		{"Opus of 10 ms", "opus", 48000, 960, [][]byte{{8 << 3, 1}}, "lasts 480"},
		{"Opus of two frames", "opus", 48000, 960, [][]byte{{9<<3 | 1, 1}}, "lasts 1920"},
		{"Opus without a count", "opus", 48000, 960, [][]byte{{9<<3 | 3}}, "how many"},
		{"Opus of no frames", "opus", 48000, 960, [][]byte{{9<<3 | 3, 0}}, "how many"},
		{"Opus of too many", "opus", 48000, 960, [][]byte{{9<<3 | 3, 7}}, "more than 120"},
	} {
		if _, err := New(tt.codec, tt.clock, tt.step, tt.payloads); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for toc, frames := range map[byte]byte{9 << 3: 0, 13 << 3: 0, 31 << 3: 0, 30<<3 | 1: 0, 8<<3 | 2: 0, 16<<3 | 3: 8} { // all of 20 ms
		if _, err := New("opus", 48000, 960, [][]byte{{toc, frames, 1, 2}}); err != nil {
			t.Errorf("Opus that begins with %#x: %v", toc, err)
		}
	}
}

// sealed puts the right checksum behind what a test has changed.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(b[:len(b)-4]), crc32.Checksum(b[:len(b)-4], castagnoli))
}

func TestParseRefuses(t *testing.T) {
	good := mustNew(t, "x", 8000, 160, []byte("one"), []byte("two"), []byte("one")).Append(nil)
	const counts = 8 + 2 + 1 + 8 // where the counts begin
	change := func(do func(b []byte) []byte) []byte { return sealed(do(bytes.Clone(good))) }
	at := func(i int, c byte) []byte { return change(func(b []byte) []byte { b[i] = c; return b }) }
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "does not begin"},
		{"too long", make([]byte, MaxFile+1), "more than"},
		{"another file", []byte("RIFF0000WAVE"), "does not begin"},
		{"another version", at(8, 2), "version 2"},
		{"a name over the end", at(9, 255), "cut off"},
		{"no distinct frames", at(counts+1, 0), "do not fit"},
		{"more than there is room for", at(counts+4, 1), "do not fit"},
		{"less played than there is", at(counts+5, 1), "do not fit"},
		{"a frame over the end", at(counts+6, 255), "cut off"},
		{"a frame twice", change(func(b []byte) []byte { copy(b[counts+6+7:], "one"); return b }), "there twice"},
		{"a frame that is not there", at(len(good)-5, 2), "out of turn"},
		{"not in turn", at(len(good)-9, 1), "out of turn"},
		{"a frame never played", change(func(b []byte) []byte { b[len(b)-7] = 0; return b }), "never played"},
		{"something behind", change(func(b []byte) []byte { return append(b, 0) }), "follow its end"},
		{"a flipped bit", func() []byte { b := bytes.Clone(good); b[counts+9] ^= 1; return b }(), "checksum"},
		{"a bad clock", at(11, 0xff), "clock"},
	} {
		if _, err := Parse(tt.b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for n := range good {
		if _, err := Parse(good[:n]); err == nil {
			t.Errorf("accepted after %d of %d bytes", n, len(good))
		}
	}
}

// FuzzParse: what is accepted obeys the limits, plays to its end, and is written down again as the same bytes.
func FuzzParse(f *testing.F) {
	f.Add(mustNew(f, "PCMU", 8000, 160, pcm(1), pcm(2), pcm(1)).Append(nil))
	f.Add(mustNew(f, "opus", 48000, 960, []byte{9 << 3, 1}, []byte{9 << 3, 2}).Append(nil))
	f.Add(mustNew(f, "x", 8000, 160, []byte("one"), []byte("two")).Append(nil))
	if b, err := os.ReadFile("default/ring-back.opus" + Suffix); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4 {
			b = sealed(b) // or nothing would get past the checksum
		}
		frames, err := Parse(b)
		if err != nil {
			return
		}
		p, n := NewPlayer(frames, false), 0
		for {
			payload, ok := p.Next()
			if !ok {
				break
			}
			if len(payload) == 0 || len(payload) > MaxFrame {
				t.Fatalf("a frame of %d bytes", len(payload))
			}
			n++
		}
		if n != frames.Len() || frames.Period() < 10*time.Millisecond || frames.Period() > 60*time.Millisecond {
			t.Fatalf("%d of %d frames of %v", n, frames.Len(), frames.Period())
		}
		if again := frames.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("written as %x, read from %x", again, b)
		}
		if _, err := NewPrompt("x", frames); err != nil {
			t.Fatal(err)
		}
	})
}
