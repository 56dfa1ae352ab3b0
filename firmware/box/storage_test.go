package box

import (
	"path/filepath"
	"strings"
	"testing"
)

// RAM in the place of the card looks like any other folder; the boot script's mark says what it is.
func TestNoData(t *testing.T) {
	b, mark := &Box{log: rigLog()}, filepath.Join(t.TempDir(), "no-data")
	if b.tellNoData(mark); len(b.storage) > 0 {
		t.Errorf("%q", b.storage)
	}
	put(t, mark, []byte{})
	if b.tellNoData(mark); len(b.storage) != 1 || !strings.Contains(b.storage[0], "in RAM only") {
		t.Errorf("%q", b.storage)
	}
}
