package update

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// environment is a file as U-Boot's `env export -c -s 200` writes it.
func environment(text string) []byte {
	b := make([]byte, stateSize)
	copy(b[4:], text)
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

func TestDecode(t *testing.T) {
	const good = "failed=0\x00good=a\x00seq=1f\x00slot=b\x00tries=2\x00"
	for _, c := range []struct {
		name, text string
		want       State
		ok         bool
	}{
		{"as written", good, State{31, B, A, 2, 0}, true},
		{"other order, other keys", "slot=a\x00x=y\x00good=a\x00tries=0\x00seq=1\x00bare\x00failed=b\x00", State{1, A, A, 0, B}, true},
		{"what is behind the end does not count", good + "\x00slot=a\x00", State{31, B, A, 2, 0}, true},
		{"empty", "", State{}, false},
		{"no seq", "failed=0\x00good=a\x00slot=b\x00tries=2\x00", State{}, false},
		{"seq 0", "failed=0\x00good=a\x00seq=0\x00slot=b\x00tries=2\x00", State{}, false},
		{"seq too large", "failed=0\x00good=a\x00seq=100000000\x00slot=b\x00tries=2\x00", State{}, false},
		{"seq upper case", "failed=0\x00good=a\x00seq=1F\x00slot=b\x00tries=2\x00", State{}, false},
		{"seq with zeros", "failed=0\x00good=a\x00seq=01\x00slot=b\x00tries=2\x00", State{}, false},
		{"slot c", "failed=0\x00good=a\x00seq=1\x00slot=c\x00tries=2\x00", State{}, false},
		{"no good", "failed=0\x00seq=1\x00slot=a\x00tries=2\x00", State{}, false},
		{"tries 3", "failed=0\x00good=a\x00seq=1\x00slot=a\x00tries=3\x00", State{}, false},
		{"tries 12", "failed=0\x00good=a\x00seq=1\x00slot=a\x00tries=12\x00", State{}, false},
		{"no tries", "failed=0\x00good=a\x00seq=1\x00slot=a\x00", State{}, false},
		{"failed c", "failed=c\x00good=a\x00seq=1\x00slot=a\x00tries=1\x00", State{}, false},
		{"no failed", "good=a\x00seq=1\x00slot=a\x00tries=1\x00", State{}, false},
	} {
		if s, ok := decode(environment(c.text)); ok != c.ok || ok && s != c.want {
			t.Errorf("%s: %+v, %v", c.name, s, ok)
		}
	}
	b := environment(good)
	for i := range b {
		b[i] ^= 0x10
		if s, ok := decode(b); ok {
			t.Errorf("byte %d is wrong: %+v", i, s)
		}
		b[i] ^= 0x10
	}
	if _, ok := decode(b[:511]); ok {
		t.Error("a short file")
	}
	if _, ok := decode(append(b, 0)); ok {
		t.Error("a long file")
	}
}

// TestFactoryFile is what the image begins with, with U-Boot's checksum of it.
func TestFactoryFile(t *testing.T) {
	b := State{Seq: 2, Slot: A, Good: A}.encode()
	if want := []byte("failed=0\x00good=a\x00seq=2\x00slot=a\x00tries=0\x00\x00"); !bytes.HasPrefix(b[4:], want) || binary.LittleEndian.Uint32(b) != 0x59062428 {
		t.Errorf("%q %x", b[:60], b[:4])
	}
}

// TestReadState: the better file counts, whichever it is, and the other one is written.
func TestReadState(t *testing.T) {
	bad := make([]byte, stateSize)
	one, two := State{Seq: 1, Slot: A, Good: A}, State{Seq: 2, Slot: B, Good: A, Tries: 1}
	for _, c := range []struct {
		name   string
		files  [2][]byte
		want   State
		writes int
	}{
		{"both", [2][]byte{one.encode(), two.encode()}, two, 0},
		{"both, turned", [2][]byte{two.encode(), one.encode()}, two, 1},
		{"first torn", [2][]byte{bad, one.encode()}, one, 0},
		{"second torn", [2][]byte{one.encode(), bad}, one, 1},
		{"both torn", [2][]byte{bad, bad}, factory, 0},
	} {
		d := newDisk(1)
		for n, f := range c.files {
			d.put([]string{"boot/state/0", "boot/state/1"}[n], f, stateSize)
		}
		card := cardOf(t, d, A, false, v1)
		if s := card.State(); s != c.want {
			t.Errorf("%s: %+v", c.name, s)
		}
		if err := card.writeState(State{Slot: B, Good: B}); err != nil {
			t.Fatal(err)
		}
		if s := card.State(); s != (State{Seq: c.want.Seq + 1, Slot: B, Good: B}) {
			t.Errorf("%s: %+v after writing", c.name, s)
		}
		untouched := []string{"boot/state/0", "boot/state/1"}[1-c.writes]
		if !bytes.Equal(d.files[untouched].seen, c.files[1-c.writes]) {
			t.Errorf("%s: the file that counts was written", c.name)
		}
	}
	d := newDisk(1)
	d.put("boot/state/0", State{Seq: 1<<32 - 1, Slot: A, Good: A}.encode(), stateSize)
	d.put("boot/state/1", bad, stateSize)
	if err := cardOf(t, d, A, false, v1).writeState(two); err == nil {
		t.Error("the numbers began again")
	}
	d.files = map[string]*platter{}
	if s := cardOf(t, d, A, false, v1).State(); s != factory {
		t.Errorf("no files at all: %+v", s)
	}
}

// FuzzState: what counts is one of the states there are, and reads as it is written.
func FuzzState(f *testing.F) {
	f.Add([]byte("failed=0\x00good=a\x00seq=1f\x00slot=b\x00tries=2\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, ok := decode(environment(string(text)))
		if !ok {
			return
		}
		if !s.Slot.valid() || !s.Good.valid() || s.Tries < 0 || s.Tries > maxTries || s.Seq == 0 {
			t.Errorf("%+v", s)
		}
		if again, ok := decode(s.encode()); !ok || again != s {
			t.Errorf("%+v became %+v", s, again)
		}
	})
}

// TestAskingWritesNothing: a file that is open for writing would keep the boot partition from becoming read-only again, and the
// update that writes it meanwhile would fail at its end.
func TestAskingWritesNothing(t *testing.T) {
	c, d := newCard(t, 1)
	asked := 0
	c.open = func(path string, write bool) (file, error) {
		if asked++; write {
			t.Errorf("%s is opened for writing", path)
		}
		return d.open(path, write)
	}
	if c.State(); asked == 0 {
		t.Error("nothing was read")
	}
}
