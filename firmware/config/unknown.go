package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unknown reports every key and section of the file that nothing asked for, with the nearest that exists.
func (r *reader) unknown() {
	known := make(map[string]bool) // keys and their sections, without numbers of array tables
	keys := make(map[string]bool)
	for key := range r.asked {
		keys[display(key)] = true
		for path := display(key); path != ""; path = parent(path) {
			known[path] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(r.places)) {
		if len(r.errors) > maxFaults {
			return
		}
		path := display(key)
		section := parent(path)
		switch {
		case section != "" && !known[section]:
			// The section is unknown as a whole and reported once.
		case !known[path]:
			fix := "remove it"
			if like := nearest(path, known); like != "" {
				fix = "did you mean " + like + "?"
			}
			r.fail(key, "is unknown", fix)
		case keys[path] && !r.asked[key]:
			r.fail(key, "belongs to a section that there may be several of", "write [["+section+"]] in double brackets")
		case !r.asked[key]:
			if value, leaf := r.values[key]; leaf {
				r.fail(key, fmt.Sprintf("%v is a value, but this is a section", value), "write ["+path+"] on a line of its own")
			}
		default:
			if _, leaf := r.values[key]; !leaf {
				r.fail(key, "is a section, but this is a value", "write "+lastPart(path)+" = …")
			}
		}
	}
}

func parent(path string) string {
	cut := strings.LastIndexByte(path, '.')
	if cut < 0 {
		return ""
	}
	return path[:cut]
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// nearest is the known path that a typing error most likely meant: at most two letters away, or the same key in
// another section.
func nearest(path string, known map[string]bool) string {
	best, least := "", 3
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if d := distance(path, candidate); d < least {
			best, least = candidate, d
		}
	}
	if best != "" {
		return best
	}
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		if lastPart(candidate) == lastPart(path) {
			return candidate
		}
	}
	return ""
}

// distance counts the typing errors between two short texts: a letter wrong, missing, too many, or two swapped. Long
// ones are simply far apart.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [65][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := range len(a) {
		rows[i+1][0] = i + 1
		for j := range len(b) {
			substitute := rows[i][j]
			if a[i] != b[j] {
				substitute++
			}
			rows[i+1][j+1] = min(substitute, rows[i][j+1]+1, rows[i+1][j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
