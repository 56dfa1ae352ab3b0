package prompt

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Set is a box's prompts by name. It is immutable.
type Set struct{ prompts map[string]*Prompt }

// Suffix ends the name of a frame file: PROMPT.CODEC.frames, with the codec in small letters.
const Suffix = ".frames"

// maxFiles bounds a set.
const maxFiles = 256

// Load reads the frame files of one folder of fsys. Other files are left alone.
func Load(fsys fs.FS, folder string) (*Set, error) {
	entries, err := fs.ReadDir(fsys, folder)
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", err)
	}
	versions := make(map[string][]*Frames)
	files := 0
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), Suffix)
		if !ok || e.IsDir() {
			continue
		}
		if files++; files > maxFiles {
			return nil, fmt.Errorf("read prompts: more than %d files", maxFiles)
		}
		f, err := readFile(fsys, path.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read prompt %s: %w", e.Name(), err)
		}
		name, ok := strings.CutSuffix(base, "."+strings.ToLower(f.codec))
		if !ok || name == "" || strings.Contains(name, ".") {
			return nil, fmt.Errorf("read prompt %s: a file in %s is called PROMPT.%s%s", e.Name(), f.codec, strings.ToLower(f.codec), Suffix)
		}
		versions[name] = append(versions[name], f)
	}
	s := &Set{prompts: make(map[string]*Prompt)}
	for name, frames := range versions {
		if s.prompts[name], err = NewPrompt(name, frames...); err != nil {
			return nil, fmt.Errorf("read prompts: %w", err)
		}
	}
	return s, nil
}

// readFile reads no more than a frame file may have.
func readFile(fsys fs.FS, name string) (*Frames, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Prompt gives the prompt of a name; nil if there is none, and from a nil Set.
func (s *Set) Prompt(name string) *Prompt {
	if s == nil {
		return nil
	}
	return s.prompts[name]
}

// Names are the prompts' names in order.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.prompts)) }

// With is s, with other's prompts in the place of those of the same name: an owner's own before those that came with the program.
func (s *Set) With(other *Set) *Set {
	both := maps.Clone(s.prompts)
	maps.Copy(both, other.prompts)
	return &Set{prompts: both}
}
