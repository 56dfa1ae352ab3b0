package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"holdfast/firmware/typed"
)

// reader hands out the values of one file by key and collects every fault. What was never asked for is unknown, so
// the code that reads a key is the only list of keys.
type reader struct {
	file   string
	places index
	values map[string]any // leaves by path
	asked  map[string]bool
	errors Errors
}

// newReader decodes the file; a file that is not TOML has one error only, that of the decoder.
func newReader(file string, data []byte) (*reader, error) {
	data, err := typed.Text(data)
	if err != nil {
		return nil, Errors{{File: file, Problem: "is written in UTF-16", Fix: typed.SaveAs}}
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, notTOML(file, data, err)
	}
	found, err := places(data)
	if err != nil {
		return nil, notTOML(file, data, err)
	}
	r := &reader{file: file, places: found, values: make(map[string]any), asked: make(map[string]bool)}
	r.flatten("", tree)
	return r, nil
}

func (r *reader) flatten(path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			r.flatten(join(path, key), child)
		}
		return
	case []any:
		if len(v) > 0 && !slices.ContainsFunc(v, func(e any) bool { _, table := e.(map[string]any); return !table }) {
			for n, child := range v {
				r.flatten(element(path, n), child)
			}
			return
		}
	}
	r.values[path] = value
}

// fail notes a fault of a key.
func (r *reader) fail(key, problem, fix string) {
	at := r.places.near(key)
	r.errors = append(r.errors, Error{r.file, at.line, at.column, display(key), problem, fix})
}

// display leaves the number of an array's table away: the line says which one it is.
func display(key string) string {
	var parts []string
	for part := range strings.SplitSeq(key, ".") {
		name, _, _ := strings.Cut(part, "#")
		parts = append(parts, name)
	}
	return strings.Join(parts, ".")
}

// value is what stands there, if anything does.
func (r *reader) value(key string) (any, bool) {
	r.asked[key] = true
	v, ok := r.values[key]
	return v, ok
}

// has says whether the table or one of its keys is in the file.
func (r *reader) has(table string) bool {
	_, ok := r.places[table]
	return ok
}

// elements is how many [[path]] there are.
func (r *reader) elements(path string) int {
	n := 0
	for r.has(element(path, n)) {
		n++
	}
	return n
}

func (r *reader) text(key, otherwise string) string {
	v, ok := r.value(key)
	if !ok {
		return otherwise
	}
	s, ok := v.(string)
	switch {
	case !ok:
		r.fail(key, fmt.Sprintf("%v is not a text", v), `write it in quotes, such as "`+fmt.Sprint(v)+`"`)
		return otherwise
	case strings.TrimSpace(s) == "":
		r.fail(key, "is empty", "write a value or remove the line")
		return otherwise
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.fail(key, fmt.Sprintf("%q has control characters", s), "write plain text on one line")
		return otherwise
	}
	return s
}

// required is text that must be there; fix says what to write.
func (r *reader) required(key, fix string) string {
	if _, ok := r.value(key); !ok {
		r.fail(key, "is missing", fix)
		return ""
	}
	return r.text(key, "")
}

func (r *reader) choice(key, otherwise string, options ...string) string {
	s := r.text(key, otherwise)
	if !slices.Contains(options, s) {
		r.fail(key, fmt.Sprintf("%q is unknown", s), "write one of "+strings.Join(options, ", "))
		return otherwise
	}
	return s
}

func (r *reader) flag(key string) bool {
	v, ok := r.value(key)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		r.fail(key, fmt.Sprintf("%v is neither true nor false", v), "write true or false, without quotes")
	}
	return b
}

func (r *reader) integer(key string, otherwise, least, most int) int {
	v, ok := r.value(key)
	if !ok {
		return otherwise
	}
	fix := fmt.Sprintf("write a number from %d to %d, such as %d", least, most, max(otherwise, least))
	n, ok := v.(int64)
	switch {
	case !ok:
		r.fail(key, fmt.Sprintf("%#v is not a whole number", v), fix)
		return otherwise
	case n < int64(least) || n > int64(min(most, math.MaxInt32)):
		r.fail(key, fmt.Sprintf("%d is out of range", n), fix)
		return otherwise
	}
	return int(n)
}

func (r *reader) duration(key string, otherwise, least, most time.Duration) time.Duration {
	v, ok := r.value(key)
	if !ok {
		return otherwise
	}
	fix := fmt.Sprintf("write a time from %s to %s, such as %q", short(least), short(most), short(otherwise))
	s, ok := v.(string)
	if !ok {
		r.fail(key, fmt.Sprintf("%v has no unit", v), fix)
		return otherwise
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.fail(key, fmt.Sprintf("%q is not a time", s), fix)
		return otherwise
	case d < least || d > most:
		r.fail(key, fmt.Sprintf("%q is out of range", s), fix)
		return otherwise
	}
	return d
}

// short is a duration as people write it: 10h, not 10h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
