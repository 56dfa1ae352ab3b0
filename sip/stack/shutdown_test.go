package stack

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Run ends in whatever state the peers are, and leaves no goroutine.
func TestShutdown(t *testing.T) {
	before := runtime.NumGoroutine()
	handling := make(chan *ServerTx, 10)
	var closed atomicCount
	b := start(t, Options{Limits: Limits{HandshakeTimeout: time.Hour, WriteTimeout: time.Hour, QueuedBytes: 1 << 30}, OnClosed: closed.add,
		OnRequest: func(tx *ServerTx) {
			gone := make(chan struct{})
			tx.OnGone(func() { close(gone) })
			handling <- tx
			<-gone
		}}, Access, Trunk)
	idle, busy, deaf := b.dial(), b.dial(), b.dial()
	half := b.tcp()
	eventually(t, "all are here", func() bool { return len(b.Conns()) == 3 && b.listeners[0].places() == 4 })

	busy.send(request("INVITE"))
	c := await(t, "request", handling).Conn()
	_, invite := call(t, c, outgoing(sip.INVITE))
	for _, c := range b.Conns() {
		if c.Remote().String() == deaf.LocalAddr().String() {
			msg := outgoing(sip.MESSAGE)
			msg.SetBody(make([]byte, 32<<10))
			for range 1000 { // more than any socket buffer
				if err := c.Write(msg); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	at := time.Now()
	b.stop()
	if d := time.Since(at); d > 2*time.Second {
		t.Errorf("Run took %v to end", d)
	}
	if e := <-invite; !errors.Is(e.err, ErrStopped) {
		t.Errorf("transaction: %+v", e)
	}
	tcpClosed(t, half)
	idle.closed()
	if n := closed.n.Load(); n != 3 {
		t.Errorf("OnClosed %d times", n)
	}
	if len(b.Conns()) != 0 || b.clients.size() != 0 || b.servers.size() != 0 || b.held.Load() != 0 {
		t.Errorf("left: %d connections, %d and %d transactions, %d bytes", len(b.Conns()), b.clients.size(), b.servers.size(), b.held.Load())
	}
	if _, err := b.tryDial(Access, b.config()); err == nil {
		t.Error("still listening")
	}
	// Timers that have fired may still be on their way out.
	eventually(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

// Run without a listener, as a client only, ends with its context.
func TestRunWithoutListener(t *testing.T) {
	s := New(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	cancel()
	if err := await(t, "Run's end", ended); err != nil {
		t.Error(err)
	}
	if s.Addr(Trunk) != (netip.AddrPort{}) {
		t.Error("an address without a listener")
	}
}
