package demo_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/config"
	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/script"
	"holdfast/sip/site"
)

// TestBranchWithABoxThatDies tells the story with a program that ends at once: the files that it gets are right, the
// phones are on the cloud, and the verdict says what failed.
func TestBranchWithABoxThatDies(t *testing.T) {
	dir := t.TempDir()
	box := filepath.Join(dir, "holdfast")
	if err := os.WriteFile(box, []byte("#!/bin/sh\necho I cannot >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := branch.Start(dir, box)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })

	boot, err := os.ReadFile(filepath.Join(dir, "holdfast.toml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("holdfast.toml", boot)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Cloud.Zones) != 2 || cfg.Cloud.Interval != 2*time.Second || cfg.Cloud.Missed != 3 || cfg.Cloud.HoldOff != branch.HoldOff {
		t.Errorf("cloud settings %+v: probes must have their default timing", cfg.Cloud)
	}
	doc, err := os.ReadFile(filepath.Join(dir, "site.json"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := site.Load(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range b.People {
		for _, number := range []string{p.Extension, "801" + p.Extension, p.BYOC, p.Cloud} {
			if number == "" {
				continue
			}
			if u, ok := st.Lookup(number); !ok || u.Extension != p.Extension {
				t.Errorf("%s does not find %s", number, p.Extension)
			}
		}
		ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
		if _, err := p.Phone.WaitAt(ctx, "zone1"); err != nil {
			t.Error(err)
		}
		done()
	}

	var out bytes.Buffer
	screen := script.NewScreen(&out, false)
	verdicts := script.Run(context.Background(), demo.Steps(b, screen), screen)
	if first := verdicts[0]; first.OK || !strings.Contains(first.Error, "I cannot") {
		t.Errorf("the first step: %+v", first)
	}
	if failed, skipped := script.Failed(verdicts); len(failed) != 1 || skipped != len(verdicts)-1 {
		t.Errorf("without a box %q failed and %d of %d steps were skipped", failed, skipped, len(verdicts))
	}
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "I cannot") {
		t.Errorf("Close: %v, want the box's last words", err)
	}
}
