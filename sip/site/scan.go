package site

import (
	"bytes"
	"encoding/json"
)

// scanner steps through JSON that is known to be valid, so it needs no errors and looks at every byte once.
// (encoding/json's Decoder.Token takes four times as long; a large site on a small board feels that.)
type scanner struct {
	data []byte
	at   int
}

// peek skips white space and the commas and colons between things, and returns the byte that begins the next one.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// open steps into an object or array.
func (s *scanner) open() { s.at++ }

// more reports whether the object or array that is open has another member, and steps out of it otherwise.
func (s *scanner) more() bool {
	if c := s.peek(); c == '}' || c == ']' || c == 0 {
		s.at++
		return false
	}
	return true
}

// scalar reads a string with its quotes, a number, true, false or null, as it is written.
func (s *scanner) scalar() []byte {
	begin := s.at
	if s.data[begin] != '"' {
		for s.at < len(s.data) && !bytes.ContainsRune([]byte(" \t\r\n,:]}"), rune(s.data[s.at])) {
			s.at++
		}
		return s.data[begin:s.at]
	}
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.data[begin:s.at]
}

// text returns what a string says. Without escapes it is a part of the document, not a copy.
func (s *scanner) text() []byte {
	raw := s.scalar()
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var plain string
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil // not for a valid document
	}
	return []byte(plain)
}

// skip steps over a value.
func (s *scanner) skip() {
	depth := 0
	for {
		switch s.peek() {
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
		case 0:
			return
		default:
			s.scalar()
		}
		if depth <= 0 {
			return
		}
	}
}
