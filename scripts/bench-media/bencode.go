package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// encode writes strings, lists of strings and dictionaries in bencode.
func encode(v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(strconv.Itoa(len(v)) + ":" + v)
	case []string:
		b := []byte("l")
		for _, s := range v {
			b = append(b, encode(s)...)
		}
		return append(b, 'e')
	case map[string]any:
		b := []byte("d")
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			b = append(append(b, encode(k)...), encode(v[k])...)
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("%T cannot be bencoded", v))
}

var errBencode = errors.New("malformed bencode")

// decode reads one value and gives what follows it.
func decode(b []byte) (any, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errBencode
	}
	switch b[0] {
	case 'i':
		end := bytes.IndexByte(b, 'e')
		if end < 0 {
			return nil, nil, errBencode
		}
		n, err := strconv.ParseInt(string(b[1:end]), 10, 64)
		return n, b[end+1:], err
	case 'l', 'd':
		var list []any
		rest := b[1:]
		for len(rest) == 0 || rest[0] != 'e' {
			var v any
			var err error
			if v, rest, err = decode(rest); err != nil {
				return nil, nil, err
			}
			list = append(list, v)
		}
		if b[0] == 'l' {
			return list, rest[1:], nil
		}
		dict := make(map[string]any)
		for i := 0; i+1 < len(list); i += 2 {
			key, ok := list[i].(string)
			if !ok {
				return nil, nil, errBencode
			}
			dict[key] = list[i+1]
		}
		return dict, rest[1:], nil
	}
	colon := bytes.IndexByte(b, ':')
	if colon < 0 {
		return nil, nil, errBencode
	}
	n, err := strconv.Atoi(string(b[:colon]))
	if err != nil || n < 0 || n > len(b)-colon-1 {
		return nil, nil, errBencode
	}
	return string(b[colon+1 : colon+1+n]), b[colon+1+n:], nil
}
