package certs

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// As Windows's editors save a PEM file.
var editors = map[string]func([]byte) []byte{
	"CRLF": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) },
	"mark": func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) },
	"mark, CRLF": func(b []byte) []byte {
		return append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))...)
	},
	"mark before each": func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("-----BEGIN"), []byte("\xef\xbb\xbf-----BEGIN"))
	},
	"CR, spaces at the ends": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte(" \t\r\n")) },
}

func inUTF16(b []byte, order binary.AppendByteOrder) (out []byte) {
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(string(b)))...) {
		out = order.AppendUint16(out, u)
	}
	return out
}

// A certificate, its key and the authorities are taken as editors leave them; one in UTF-16 comes with what to do.
func TestEdited(t *testing.T) {
	ca := newIssuer(t, "Branch CA", nil)
	key, err := NewKey(false)
	must(t, err)
	request, err := Request(key, Names{DNS: []string{"box.example.com"}})
	must(t, err)
	chain := append(ca.sign(t, request, nil), ca.pem()...)
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "box.pem"), filepath.Join(dir, "box.key")}
	roots := filepath.Join(dir, "roots.pem")
	write := func(edit func([]byte) []byte) {
		t.Helper()
		for name, data := range map[string][]byte{p.Certificate: chain, p.Key: key, roots: append(ca.pem(), ca.pem()...)} {
			must(t, os.WriteFile(name, edit(data), 0o600))
		}
	}
	for name, edit := range editors {
		write(edit)
		c, err := p.Load()
		if err != nil || len(c.Certificate) != 2 {
			t.Errorf("%s: the pair: %v", name, err)
		}
		if k := p.Keys(); len(k) != 1 {
			t.Errorf("%s: %d keys", name, len(k))
		} else if _, err := Check(Phones, edit(chain), k, now); err != nil {
			t.Errorf("%s: for the key on the card: %v", name, err)
		}
		if a, err := ReadAuthorities(roots); err != nil || len(a.List) != 2 {
			t.Errorf("%s: authorities: %d, %v", name, len(a.List), err)
		}
		if a, err := CheckAuthorities(edit(ca.pem()), now); err != nil || len(a.List) != 1 {
			t.Errorf("%s: authorities that are brought: %v", name, err)
		}
		if brought, err := Check(Phones, edit(append(append([]byte(nil), chain...), key...)), nil, now); err != nil || brought.Key == nil || bytes.Contains(brought.Chain, []byte("\xef\xbb\xbf")) {
			t.Errorf("%s: brought with the key: %v", name, err)
		}
		both := Pair{filepath.Join(dir, "both.pem"), filepath.Join(dir, "both.pem")}
		must(t, os.WriteFile(both.Certificate, edit(append(append([]byte(nil), chain...), key...)), 0o600))
		if _, err := both.Load(); err != nil {
			t.Errorf("%s: both in one file: %v", name, err)
		}
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		wide := func(b []byte) []byte { return inUTF16(b, order) }
		write(wide)
		_, pair := p.Load()
		_, listed := ReadAuthorities(roots)
		_, brought := Check(Phones, wide(chain), [][]byte{key}, now)
		_, trusted := CheckAuthorities(wide(ca.pem()), now)
		for what, err := range map[string]error{p.Certificate: pair, roots: listed, "the file": brought, "the  file": trusted} {
			if err == nil || !strings.HasPrefix(err.Error(), strings.ReplaceAll(what, "  ", " ")+" is written in UTF-16: save it as UTF-8 (in Notepad: Save as, Encoding") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// A file that is something else altogether is not read to its end.
func TestLarge(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large.pem")
	must(t, os.WriteFile(name, make([]byte, MaxSize+1), 0o600))
	if _, err := (Pair{name, name}).Load(); err == nil || !strings.Contains(err.Error(), "is larger than 65536 bytes") {
		t.Error(err)
	}
}
