package relay

import "testing"

// TestQualities: legs of running sessions stand together with their session's name, and are gone with it.
func TestQualities(t *testing.T) {
	r := run(t, config())
	a := newCall(t, r, "", "")
	b := newCall(t, r, "", "")
	a.set(t)
	b.set(t)
	a.a.say(a.la, "hello")
	a.b.hears("hello")
	list := r.Qualities()
	if len(list) != 4 || list[0].Session != list[1].Session || list[2].Session != list[3].Session {
		t.Fatalf("%+v", list)
	}
	heard := uint64(0)
	for _, q := range list {
		heard += q.Stats.RxPackets
	}
	if heard != 1 {
		t.Errorf("%d packets", heard)
	}
	a.la.session.Close()
	b.la.session.Close()
	if list := r.Qualities(); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}
