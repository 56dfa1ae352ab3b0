package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// deb is a Debian package in the image.
type deb struct {
	name, version, arch, sha256 string
	sourceName, sourceVersion   string
}

// readPackages reads the list of fetch.sh.
func readPackages(file string) ([]deb, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("list of packages: %w", err)
	}
	return parsePackages(string(data))
}

func parsePackages(text string) ([]deb, error) {
	var out []deb
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 6 || len(f[3]) != 64 {
			return nil, fmt.Errorf("list of packages, line %d: %q is not package, version, architecture, SHA-256, source, source version", n+1, line)
		}
		out = append(out, deb{f[0], f[1], f[2], f[3], f[4], f[5]})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("list of packages: empty")
	}
	return out, nil
}

// writeSources says where each Debian part's source is. Debian keeps every version that it ever published.
func writeSources(out string, debs []deb) error {
	var b strings.Builder
	b.WriteString("The sources of the Debian parts of this image, by version. Holdfast's own source and that of the Go modules in it:\nsee sbom.spdx.json.\n\n")
	seen := map[string]bool{}
	for _, d := range debs {
		line := fmt.Sprintf("%s %s\n    https://snapshot.debian.org/package/%s/%s/\n", d.sourceName, d.sourceVersion, d.sourceName, d.sourceVersion)
		if !seen[line] {
			b.WriteString(line)
			seen[line] = true
		}
	}
	if err := os.WriteFile(filepath.Join(out, "SOURCES.txt"), []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("list of sources: %w", err)
	}
	return nil
}
