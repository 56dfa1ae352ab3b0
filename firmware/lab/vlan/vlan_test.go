package vlan

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestTag(t *testing.T) {
	a, from := netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.0.0.250")
	ask := question(a, from)
	if len(ask) != 60 || answers(ask, a) {
		t.Errorf("% x", ask)
	}
	reply := bytes.Clone(ask)
	reply[operation+1] = 2
	copy(reply[header+14:], a.AsSlice())
	if !answers(reply, a) || answers(reply, from) || answers(reply[:header+20], a) || answers(nil, a) {
		t.Error("an answer is not told from others")
	}
	for _, id := range []uint16{0, 1, 42, 4094} {
		frame := tag(id, ask)
		if want := len(ask) + 4; id != 0 && len(frame) != want {
			t.Errorf("%d: %d bytes", id, len(frame))
		}
		got, plain := untag(frame)
		if got != id || !bytes.Equal(plain, ask) {
			t.Errorf("%d came back as %d, % x", id, got, plain)
		}
	}
	priority := tag(42, ask)
	priority[14] |= 0xe0
	if id, _ := untag(priority); id != 42 {
		t.Errorf("with priority bits it is %d", id)
	}
	if id, short := untag(priority[:16]); id != 0 || len(short) != 16 {
		t.Error("half a frame")
	}
}
