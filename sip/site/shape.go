package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// shape walks a document token by token beside the Go type that it must fit. encoding/json alone would stop at the
// first unknown field, take "ID" for "id", take the last of two equal keys, and read null as empty.
type shape struct {
	dec    *json.Decoder
	path   []string
	fields map[reflect.Type]map[string]reflect.Type
	errs   []Error
}

// checkShape returns what does not fit Document; fatal when the text is no JSON object at all, with the line set.
func checkShape(data []byte) (errs []Error, fatal bool) {
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return []Error{{Line: lineAt(data, at), Problem: "text is not UTF-8", Fix: "save the file as UTF-8"}}, true
	}
	s := &shape{dec: json.NewDecoder(bytes.NewReader(data)), fields: make(map[reflect.Type]map[string]reflect.Type)}
	s.dec.UseNumber()
	err := s.value(reflect.TypeFor[Document]())
	if err == nil {
		if _, err = s.dec.Token(); err == io.EOF {
			return s.errs, false
		}
		if err == nil {
			err = errors.New("something follows the end of the document")
		}
	}
	at := int(s.dec.InputOffset())
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = int(syntax.Offset)
	}
	problem := err.Error()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		at, problem = len(data), "the document ends in the middle"
	}
	return []Error{{Path: s.pointer(), Line: lineAt(data, at), Problem: problem, Fix: "write valid JSON (RFC 8259)"}}, true
}

func lineAt(data []byte, at int) int {
	return 1 + bytes.Count(data[:min(max(at, 0), len(data))], []byte("\n"))
}

// value reads one value that should fit t. The error is the decoder's: the text is no JSON.
func (s *shape) value(t reflect.Type) error {
	token, err := s.dec.Token()
	if err != nil {
		return err
	}
	switch tok := token.(type) {
	case json.Delim:
		switch {
		case tok == '{' && t.Kind() == reflect.Struct:
			return s.object(func(key string) (reflect.Type, bool) {
				f, ok := s.fieldsOf(t)[key]
				return f, ok
			}, t)
		case tok == '{' && t.Kind() == reflect.Map:
			return s.object(func(string) (reflect.Type, bool) { return t.Elem(), true }, t)
		case tok == '[' && t.Kind() == reflect.Slice:
			return s.array(t.Elem())
		}
		s.wrong(t, map[json.Delim]string{'{': "an object", '[': "an array"}[tok])
		return s.skip()
	case string:
		if t.Kind() != reflect.String {
			s.wrong(t, "a string")
		}
	case bool:
		if t.Kind() != reflect.Bool {
			s.wrong(t, strconv.FormatBool(tok))
		}
	case json.Number:
		switch t.Kind() {
		case reflect.Int:
			_, err = strconv.ParseInt(string(tok), 10, 32)
		case reflect.Uint64:
			_, err = strconv.ParseUint(string(tok), 10, 64)
		default:
			err = errors.ErrUnsupported
		}
		if err != nil {
			s.wrong(t, string(tok))
		}
	case nil:
		s.wrong(t, "null")
	}
	return nil
}

func (s *shape) object(field func(key string) (reflect.Type, bool), t reflect.Type) error {
	var seen []string // few; a document with more than 64 is refused for unknown ones anyway
	for s.dec.More() {
		token, err := s.dec.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder accepts nothing else here
		s.path = append(s.path, key)
		inner, known := field(key)
		if slices.Contains(seen, key) {
			s.add("field appears twice", "keep one of them")
		} else if len(seen) < 64 {
			seen = append(seen, key)
		}
		if known {
			err = s.value(inner)
		} else {
			s.add(fmt.Sprintf("unknown field %q", key), "remove it or use one of "+s.known(t))
			err = s.dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
	_, err := s.dec.Token()
	return err
}

func (s *shape) array(elem reflect.Type) error {
	s.path = append(s.path, "")
	for i := 0; s.dec.More(); i++ {
		s.path[len(s.path)-1] = strconv.Itoa(i)
		if err := s.value(elem); err != nil {
			return err
		}
	}
	s.path = s.path[:len(s.path)-1]
	_, err := s.dec.Token()
	return err
}

// skip reads to the end of the object or array that was just opened. (No depth is remembered, so none can hurt.)
func (s *shape) skip() error {
	for depth := 1; depth > 0; {
		token, err := s.dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

func (s *shape) add(problem, fix string) {
	s.errs = append(s.errs, Error{Path: s.pointer(), Problem: problem, Fix: fix})
}

func (s *shape) wrong(t reflect.Type, got string) {
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "a whole number",
		reflect.Uint64: "a whole number from 0", reflect.Struct: "an object", reflect.Map: "an object", reflect.Slice: "an array",
	}[t.Kind()]
	s.add("is "+got, "must be "+want)
}

func (s *shape) pointer() string {
	var b strings.Builder
	for _, part := range s.path {
		b.WriteByte('/')
		b.WriteString(escapePointer(part))
	}
	return b.String()
}

// escapePointer writes one reference token of a JSON pointer (RFC 6901 §3).
func escapePointer(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
}

// fieldsOf returns the JSON names of a struct and their types.
func (s *shape) fieldsOf(t reflect.Type) map[string]reflect.Type {
	if f, ok := s.fields[t]; ok {
		return f
	}
	f := make(map[string]reflect.Type)
	for i := range t.NumField() {
		f[jsonName(t.Field(i))] = t.Field(i).Type
	}
	s.fields[t] = f
	return f
}

func (s *shape) known(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		names = append(names, jsonName(t.Field(i)))
	}
	return strings.Join(names, ", ")
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
