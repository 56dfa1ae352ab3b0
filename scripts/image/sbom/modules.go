package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// module is a Go module that is linked into the program.
type module struct {
	path, version, sum, dir string
	licence                 string // SPDX identifier, or NOASSERTION
}

// readModules asks the program what it was built from, and the go tool where that lies. The standard library is the first.
func readModules(program string) ([]module, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("what %s was built from: %w", program, err)
	}
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	out := []module{{path: "std", version: strings.TrimPrefix(info.GoVersion, "go"), dir: strings.TrimSpace(string(goroot))}}
	args := []string{"list", "-m", "-json"}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		out = append(out, module{path: d.Path, version: d.Version, sum: d.Sum})
		args = append(args, d.Path)
	}
	listed, err := exec.Command("go", args...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list -m: %w", err)
	}
	dirs := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(listed))); dec.More(); {
		var m struct{ Path, Version, Dir string }
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("go list -m: %w", err)
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
	for i := range out[1:] {
		m := &out[i+1]
		if m.dir = dirs[m.path+"@"+m.version]; m.dir == "" {
			return nil, fmt.Errorf("the program has %s %s, this tree another version: build it anew", m.path, m.version)
		}
	}
	return out, nil
}

// licenceFiles are the texts of a module that have to travel with it.
func licenceFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("licence of %s: %w", dir, err)
	}
	var out []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		for _, prefix := range []string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"} {
			if strings.HasPrefix(name, prefix) && e.Type().IsRegular() {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	sort.Strings(out)
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no licence text", dir)
	}
	return out, nil
}

// identify knows the few licences that Go modules have by a phrase that only they have.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range []struct{ id, phrase string }{
		{"Apache-2.0", "Apache License Version 2.0"},
		{"MPL-2.0", "Mozilla Public License Version 2.0"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"BSD-3-Clause", "Neither the name of"},
		{"BSD-2-Clause", "Redistributions in binary form must reproduce the above copyright notice"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
	} {
		if strings.Contains(text, l.phrase) {
			return l.id
		}
	}
	return "NOASSERTION"
}
