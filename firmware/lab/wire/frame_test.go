package wire

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadFrame(t *testing.T) {
	const head = "OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n"
	for _, c := range []struct {
		name, in, want string
		pings          int
		bad            bool
	}{
		{name: "no body", in: head + "Content-Length: 0\r\n\r\nNEXT", want: head + "Content-Length: 0\r\n\r\n"},
		{name: "body, short form", in: head + "l:3\r\n\r\nabcNEXT", want: head + "l:3\r\n\r\nabc"},
		{name: "keep-alives before", in: "\r\n\r\n\r\n\r\n" + head + "l:0\r\n\r\n", want: head + "l:0\r\n\r\n", pings: 2},
		{name: "no length", in: head + "\r\n", bad: true},
		{name: "negative length", in: head + "l: -1\r\n\r\n", bad: true},
		{name: "no number", in: head + "l: many\r\n\r\n", bad: true},
		{name: "huge length", in: head + "l: 99999999\r\n\r\n", bad: true},
		{name: "endless line", in: strings.Repeat("x", 20<<10), bad: true},
		{name: "endless head", in: strings.Repeat("A: b\r\n", 20<<10), bad: true},
		{name: "cut in the head", in: head, bad: true},
		{name: "cut in the body", in: head + "l: 9\r\n\r\nabc", bad: true},
		{name: "nothing", bad: true},
	} {
		pings := 0
		got, err := readFrame(bufio.NewReaderSize(strings.NewReader(c.in), 8<<10), func() { pings++ })
		if (err != nil) != c.bad || string(got) != c.want || pings != c.pings {
			t.Errorf("%s: %q, %d pings, %v", c.name, got, pings, err)
		}
	}
}
