package trunk

import (
	"crypto/x509"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/sip/site"
)

// TestLeavingInUse: a trunk that a document removes or moves stays as it was while a call for help runs on it, and for its BYE;
// then it is hung up.
func TestLeavingInUse(t *testing.T) {
	t.Parallel()
	var used atomic.Bool
	w := newWorld(t, Options{InUse: func(id string) bool { return used.Load() }})
	a, b := w.sbc("a.test", nil), w.sbc("b.test", nil)
	ta, tb := trunkTo("a", a.address(), "a.test"), trunkTo("b", b.address(), "b.test")
	w.run(ta, tb)
	w.change(true)
	w.change(true)
	connA := w.connected("a")
	connB := w.connected("b")
	certificate := func(name string) *x509.Certificate { return w.ca.leaf(t, name).Leaf }

	used.Store(true)
	tb.TLSName = "moved.test"
	w.set.Update([]site.Trunk{tb})
	now := time.Now()
	for name, want := range map[string]string{"a.test": "a", "b.test": "b", "moved.test": "b"} {
		if id, err := w.set.Identify(certificate(name)); id != want || err != nil {
			t.Errorf("%s is %q, %v", name, id, err)
		}
		if !w.set.Is(want, certificate(name)) || w.set.Is("c", certificate(name)) {
			t.Errorf("%s: is it %s?", name, want)
		}
	}
	if again, err := w.connect("a"); again != connA || err != nil {
		t.Errorf("the removed trunk: %v", err)
	}
	if s := w.set.States(); len(s) != 1 || s[0].ID != "b" {
		t.Errorf("states %+v", s)
	}
	used.Store(false)
	if w.set.Release(now.Add(afterUse/2)) || connA.Closed() || connB.Closed() {
		t.Error("hung up while its BYE may be under way")
	}
	if !w.set.Release(now.Add(2 * afterUse)) {
		t.Error("nothing was released")
	}
	eventually(t, "both are hung up", func() bool { return connA.Closed() && connB.Closed() })
	if _, err := w.connect("a"); !errors.Is(err, ErrUnknown) {
		t.Errorf("connect to a removed trunk: %v", err)
	}
	if id, err := w.set.Identify(certificate("a.test")); err == nil {
		t.Errorf("a.test is still %q", id)
	}
	if w.set.Is("b", certificate("b.test")) || !w.set.Is("b", certificate("moved.test")) || w.set.Is("b", nil) {
		t.Error("b is who it was")
	}
	if w.set.Release(now.Add(3 * afterUse)) {
		t.Error("released twice")
	}
}
