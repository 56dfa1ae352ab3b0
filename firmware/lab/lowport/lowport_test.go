package lowport

import (
	"net"
	"net/netip"
	"testing"
)

func TestListen(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	for range 20 { // each is held, so that they are twenty
		l, err := Listen(here)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port < 22000 || port >= 32000 {
			t.Errorf("port %d", port)
		}
	}
	if l, err := Listen(netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Errorf("an address that is not of this machine: %v", l.Addr())
	}
}
