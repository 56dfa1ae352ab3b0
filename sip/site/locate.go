package site

import (
	"bytes"
	"strconv"
	"strings"
)

// locate fills in the lines of errors by a second walk through the text: only who has something to say pays for it.
// The text is valid JSON by now.
func locate(data []byte, lists ...[]Error) {
	wanted := make(map[string]int) // pointer → line, of what is wanted and all round it
	for _, list := range lists {
		for _, e := range list {
			for p := e.Path; ; p = parent(p) {
				wanted[p] = 0
				if p == "" {
					break
				}
			}
		}
	}
	if len(wanted) == 0 {
		return
	}
	l := &locator{scanner: scanner{data: data}, line: 1, wanted: wanted}
	l.value("")
	for _, list := range lists {
		for i := range list {
			p := list[i].Path
			for wanted[p] == 0 && p != "" { // a missing field: the line of what should have it
				p = parent(p)
			}
			list[i].Line = max(wanted[p], 1)
		}
	}
}

func parent(pointer string) string { return pointer[:strings.LastIndexByte(pointer, '/')] }

type locator struct {
	scanner
	counted int // how far line has been counted
	line    int
	wanted  map[string]int
}

// value walks one value. A pointer that appears twice gets the second line: that is where the mistake is.
func (l *locator) value(path string) {
	first := l.peek()
	if _, want := l.wanted[path]; !want { // then nothing inside is wanted either
		l.skip()
		return
	}
	l.line += bytes.Count(l.data[l.counted:l.at], []byte("\n"))
	l.counted = l.at
	l.wanted[path] = l.line
	if first != '{' && first != '[' {
		l.skip()
		return
	}
	l.open()
	for i := 0; l.more(); i++ {
		key := strconv.Itoa(i)
		if first == '{' {
			key = escapePointer(string(l.text()))
		}
		l.value(path + "/" + key)
	}
}

func lineAt(data []byte, at int) int {
	return 1 + bytes.Count(data[:min(max(at, 0), len(data))], []byte("\n"))
}
