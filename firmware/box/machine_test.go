package box

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestAwaitAddress: the cloud is asked as soon as the box has its address, and without it after a while.
func TestAwaitAddress(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		cancel  time.Duration
		want    time.Duration
	}{
		"there":        {"127.0.0.1", time.Hour, 0},
		"any":          {"0.0.0.0", time.Hour, 0},
		"not there":    {"192.0.2.7", time.Hour, addressWithin},
		"box is ended": {"192.0.2.7", time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), c.cancel)
				defer stop()
				began := time.Now()
				awaitAddress(ctx, netip.MustParseAddr(c.address), addressWithin)
				if took := time.Since(began); took != c.want {
					t.Errorf("waited %v, want %v", took, c.want)
				}
			})
		})
	}
}
