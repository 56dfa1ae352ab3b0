package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Net
		at := netip.MustParseAddrPort("10.0.0.1:5061")
		if _, err := n.Dial(t.Context(), at.Addr(), at, 0); !errors.Is(err, errRefused) {
			t.Errorf("dialled nobody: %v", err)
		}
		l, err := n.Listen(at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen(at); err == nil {
			t.Error("two listeners on one address")
		}
		a, err := n.Dial(context.Background(), netip.MustParseAddr("10.0.0.2"), at, 5*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil || b.RemoteAddr().String() != a.LocalAddr().String() {
			t.Fatal(err, b.RemoteAddr(), a.LocalAddr())
		}
		began := time.Now()
		a.Write([]byte("hello"))
		buf := make([]byte, 3)
		for _, want := range []string{"hel", "lo"} {
			if k, err := b.Read(buf); err != nil || string(buf[:k]) != want || time.Since(began) != 5*time.Millisecond {
				t.Errorf("%q, %v after %v", buf[:k], err, time.Since(began))
			}
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v", err)
		}
		b.SetReadDeadline(time.Time{})
		a.Write([]byte("x"))
		a.Close()
		if k, err := b.Read(buf); k != 1 || err != nil {
			t.Errorf("what was sent before the end: %d, %v", k, err)
		}
		if _, err := b.Read(buf); err != io.EOF {
			t.Errorf("end: %v", err)
		}
		if _, err := b.Write([]byte("x")); err == nil {
			t.Error("writes to a closed end")
		}
		b.Close()
		if n.Open() != 0 {
			t.Errorf("%d ends open", n.Open())
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepted after close: %v", err)
		}
	})
}
