package typed

import (
	"bytes"
	"errors"
	"testing"
)

func TestText(t *testing.T) {
	for name, x := range map[string]struct {
		data, want string
		err        error
	}{
		"nothing":               {"", "", nil},
		"plain":                 {"a = 1\r\nb\n", "a = 1\r\nb\n", nil},
		"marked":                {"\xef\xbb\xbfa = 1\r\n", "a = 1\r\n", nil},
		"marked files, joined":  {"\xef\xbb\xbfa\r\n\xef\xbb\xbfb\r\n", "a\r\nb\r\n", nil},
		"only a mark":           {"\xef\xbb\xbf", "", nil},
		"half a mark":           {"\xef\xbb", "\xef\xbb", nil},
		"UTF-16, little-endian": {"\xff\xfea\x00", "", ErrUTF16},
		"UTF-16, big-endian":    {"\xfe\xff\x00a", "", ErrUTF16},
		"other bytes":           {"\xff\x00\xfe", "\xff\x00\xfe", nil},
	} {
		given := []byte(x.data)
		got, err := Text(given)
		if string(got) != x.want || !errors.Is(err, x.err) || !bytes.Equal(given, []byte(x.data)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
