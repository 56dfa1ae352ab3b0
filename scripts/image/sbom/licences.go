package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// copyLicences puts every part's licence texts into out/licenses, and notes which licence a module has. A part without
// any is an error: it could not be passed on.
func copyLicences(out, docs string, debs []deb, mods []module) error {
	for _, d := range debs {
		if err := copyText(filepath.Join(docs, d.name, "copyright"), filepath.Join(out, "licenses", "debian", d.name+".txt")); err != nil {
			return err
		}
	}
	for i := range mods {
		m := &mods[i]
		files, err := licenceFiles(m.dir)
		if err != nil {
			return err
		}
		m.licence = "NOASSERTION"
		for _, f := range files {
			name := strings.ReplaceAll(m.path, "/", "_") + "-" + filepath.Base(f)
			if err := copyText(f, filepath.Join(out, "licenses", "go", name)); err != nil {
				return err
			}
			data, err := os.ReadFile(f)
			if err != nil {
				return fmt.Errorf("licence: %w", err)
			}
			if id := identify(string(data)); m.licence == "NOASSERTION" {
				m.licence = id
			}
		}
	}
	return copyText("LICENSE", filepath.Join(out, "licenses", "holdfast.txt"))
}

func copyText(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("licence text: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("licence text: %w", err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		return fmt.Errorf("licence text: %w", err)
	}
	return nil
}
