package stack

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	long := strings.Repeat("a", maxHeader)
	cases := []struct {
		name, in string
		n        int
		err      error
	}{
		{"nothing", "", 1, errIncomplete},
		{"start line only", "OPTIONS sip:a SIP/2.0\r\n", 24, errIncomplete},
		{"no body, no length", "OPTIONS sip:a SIP/2.0\r\nTo: x\r\n\r\n", 32, nil},
		{"length 0", "A\r\nContent-Length: 0\r\n\r\n", 24, nil},
		{"body", "A\r\nContent-Length: 3\r\n\r\nabc", 27, nil},
		{"body is short", "A\r\nContent-Length: 3\r\n\r\nab", 27, errIncomplete},
		{"body holds an empty line", "A\r\nl: 5\r\n\r\n\r\n\r\nX", 16, nil},
		{"next message follows", "A\r\nl: 1\r\n\r\nxB\r\nl: 9\r\n\r\n", 12, nil},
		{"compact, any case, spaces", "A\r\nL \t:  2 \r\n\r\nab", 17, nil},
		{"leading zeros", "A\r\nl: 0002\r\n\r\nab", 16, nil},
		{"folded value", "A\r\nContent-Length:\r\n 2\r\n\r\nab", 28, nil},
		{"folded into nothing", "A\r\nContent-Length: 2\r\n \t\r\n\r\nab", 30, nil},
		{"a fold that looks like the header", "A\r\nSubject: x\r\n Content-Length: 9\r\n\r\n", 37, nil},
		{"a start line that looks like the header", "l:9\r\nTo: x\r\n\r\n", 14, nil},
		{"fold makes two numbers", "A\r\nContent-Length: 2\r\n 2\r\n\r\nab", 28, errContentLength},
		{"negative", "A\r\nContent-Length: -1\r\n\r\n", 25, errContentLength},
		{"plus", "A\r\nContent-Length: +1\r\n\r\n", 25, errContentLength},
		{"hexadecimal", "A\r\nContent-Length: 0x1\r\n\r\n", 26, errContentLength},
		{"empty", "A\r\nContent-Length:\r\n\r\n", 22, errContentLength},
		{"huge", "A\r\nContent-Length: 99999999999999999999\r\n\r\n", 43, errContentLength},
		{"twice, different", "A\r\nl: 1\r\nContent-Length: 2\r\n\r\nab", 30, errTwoLengths},
		{"twice, the same", "A\r\nl: 1\r\nl: 1\r\n\r\nab", 17, errTwoLengths},
		{"list", "A\r\nl: 1, 1\r\n\r\nab", 14, errContentLength},
		{"type without length", "A\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", 36, errNoLength},
		{"compact type without length", "A\r\nc: application/sdp\r\n\r\nv=0\r\n", 25, errNoLength},
		{"largest body", "A\r\nl: " + strconv.Itoa(maxBody) + "\r\n\r\n", 15 + maxBody, errIncomplete},
		{"body too long", "A\r\nl: " + strconv.Itoa(maxBody+1) + "\r\n\r\n", 15, errBodyTooLong},
		{"header as long as may be", "A\r\nB:" + long[:maxHeader-9] + "\r\n\r\n", maxHeader, nil},
		{"header one too long", "A\r\nB:" + long[:maxHeader-8] + "\r\n\r\n", maxHeader + 1, errHeaderTooLong},
		{"header without end", "A\r\nB: c\r\nD:" + long, 9, errHeaderTooLong},
		{"no line end at all", "A" + long, 1, errHeaderTooLong},
	}
	for _, c := range cases {
		n, err := frame([]byte(c.in))
		if n != c.n || err != c.err {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, n, err, c.n, c.err)
		}
	}
}

// Whatever a message is cut into, the frame is the same, and no part of it is taken for a whole.
func TestFrameSplitAnywhere(t *testing.T) {
	for _, msg := range []string{
		"INVITE sip:a SIP/2.0\r\nTo: x\r\nContent-Length: 12\r\n\r\nv=0\r\n\r\ns=-\r\n",
		"OPTIONS sip:a SIP/2.0\r\nSubject: a\r\n\tb\r\nContent-Length:\r\n 0\r\n\r\n",
	} {
		for cut := range len(msg) {
			n, err := frame([]byte(msg[:cut]))
			if err != errIncomplete || n <= cut || n > len(msg) {
				t.Errorf("first %d bytes: %d, %v", cut, n, err)
			}
		}
		if n, err := frame([]byte(msg + msg)); n != len(msg) || err != nil {
			t.Errorf("two messages: %d, %v; want %d", n, err, len(msg))
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("INVITE sip:a SIP/2.0\r\nTo: x\r\nContent-Length: 5\r\n\r\nv=0\r\nOPTIONS"))
	f.Add([]byte("A\r\nContent-Length:\r\n 2\r\n\r\nab"))
	f.Add([]byte("A\r\nl: 1\r\nl: 1\r\n\r\nab"))
	f.Add([]byte("A\r\nc: application/sdp\r\n\r\n"))
	f.Add([]byte("\r\n\r\n\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := frame(data)
		switch err {
		case nil:
			if n < 4 || n > len(data) || n > maxHeader+maxBody {
				t.Fatalf("frame of %d bytes in %d", n, len(data))
			}
			// A frame needs all of its bytes and none after.
			if m, err := frame(data[:n]); m != n || err != nil {
				t.Fatalf("the frame alone: %d, %v", m, err)
			}
			if m, err := frame(data[:n-1]); err != errIncomplete || m > n {
				t.Fatalf("one byte less: %d, %v", m, err)
			}
		case errIncomplete:
			if n <= len(data) || n > maxHeader+maxBody {
				t.Fatalf("%d bytes wanted with %d at hand", n, len(data))
			}
		default:
			if n < 0 || n > len(data) {
				t.Fatalf("%v: %d of %d", err, n, len(data))
			}
			if answer := refusal(data[:n], 400, "Bad Request"); strings.Count(answer, "\r\n\r\n") > 1 ||
				bytes.ContainsAny([]byte(strings.ReplaceAll(answer, "\r\n", "")), "\r\n") {
				t.Fatalf("refusal is more than one message: %q", answer)
			}
		}
	})
}
