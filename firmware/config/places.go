package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key stands in the file, 1-based.
type place struct{ line, column int }

// index is where every key and table header stands. A path is dotted; the n-th [[cloud.zone]] is "cloud.zone#n", from 0.
type index map[string]place

// lines turns offsets into places; the parser's own way counts from the start of the file each time.
type lines []int // offset of each line's first byte

func linesOf(data []byte) lines {
	starts := lines{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (l lines) start(node *unstable.Node) place {
	offset := int(node.Raw.Offset)
	line := sort.SearchInts(l, offset+1)
	return place{line, offset - l[line-1] + 1}
}

// places indexes a well-formed file. The decoder tells positions only for the faults that it finds itself; ours are
// found later, by meaning.
func places(data []byte) (index, error) {
	found := make(index)
	tables := make(map[string]int) // how many [[path]] there were so far
	at := linesOf(data)
	var p unstable.Parser
	p.Reset(data)
	prefix := ""
	for p.NextExpression() {
		switch node := p.Expression(); node.Kind {
		case unstable.Table:
			path, where := header(at, node, tables)
			found[path] = where
			prefix = path
		case unstable.ArrayTable:
			path, where := header(at, node, tables)
			prefix = element(path, tables[path])
			tables[path]++
			found[prefix] = where
		case unstable.KeyValue:
			found.keyValue(at, prefix, node)
		}
	}
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("index keys: %w", err)
	}
	return found, nil
}

// header is the path and the place of a [table] or [[table]]. A leading part that names an array of tables means the
// last of them.
func header(l lines, node *unstable.Node, tables map[string]int) (string, place) {
	path, at := "", place{}
	for keys := node.Key(); keys.Next(); {
		if n := tables[path]; n > 0 {
			path = element(path, n-1)
		}
		if path == "" {
			at = l.start(keys.Node())
		}
		path = join(path, string(keys.Node().Data))
	}
	return path, at
}

// keyValue indexes a key and, inside inline tables and arrays, the keys below it.
func (x index) keyValue(l lines, prefix string, node *unstable.Node) {
	path := prefix
	for keys := node.Key(); keys.Next(); {
		path = join(path, string(keys.Node().Data))
		if _, seen := x[path]; !seen {
			x[path] = l.start(keys.Node())
		}
	}
	x.value(l, path, node.Value())
}

func (x index) value(l lines, path string, node *unstable.Node) {
	children := node.Children()
	switch node.Kind {
	case unstable.InlineTable:
		for children.Next() {
			if child := children.Node(); child.Kind == unstable.KeyValue {
				x.keyValue(l, path, child)
			}
		}
	case unstable.Array:
		for n := 0; children.Next(); {
			child := children.Node()
			if child.Kind == unstable.Comment {
				continue
			}
			if child.Kind == unstable.InlineTable {
				x[element(path, n)] = l.start(child)
				x.value(l, element(path, n), child)
			}
			n++
		}
	}
}

// near is the place of a key or, where it is missing, of the closest table that it belongs to.
func (x index) near(path string) place {
	for path != "" {
		if at, ok := x[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".#")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return place{}
}

func element(path string, n int) string { return path + "#" + strconv.Itoa(n) }

// join adds one part to a path; a part that is no bare key is quoted and its separators escaped, so that it cannot
// pass for a path.
func join(path, part string) string {
	if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		part = strings.NewReplacer(".", `\x2e`, "#", `\x23`).Replace(strconv.Quote(part))
	}
	if path == "" {
		return part
	}
	return path + "." + part
}
