package outbox

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestTornAtEveryByte cuts the file at each byte: nothing whole is lost, nothing is made up, and it can be written on.
func TestTornAtEveryByte(t *testing.T) {
	d := newFakeDisk(1)
	b, stop := started(t, d, Options{})
	ends := map[string]int64{}
	var done ID
	for n := range 6 {
		id, err := b.Append(t.Context(), "call", bytes.Repeat([]byte{byte('a' + n)}, 5+n*7))
		if err != nil {
			t.Fatal(err)
		}
		ends[string(bytes.Repeat([]byte{byte('a' + n)}, 5+n*7))] = b.segments[0].size
		if n == 0 {
			done = id
		}
	}
	if err := b.Done(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	stop()
	name, whole := b.segments[0].name, b.segments[0].file.(*fakeFile).data
	for cut := 0; cut <= len(whole); cut++ {
		torn := newFakeDisk(1)
		f := &fakeFile{disk: torn, data: bytes.Clone(whole[:cut]), synced: bytes.Clone(whole[:cut])}
		torn.names[name], torn.durable[name] = f, f
		again, stop := started(t, torn, Options{})
		got := pending(t, again, "call")
		want := map[string]bool{}
		for payload, end := range ends {
			if end <= int64(cut) && (payload[0] != 'a' || cut < len(whole)) {
				want[payload] = true
			}
		}
		if len(got) != len(want) || again.Stats().Corrupt != 0 {
			t.Fatalf("cut at %d: %d entries, want %d, %+v", cut, len(got), len(want), again.Stats())
		}
		for _, payload := range got {
			if !want[payload] {
				t.Fatalf("cut at %d: %q", cut, payload)
			}
		}
		if _, err := again.Append(t.Context(), "call", []byte("new")); err != nil {
			t.Fatal(err)
		}
		stop()
		third, stop := started(t, torn, Options{})
		if n := len(pending(t, third, "call")); n != len(want)+1 {
			t.Fatalf("cut at %d and written on: %d entries, want %d", cut, n, len(want)+1)
		}
		stop()
	}
}

// TestDamageInTheMiddle flips each byte: at most one record is lost, it is counted, and the others are all there.
func TestDamageInTheMiddle(t *testing.T) {
	d := newFakeDisk(1)
	b, stop := started(t, d, Options{})
	for n := range 5 {
		// What is carried looks like a record, so that looking for the next one is put to the test.
		if _, err := b.Append(t.Context(), "call", append(fmt.Append(nil, n), recordMagic...)); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	name, whole := b.segments[0].name, b.segments[0].file.(*fakeFile).data
	lastRecord := len(whole) - (len(whole)-headerSize)/5
	for at := headerSize; at < lastRecord; at++ {
		hurt := newFakeDisk(1)
		data := bytes.Clone(whole)
		data[at] ^= 0x10
		f := &fakeFile{disk: hurt, data: data, synced: data}
		hurt.names[name], hurt.durable[name] = f, f
		again, stop := started(t, hurt, Options{})
		if got := pending(t, again, "call"); len(got) != 4 || again.Stats().Corrupt != 1 {
			t.Fatalf("byte %d: %d entries, %+v", at, len(got), again.Stats())
		}
		kept := 0
		names, _ := hurt.list()
		for _, n := range names {
			if strings.HasSuffix(n, keptBad) {
				kept++
			}
		}
		if kept != 1 {
			t.Fatalf("byte %d: %d damaged places kept", at, kept)
		}
		stop()
	}
	// A damaged header: the records cannot be told from rubbish without the queue's name, but they are not thrown away.
	hurt := newFakeDisk(1)
	data := bytes.Clone(whole)
	data[9] ^= 1
	f := &fakeFile{disk: hurt, data: data, synced: data}
	hurt.names[name], hurt.durable[name] = f, f
	again, _ := started(t, hurt, Options{})
	if len(pending(t, again, "call")) != 0 || again.Stats().Corrupt != 1 || hurt.names[name+".0.bad"] == nil {
		t.Errorf("%+v, %v", again.Stats(), hurt.names)
	}
}

// TestDamagedWhileRunning: an entry that rots on the card is left out, the next is delivered.
func TestDamagedWhileRunning(t *testing.T) {
	d := newFakeDisk(1)
	b, _ := started(t, d, Options{})
	for n := range 2 {
		if _, err := b.Append(t.Context(), "call", fmt.Append(nil, "entry ", n)); err != nil {
			t.Fatal(err)
		}
	}
	d.mu.Lock()
	b.segments[0].file.(*fakeFile).data[headerSize+prefixSize+entryFixed+5] ^= 1
	d.mu.Unlock()
	e, err := b.Next(t.Context(), "call", 0)
	if err != nil || string(e.Payload) != "entry 1" || b.Stats().Corrupt != 1 {
		t.Errorf("%q %v %+v", e.Payload, err, b.Stats())
	}
}

func TestForeignSegment(t *testing.T) {
	d := newFakeDisk(1)
	b, stop := started(t, d, Options{})
	if _, err := b.Append(t.Context(), "call", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	stop()
	other := header([8]byte{1}, 1)
	f := &fakeFile{disk: d, data: other, synced: other}
	d.names[segmentName(7)], d.durable[segmentName(7)] = f, f
	again, _ := started(t, d, Options{SegmentBytes: 1})
	if _, err := again.Append(t.Context(), "call", []byte("more")); err != nil {
		t.Fatal(err)
	}
	if got := pending(t, again, "call"); len(got) != 2 || again.Stats().Corrupt != 1 {
		t.Errorf("%v %+v", got, again.Stats())
	}
	if d.names[segmentName(8)] == nil {
		t.Error("the new segment took a name that was taken")
	}
}

func FuzzRecover(f *testing.F) {
	queue := [8]byte{1, 2, 3}
	e := entryRecord(Entry{ID: ID{queue, 7}, Kind: "call", Payload: []byte("p")})
	f.Add(append(header(queue, 1), e...))
	f.Add(append(append(header(queue, 1), e...), doneRecord(ID{queue, 7})...))
	f.Add(append(append(header(queue, 1), 1, 2, 3), e...))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newFakeDisk(1)
		g := &fakeFile{disk: d, data: data, synced: data}
		d.names[segmentName(1)] = g
		b, err := open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		first := pending(t, b, "call")
		// Reading what recovery left behind gives the same again: it is a fixed point.
		again, err := open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		second := pending(t, again, "call")
		if len(first) != len(second) {
			t.Fatalf("%d entries, then %d", len(first), len(second))
		}
	})
}
