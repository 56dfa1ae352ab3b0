package nbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func newDisk(t *testing.T, sectors int) (*Disk, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, sectors*sector), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, name
}

func full(b byte, sectors int) []byte { return bytes.Repeat([]byte{b}, sectors*sector) }

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOnlyFlushedReachesTheFile(t *testing.T) {
	d, name := newDisk(t, 4)
	seen := d.Watch("aaaa")
	if err := d.write(full('a', 2), sector); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4*sector)
	if err := d.read(got, 0); err != nil || got[sector] != 'a' || got[0] != 0 || got[3*sector] != 0 {
		t.Fatalf("a read does not see what was written: %v", err)
	}
	if content(t, name)[sector] != 0 {
		t.Fatal("it is in the file before the flush")
	}
	if !seen.written || seen.Settled() {
		t.Fatal("settled before the flush")
	}
	for range flushesOfOne {
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if seen.Settled() {
		t.Fatal("settled without a quiet moment")
	}
	d.last = d.last.Add(-quiet)
	if !seen.Settled() {
		t.Fatal("not settled after the flushes and a quiet moment")
	}
	if content(t, name)[sector] != 'a' {
		t.Fatal("it is not in the file after the flush")
	}
	for _, bad := range []struct {
		n  int
		at int64
	}{{1, 0}, {sector, 1}, {sector, 4 * sector}, {2 * sector, 3 * sector}, {sector, -sector}} {
		if err := d.write(make([]byte, bad.n), bad.at); err == nil {
			t.Errorf("%+v was written", bad)
		}
	}
}

// After a cut each unflushed write is there, torn or gone, flushed ones are whole, and all of that happens.
func TestCut(t *testing.T) {
	var total Loss
	for seed := range uint64(50) {
		d, name := newDisk(t, 64)
		if err := d.write(full('f', 8), 0); err != nil {
			t.Fatal(err)
		}
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
		for i := range int64(7) {
			if err := d.write(full('u', 8), (i+1)*8*sector); err != nil {
				t.Fatal(err)
			}
		}
		loss, err := d.Cut(rand.New(rand.NewPCG(seed, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var found Loss
		for i := range 8 {
			n := bytes.Count(content(t, name)[i*8*sector:(i+1)*8*sector], []byte{"fu"[min(i, 1)]})
			switch {
			case i == 0 && n != 8*sector:
				t.Fatalf("seed %d: a flushed write was damaged", seed)
			case i > 0 && n == 8*sector:
				found.Kept++
			case i > 0 && n > 0:
				found.Torn++
				if n%sector != 0 {
					t.Fatalf("seed %d: torn within a sector", seed)
				}
			}
		}
		if found.Kept != loss.Kept || found.Torn != loss.Torn || loss.Unflushed != 7 {
			t.Fatalf("seed %d: says %v, is %+v", seed, loss, found)
		}
		total.Kept, total.Torn, total.Unflushed = total.Kept+found.Kept, total.Torn+found.Torn, total.Unflushed+7
		if err := d.flush(); err == nil {
			t.Fatal("a disk without power flushes")
		}
	}
	if total.Torn != 50 || total.Kept < 50 || total.Unflushed-total.Kept-total.Torn < 50 {
		t.Fatalf("not random: %v", total)
	}
}

func TestCutAfter(t *testing.T) {
	d, _ := newDisk(t, 8)
	lost := d.CutAfter(2, rand.New(rand.NewPCG(1, 1)))
	if err := d.write(full('a', 1), 0); err != nil {
		t.Fatal(err)
	}
	select {
	case l := <-lost:
		t.Fatalf("cut too early: %v", l)
	default:
	}
	if err := d.write(full('b', 4), sector); err == nil {
		t.Fatal("the write that lost the power went well")
	}
	if l := <-lost; l.Unflushed != 2 {
		t.Fatalf("%v", l)
	}
	if d.write(full('c', 1), 0) == nil || d.flush() == nil {
		t.Fatal("a disk without power works")
	}
}

func TestCutAt(t *testing.T) {
	d, _ := newDisk(t, 8)
	lost := d.CutAt("bbb", 2, rand.New(rand.NewPCG(1, 1)))
	for _, letter := range []byte("aacb") {
		if err := d.write(full(letter, 1), 0); err != nil {
			t.Fatalf("%c: %v", letter, err)
		}
		if err := d.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.write(full('a', 1), 0); err == nil {
		t.Fatal("the second write from the text on went well")
	}
	if l := <-lost; l.Unflushed != 1 {
		t.Fatalf("%v", l)
	}
}

// A client that speaks the protocol as QEMU does.
func TestServe(t *testing.T) {
	d, name := newDisk(t, 8)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- d.Serve(l) }()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(n int) []byte {
		t.Helper()
		b := make([]byte, n)
		_, err := io.ReadFull(c, b)
		must(err)
		return b
	}
	if hello := expect(18); string(hello[:16]) != "NBDMAGICIHAVEOPT" {
		t.Fatalf("%q", hello)
	}
	must(put(c, uint32(3)))
	must(put(c, uint64(magicOption), uint32(8), uint32(0))) // structured replies: not here
	if r := expect(20); binary.BigEndian.Uint32(r[12:]) != repErrUnsupported {
		t.Fatalf("%x", r)
	}
	must(put(c, uint64(magicOption), uint32(optGo), uint32(6), uint32(0), uint16(0)))
	if r := expect(32 + 20); binary.BigEndian.Uint64(r[22:]) != 8*sector || binary.BigEndian.Uint32(r[44:]) != repAck {
		t.Fatalf("%x", r)
	}
	ask := func(kind uint16, at uint64, n uint32, data []byte) uint32 {
		t.Helper()
		must(put(c, uint32(magicAsk), uint16(0), kind, uint64(7), at, n, data))
		return binary.BigEndian.Uint32(expect(16)[4:])
	}
	if code := ask(cmdWrite, sector, sector, full('x', 1)); code != 0 {
		t.Fatal(code)
	}
	if code := ask(cmdFlush, 0, 0, nil); code != 0 || content(t, name)[sector] != 'x' {
		t.Fatal(code)
	}
	if code := ask(cmdRead, sector, sector, nil); code != 0 || !bytes.Equal(expect(sector), full('x', 1)) {
		t.Fatal(code)
	}
	if code := ask(cmdRead, 8*sector, sector, nil); code != errInvalid {
		t.Fatal(code)
	}
	must(put(c, uint32(magicAsk), uint16(0), uint16(cmdDisconnect), uint64(0), uint64(0), uint32(0)))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after goodbye: %v", err)
	}
	l.Close()
	must(<-served)
}

func TestWorn(t *testing.T) {
	d, _ := newDisk(t, 2)
	if err := d.write(full('a', 1), 0); err != nil {
		t.Fatal(err)
	}
	d.WearOut()
	if err := d.write(full('b', 1), 0); err == nil || d.Refused() != 1 {
		t.Errorf("%v, %d refused", err, d.Refused())
	}
	got := make([]byte, sector)
	if err := errors.Join(d.flush(), d.read(got, 0)); err != nil || got[0] != 'a' {
		t.Errorf("%q %v", got[0], err)
	}
}
