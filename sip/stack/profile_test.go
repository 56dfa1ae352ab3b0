package stack

import (
	"os"
	"runtime/pprof"
	"testing"
)

// writeHeapProfile writes what is live, for `go tool pprof -sample_index=inuse_space`.
func writeHeapProfile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pprof.Lookup("heap").WriteTo(f, 0); err != nil {
		t.Fatal(err)
	}
}
