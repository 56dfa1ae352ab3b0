package site

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// locate fills in the lines of errors that have none, by a second walk through the text: only who has something to
// say pays for it. The text is valid JSON by now.
func locate(data []byte, lists ...[]Error) {
	wanted := make(map[string]int) // pointer → line, of what is wanted and all round it
	for _, list := range lists {
		for _, e := range list {
			for p := e.Path; ; p = p[:strings.LastIndexByte(p, '/')] {
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
	l := &locator{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1, wanted: wanted}
	l.dec.UseNumber()
	l.value("")
	for _, list := range lists {
		for i := range list {
			p := list[i].Path
			for wanted[p] == 0 && p != "" { // a missing field: the line of what should have it
				p = p[:strings.LastIndexByte(p, '/')]
			}
			list[i].Line = max(wanted[p], 1)
		}
	}
}

type locator struct {
	dec    *json.Decoder
	data   []byte
	at     int // how far line has been counted
	line   int
	wanted map[string]int
}

// value walks one value. A pointer that appears twice gets the second line: that is where the mistake is.
func (l *locator) value(path string) {
	token, err := l.dec.Token()
	if err != nil {
		return
	}
	_, want := l.wanted[path]
	if want {
		l.wanted[path] = l.here()
	}
	open, ok := token.(json.Delim)
	if !ok {
		return
	}
	for i := 0; l.dec.More(); i++ {
		key := strconv.Itoa(i)
		if open == '{' {
			name, err := l.dec.Token()
			if err != nil {
				return
			}
			key = escapePointer(name.(string))
		}
		if !want { // nothing inside is wanted either
			if l.dec.Decode(new(json.RawMessage)) != nil {
				return
			}
			continue
		}
		l.value(path + "/" + key)
	}
	l.dec.Token()
}

// here is the line of the token just read; a token never spans lines.
func (l *locator) here() int {
	at := int(l.dec.InputOffset())
	l.line += bytes.Count(l.data[l.at:at], []byte("\n"))
	l.at = at
	return l.line
}
