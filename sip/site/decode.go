package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder fills a Document and notes everything that does not fit. encoding/json alone would stop at the first unknown
// field, take "ID" for "id", take the last of two equal keys, and read null as empty.
type decoder struct {
	scanner
	path   []string
	fields map[reflect.Type]map[string]field
	errs   []Error
}

type field struct {
	name  string
	index int
}

// decode fills doc and returns what does not fit; fatal when the text is no JSON at all, then with the line.
func decode(data []byte, doc *Document) (errs []Error, fatal bool) {
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
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		at := 0
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = int(syntax.Offset)
		}
		return []Error{{Line: lineAt(data, at), Problem: err.Error(), Fix: "write valid JSON (RFC 8259)"}}, true
	}
	d := &decoder{scanner: scanner{data: data}, fields: make(map[reflect.Type]map[string]field)}
	d.value(reflect.ValueOf(doc).Elem())
	return d.errs, false
}

// value reads one value into v, if it is of v's type.
func (d *decoder) value(v reflect.Value) {
	c := d.peek()
	if c == '{' && v.Kind() == reflect.Pointer { // what a document may leave out as a whole
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case c == '{' && v.Kind() == reflect.Struct:
		d.object(v)
	case c == '{' && v.Kind() == reflect.Map:
		d.mapping(v)
	case c == '[' && v.Kind() == reflect.Slice:
		d.array(v)
	case c == '"' && v.Kind() == reflect.String:
		v.SetString(string(d.text()))
	case c == '{' || c == '[' || c == '"':
		d.wrong(v, map[byte]string{'{': "an object", '[': "an array", '"': "a string"}[c])
		d.skip()
	default:
		if word := string(d.scalar()); !assign(v, word) {
			d.wrong(v, word)
		}
	}
}

// assign sets v to a number or a truth value.
func assign(v reflect.Value, word string) bool {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(word == "true")
		return word == "true" || word == "false"
	case reflect.Int:
		n, err := strconv.ParseInt(word, 10, 32)
		v.SetInt(n)
		return err == nil
	case reflect.Uint64:
		n, err := strconv.ParseUint(word, 10, 64)
		v.SetUint(n)
		return err == nil
	}
	return false
}

func (d *decoder) object(v reflect.Value) {
	known := d.fieldsOf(v.Type())
	var seen uint64 // a bit a field
	for d.open(); d.more(); {
		key := d.text()
		f, ok := known[string(key)]
		if !ok {
			d.push(string(key))
			d.add(fmt.Sprintf("unknown field %q", key), "remove it or use one of "+names(v.Type()))
			d.peek()
			d.skip()
			d.pop()
			continue
		}
		d.push(f.name)
		if seen&(1<<f.index) != 0 {
			d.add("field appears twice", "keep one of them")
		}
		seen |= 1 << f.index
		d.value(v.Field(f.index))
		d.pop()
	}
}

func (d *decoder) mapping(v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for d.open(); d.more(); {
		key := string(d.text())
		d.push(key)
		if v.MapIndex(reflect.ValueOf(key)).IsValid() {
			d.add("field appears twice", "keep one of them")
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(elem)
		v.SetMapIndex(reflect.ValueOf(key), elem)
		d.pop()
	}
}

// maxEntries bounds every list: an empty entry of three bytes in the text costs a hundred times that in memory.
const maxEntries = 50_000

func (d *decoder) array(v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	d.push("")
	for d.open(); d.more(); {
		n := v.Len()
		if n == maxEntries {
			d.path[len(d.path)-1] = strconv.Itoa(n)
			d.add(fmt.Sprintf("the list has more than %d entries", maxEntries), "split the site")
			for ok := true; ok; ok = d.more() {
				d.skip()
			}
			break
		}
		d.path[len(d.path)-1] = strconv.Itoa(n)
		v.Grow(1)
		v.SetLen(n + 1)
		v.Index(n).SetZero()
		d.value(v.Index(n))
	}
	d.pop()
}

func (d *decoder) push(part string) { d.path = append(d.path, part) }
func (d *decoder) pop()             { d.path = d.path[:len(d.path)-1] }

func (d *decoder) add(problem, fix string) {
	var pointer strings.Builder
	for _, part := range d.path {
		pointer.WriteString("/" + escapePointer(part))
	}
	d.errs = note(d.errs, Error{Path: pointer.String(), Problem: problem, Fix: fix})
}

func (d *decoder) wrong(v reflect.Value, got string) {
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false", reflect.Int: "a whole number",
		reflect.Uint64: "a whole number from 0", reflect.Struct: "an object", reflect.Map: "an object", reflect.Pointer: "an object", reflect.Slice: "an array",
	}[v.Kind()]
	d.add("is "+got, "must be "+want)
}

// fieldsOf returns the fields of a struct by their JSON names.
func (d *decoder) fieldsOf(t reflect.Type) map[string]field {
	if f, ok := d.fields[t]; ok {
		return f
	}
	f := make(map[string]field)
	for i := range t.NumField() {
		f[jsonName(t.Field(i))] = field{jsonName(t.Field(i)), i}
	}
	d.fields[t] = f
	return f
}

func names(t reflect.Type) string {
	var all []string
	for i := range t.NumField() {
		all = append(all, jsonName(t.Field(i)))
	}
	return strings.Join(all, ", ")
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// escapePointer writes one reference token of a JSON pointer (RFC 6901 §3).
func escapePointer(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
}
