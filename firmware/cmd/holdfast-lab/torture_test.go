package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"holdfast/firmware/lab/torture"
)

// TestTorture holds the real program, over TLS, to every line of the table.
func TestTorture(t *testing.T) {
	t.Parallel()
	box := filepath.Join(t.TempDir(), "holdfast")
	if out, err := exec.Command("go", "build", "-o", box, "holdfast/firmware/cmd/holdfast").CombinedOutput(); err != nil {
		t.Fatalf("build the box: %v\n%s", err, out)
	}
	all, err := torment(t.Context(), box, func(r torture.Result) {
		if !r.Right {
			t.Error(r)
		}
	})
	if err != nil || len(all) != torture.Messages() {
		t.Fatalf("%d of %d messages sent: %v", len(all), torture.Messages(), err)
	}
}
