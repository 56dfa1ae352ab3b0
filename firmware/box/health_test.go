package box

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/sip/stack"
)

// TestAskOptions: a stack answers; one that only takes connections, and nobody at all, do not. A connection that is closed
// says that somebody lives there.
func TestAskOptions(t *testing.T) {
	r := newRig(t, rigOptions{net: loopback{}, users: 1})
	stop := r.run()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answered := r.stack.Counters().Requests.Load()
	if err := askOptions(ctx, r.stack.Addr(stack.Access)); err != nil {
		t.Error(err)
	}
	if n := r.stack.Counters().Requests.Load(); n != answered+1 {
		t.Errorf("%d requests", n-answered)
	}
	stop()

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParseAddrPort(l.Addr().String())
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := askOptions(short, at); err == nil || err.Error() != "no answer to OPTIONS" {
		t.Errorf("a listener that hangs: %v", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if err := askOptions(ctx, at); err != nil {
		t.Errorf("a full house: %v", err)
	}
	l.Close()
	if err := askOptions(ctx, at); err == nil || !strings.Contains(err.Error(), "nobody listens for phones") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestProbeCard(t *testing.T) {
	b := &Box{cfg: &config.Config{DataDir: t.TempDir()}}
	for range 2 {
		if err := b.probeCard(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if i, err := os.Stat(b.cfg.DataDir + "/health"); err != nil || i.Size() > 32 {
		t.Errorf("%v %v: it must not grow", i, err)
	}
	b.cfg.DataDir += "/gone"
	if err := b.probeCard(t.Context()); err == nil {
		t.Error("written to nowhere")
	}
}
