package relay

import (
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/media/rtp"
	"holdfast/media/srtp"
)

func TestOrderAroundAChangeOfSource(t *testing.T) {
	var o outgoing
	o.adopt(&endpoint{ssrc: 7, sequence: 65530, stamp: 5000})
	a, b := &Leg{}, &Leg{}
	steps := []struct {
		from *Leg
		ssrc uint32
		seq  uint16
		out  uint16
		ok   bool
	}{
		{a, 1, 100, 65531, true}, {a, 1, 102, 65533, true}, {a, 1, 101, 65532, true}, {a, 1, 99, 0, false}, // before the beginning
		{a, 1, 112, 7, true},                    // a gap stays one, over the end of the number space
		{b, 1, 9, 8, true}, {b, 1, 8, 0, false}, // another leg, though with the same SSRC; late
		{b, 2, 5000, 9, true}, {b, 2, 5001, 10, true}, // another SSRC of the same leg
		{b, 2, 9500, 11, true}, {b, 2, 9499, 0, false}, // a jump that no network makes: a restart
		{b, 2, 100, 12, true}, // and one backwards
	}
	for i, s := range steps {
		h := rtp.Header{SSRC: s.ssrc, Sequence: s.seq}
		if ok := o.number(&h, s.from, 1, audio, 8000, time.Second); ok != s.ok {
			t.Fatalf("step %d: %t", i, ok)
		} else if ok && (h.Sequence != s.out || h.SSRC != 7) {
			t.Fatalf("step %d: %v, want %d", i, h, s.out)
		}
	}
	if !o.wrapped {
		t.Error("the roll-over was not noticed")
	}
	o.adopt(&endpoint{ssrc: 8, sequence: 3, send: &srtp.Sealer{}})
	if h := (rtp.Header{SSRC: 2, Sequence: 101}); !o.number(&h, b, 1, audio, 8000, time.Second) || h.SSRC != 8 || h.Sequence != 4 {
		t.Errorf("a new key after a roll-over needs a new SSRC: %v", h)
	}
	o.adopt(&endpoint{ssrc: 9, sequence: 3, send: &srtp.Sealer{}})
	if o.ssrc != 8 {
		t.Error("a new key before a roll-over keeps the SSRC")
	}
}

func TestTimeLine(t *testing.T) {
	var o outgoing
	o.adopt(&endpoint{ssrc: 7, stamp: 0xffffff00})
	a, b := &Leg{}, &Leg{}
	stamp := func(from *Leg, seq uint16, in uint32, at time.Duration) uint32 {
		h := rtp.Header{SSRC: 1, Sequence: seq, Timestamp: in}
		if !o.number(&h, from, 1, audio, 8000, at) {
			t.Fatal("refused")
		}
		return h.Timestamp
	}
	first := stamp(a, 1, 900, time.Second)
	if first != 0xffffff00 {
		t.Errorf("begins at %x", first)
	}
	if d := stamp(a, 2, 1060, 1020*time.Millisecond) - first; d != 160 {
		t.Errorf("moved by %d", d)
	}
	if d := stamp(b, 2, 55, 2020*time.Millisecond) - first; d != 160+8000 {
		t.Errorf("after a second the other source is at %d", d)
	}
	if d := stamp(a, 1, 900, 2020*time.Millisecond) - first; d != 160+8160 {
		t.Errorf("two sources at once: %d", d) // behind what the other said last
	}
	if o.stamp-first != 160+8160 {
		t.Errorf("the time line stands at %d", o.stamp-first)
	}
	if d := stamp(b, 3, 70, 50*time.Hour) - first; d != uint32(160+8160+8000*(50*3600-2)-160) {
		t.Errorf("after a long pause: %d", d)
	}
}

// Whatever sources do, no index is sealed twice: two legs take turns, in bursts, with losses, repetitions and disorder.
func TestNothingIsSealedTwice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	crypto, _ := newKey(t, "AEAD_AES_128_GCM")
	sealer, err := srtp.NewSealer(crypto.Suite, crypto.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoint{ssrc: 1, sequence: 100, send: sealer}
	var o outgoing
	legs := []*Leg{{}, {}}
	base := []uint16{10, 60000}
	seen := map[[2]uint32]int{} // ROC, sequence
	var roc uint32
	var top uint16 = 100
	sealed := 0
	for n := range 200_000 {
		o.adopt(e)
		i := n / 50 % 2
		base[i] += uint16(rnd.IntN(3))
		h := rtp.Header{PayloadType: 0, SSRC: uint32(i), Sequence: base[i] - uint16(rnd.IntN(8)), Timestamp: uint32(n)}
		if !o.number(&h, legs[i], 1, audio, 8000, time.Duration(n)*time.Millisecond) {
			continue
		}
		pkt := make([]byte, 20, 100)
		h.Put(pkt)
		if _, err := sealer.RTP(pkt); err != nil {
			continue
		}
		sealed++
		r := roc
		switch d := int16(h.Sequence - top); {
		case d > 0 && h.Sequence < top:
			roc++
			r = roc
			top = h.Sequence
		case d > 0:
			top = h.Sequence
		case h.Sequence > top: // from before the roll-over
			r--
		}
		key := [2]uint32{r, uint32(h.Sequence)}
		if before, ok := seen[key]; ok {
			t.Fatalf("packet %d has the index of packet %d", n, before)
		}
		seen[key] = n
	}
	if sealed < 70_000 || roc == 0 {
		t.Fatalf("only %d packets sealed, %d roll-overs", sealed, roc)
	}
}
