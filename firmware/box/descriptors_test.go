package box

import (
	"strings"
	"testing"
)

func TestShareOfDescriptors(t *testing.T) {
	for name, c := range map[string]struct {
		limit             uint64
		phones, pairs, of int
		want              budget
	}{
		"plenty":            {1 << 20, 12000, 5000, 16, budget{connections: 12000, reserved: 16}},
		"as many as needed": {fixed + 2*16 + 500 + 2*84, 500, 100, 16, budget{connections: 500, reserved: 16}},
	} {
		if got := share(c.limit, c.phones, c.pairs, c.of); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for limit := uint64(0); limit < 20000; limit += 37 {
		b := share(limit, 12000, 5000, 16)
		used := b.connections + 2*(5000-b.reserved) + 2*16 + fixed
		if limit > 2*fixed && used > int(limit) || b.connections < leastPhones || b.reserved < 16 || b.reserved > 5000 {
			t.Fatalf("of %d: %+v", limit, b)
		}
		if !strings.Contains(b.short, "raise it") {
			t.Fatalf("of %d: %+v", limit, b)
		}
	}
}
