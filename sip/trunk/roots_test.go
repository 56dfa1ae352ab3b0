package trunk

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// TestRootsChange: whom the box trusts may change at any time. What is connected stays; what connects anew, either way, is checked
// against the new ones, and Try says so before it is needed.
func TestRootsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	b := w.sbc("a.test", nil)
	w.run(trunkTo("a", b.address(), "a.test"))
	w.change(true)
	conn := w.connected("a")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	try := func() string {
		if err := w.set.Try(ctx, "a"); err != nil {
			return err.Error()
		}
		return ""
	}
	if said := try(); said != "" {
		t.Error(said)
	}
	cfg := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*w.ca.leaf(t, "a.test")}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	enters := func() bool { // as the SBC; TLS 1.3 says no behind the handshake only
		raw, err := net.Dial("tcp4", w.stack.Addr(stack.Trunk).String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		c := tls.Client(raw, cfg)
		c.Write([]byte("OPTIONS sip:box SIP/2.0\r\nVia: SIP/2.0/TLS a.test;branch=z9hG4bKa\r\nFrom: <sip:a@a.test>;tag=1\r\nTo: <sip:box>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
		n, _ := c.Read(make([]byte, 100))
		return n > 0
	}
	if !enters() {
		t.Error("the SBC does not come in")
	}
	w.trusted.Store(newAuthority(t).pool)
	if said := try(); !strings.Contains(said, "unknown authority") {
		t.Errorf("a stranger is dialled: %q", said)
	}
	if enters() {
		t.Error("the SBC comes in without an authority, by an old session perhaps")
	}
	if again, err := w.connect("a"); err != nil || again != conn || conn.Closed() {
		t.Errorf("the connection that was there: %v", err)
	}
	w.trusted.Store(nil) // nobody, and not the machine's own list
	if said := try(); !strings.Contains(said, "unknown authority") {
		t.Errorf("without any: %q", said)
	}
	if enters() {
		t.Error("the SBC comes in without any authority")
	}
	w.trusted.Store(w.ca.pool)
	if said := try(); said != "" || !enters() {
		t.Errorf("back again: %q", said)
	}
	if err := w.set.Try(ctx, "nobody"); err == nil {
		t.Error("nobody was tried")
	}
}

// TestTryHearsARefusal: an SBC that does not take the box's certificate says so behind the handshake (TLS 1.3).
func TestTryHearsARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	cfg := w.server(w.ca.leaf(t, "a.test"))
	cfg.ClientCAs = newAuthority(t).pool
	b := newSBC(t, cfg, nowhere, nil)
	w.set.Update([]site.Trunk{trunkTo("a", b.address(), "a.test")})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.set.Try(ctx, "a"); err == nil || ctx.Err() != nil {
		t.Errorf("the refusal was not heard: %v", err)
	}
}
