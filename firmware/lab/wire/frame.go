package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of one message. They are generous for telephony and small for an attacker.
const (
	maxHead = 32 << 10
	maxBody = 32 << 10
)

var errTooLong = errors.New("message too long")

// readFrame returns the bytes of the next SIP message of a stream (RFC 3261 §18.3: Content-Length says where it ends).
// ping is called for each keep-alive of RFC 5626 §3.5.1 (a double CRLF between messages).
func readFrame(r *bufio.Reader, ping func()) ([]byte, error) {
	var head bytes.Buffer
	length, blank := -1, 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				return nil, errTooLong
			}
			if errors.Is(err, io.EOF) && head.Len() > 0 {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if head.Len() == 0 && text == "" { // between messages
			if blank++; blank == 2 {
				blank = 0
				ping()
			}
			continue
		}
		if head.Len()+len(line) > maxHead {
			return nil, errTooLong
		}
		head.Write(line)
		if text == "" {
			break
		}
		name, value, ok := strings.Cut(text, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if ok && (name == "content-length" || name == "l") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 {
				return nil, fmt.Errorf("Content-Length %q is not a length", value)
			}
		}
	}
	if length < 0 {
		return nil, errors.New("no Content-Length on a stream")
	}
	if length > maxBody {
		return nil, errTooLong
	}
	raw := make([]byte, head.Len()+length)
	copy(raw, head.Bytes())
	if _, err := io.ReadFull(r, raw[head.Len():]); err != nil {
		return nil, fmt.Errorf("body of %d bytes: %w", length, err)
	}
	return raw, nil
}
