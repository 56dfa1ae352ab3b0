package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/lowport"
)

// TestRun: the page is there with the box's certificate, also while another of its addresses is taken, over TLS 1.2 and
// above, and gone at the end.
func TestRun(t *testing.T) {
	authority, err := ca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Leaf([]string{"box.example"}, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := lowport.Listen(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().(*net.TCPAddr).AddrPort()
	free.Close()
	r := newRig(t, func(o *Options) {
		o.Listen = []netip.AddrPort{taken.Addr().(*net.TCPAddr).AddrPort(), at}
		o.Certificate = func() *tls.Certificate { return &leaf }
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.srv.Run(ctx) }()
	client := func(config *tls.Config) *http.Client {
		config.RootCAs = authority.Pool()
		return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	}
	c := client(&tls.Config{})
	defer c.CloseIdleConnections()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		res, err := c.Get("https://" + at.String() + "/login")
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || res.ProtoMajor != 2 {
				t.Errorf("%s %s", res.Proto, res.Status)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	if _, err := client(&tls.Config{MaxVersion: tls.VersionTLS11}).Get("https://" + at.String() + "/login"); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	stop()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("Run does not end")
	}
	if c, err := net.Dial("tcp4", at.String()); err == nil {
		c.Close()
		t.Error("still listening")
	}
}

// TestMore: the page goes where its addresses go, and leaves those that it was told to leave.
func TestMore(t *testing.T) {
	authority, err := ca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Leaf([]string{"box.example"}, netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	free := func() netip.AddrPort {
		l, err := lowport.Listen(netip.MustParseAddr("127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().(*net.TCPAddr).AddrPort()
	}
	first, second := free(), free()
	var more atomic.Pointer[[]netip.AddrPort]
	more.Store(&[]netip.AddrPort{first})
	r := newRig(t, func(o *Options) {
		o.More = func() []netip.AddrPort { return *more.Load() }
		o.Certificate = func() *tls.Certificate { return &leaf }
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.srv.Run(ctx) }()
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	open := func(at netip.AddrPort) bool {
		c, err := tls.Dial("tcp4", at.String(), &tls.Config{RootCAs: authority.Pool()})
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	until("not there", func() bool { return open(first) })
	more.Store(&[]netip.AddrPort{second})
	until("not at the second address", func() bool { return open(second) })
	until("still at the first", func() bool { return !open(first) })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if open(second) {
		t.Error("still listening")
	}
}
