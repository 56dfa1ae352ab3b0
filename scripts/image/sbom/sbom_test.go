package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParsePackages(t *testing.T) {
	good := "# wanted\nbusybox-static 1:1.35.0-4 arm64 " + sum + " busybox 1:1.35.0-4\n"
	debs, err := parsePackages(good)
	if err != nil || len(debs) != 1 || debs[0] != (deb{"busybox-static", "1:1.35.0-4", "arm64", sum, "busybox", "1:1.35.0-4"}) {
		t.Fatalf("%v %v", debs, err)
	}
	for _, bad := range []string{"", "# wanted\n", "busybox 1 arm64 " + sum + " busybox\n", "busybox 1 arm64 12 busybox 1\n"} {
		if _, err := parsePackages(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDescribe(t *testing.T) {
	debs := []deb{{"linux-image-6.1", "6.1.1-1", "arm64", sum, "linux-signed-arm64", "6.1.1+1"}}
	mods := []module{{path: "std", version: "1.26.1", licence: "BSD-3-Clause"}, {path: "golang.org/x/sys", version: "v0.1.0", licence: "BSD-3-Clause"}}
	d := describe(image{"v1", "rpi4", time.Unix(1e9, 0).UTC()}, debs, mods)
	ids := map[string]bool{d.ID: true}
	for _, p := range d.Packages {
		if ids[p.ID] || notInID.MatchString(strings.TrimPrefix(p.ID, "SPDXRef-")) {
			t.Errorf("identifier %q is there twice or not allowed", p.ID)
		}
		ids[p.ID] = true
	}
	if len(d.Packages) != 5 || len(d.Relationships) != 5 {
		t.Fatalf("%d packages, %d relationships", len(d.Packages), len(d.Relationships))
	}
	for _, r := range d.Relationships {
		if !ids[r.From] || !ids[r.To] {
			t.Errorf("%v names what is not there", r)
		}
	}
	if d.Relationships[0].Kind != "DESCRIBES" || d.Packages[4].Checksums[0].Value != sum {
		t.Errorf("%+v", d)
	}
}

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                  "Apache-2.0",
		"Permission is hereby granted, free of charge, to any\nperson obtaining a copy": "MIT",
		"something else": "NOASSERTION",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestSourcesNameEachOnce(t *testing.T) {
	dir := t.TempDir()
	d := deb{"u-boot-rpi", "2023.01-2", "arm64", sum, "u-boot", "2023.01-2"}
	e := d
	e.name = "u-boot-qemu"
	if err := writeSources(dir, []deb{d, e}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "SOURCES.txt"))
	if err != nil || strings.Count(string(text), "snapshot.debian.org/package/u-boot/2023.01-2/") != 1 {
		t.Fatalf("%s %v", text, err)
	}
}
