package stack

import (
	"bytes"
	"errors"
)

// Sizes of one message. RFC 3261 names no limit; these hold any INVITE that a phone or an SBC writes.
const (
	maxHeader = 16 << 10
	maxBody   = 48 << 10
)

var (
	errHeaderTooLong = errors.New("header section too long")
	errBodyTooLong   = errors.New("body too long")
	errContentLength = errors.New("Content-Length is no number")
	errTwoLengths    = errors.New("more than one Content-Length")
	errNoLength      = errors.New("Content-Type without Content-Length")
	errIncomplete    = errors.New("incomplete")
	crlf             = []byte("\r\n")
	crlfcrlf         = []byte("\r\n\r\n")
	pong             = crlf
)

// frame finds the first message in data and returns its length. With errIncomplete n is the least length that the data
// must reach; with another error it is the length of what can be read of the header section.
func frame(data []byte) (n int, err error) {
	head := bytes.Index(data, crlfcrlf)
	if head < 0 {
		if len(data) > maxHeader {
			return bytes.LastIndex(data, crlf) + 2, errHeaderTooLong
		}
		return len(data) + 1, errIncomplete
	}
	head += 4
	if head > maxHeader {
		return head, errHeaderTooLong
	}
	length, err := contentLength(data[:head])
	if err != nil {
		return head, err
	}
	if length > maxBody {
		return head, errBodyTooLong
	}
	if len(data) < head+length {
		return head + length, errIncomplete
	}
	return head + length, nil
}

// contentLength reads the header's value. Two of them, or a body announced by its type alone, are refused: guessing where
// a message ends would let one sender's body pass for another's request. Without either header there is no body.
func contentLength(head []byte) (int, error) {
	var value []byte
	found, typed, current := false, false, false // current: the line before is ours, and may be folded
	_, lines, _ := bytes.Cut(head, crlf)         // without the start line
	for line := range bytes.SplitSeq(lines, crlf) {
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if current {
				value = append(append(value[:len(value):len(value)], ' '), line...)
			}
			continue
		}
		name, rest, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		typed = typed || bytes.EqualFold(name, []byte("content-type")) || bytes.EqualFold(name, []byte("c"))
		current = bytes.EqualFold(name, []byte("content-length")) || bytes.EqualFold(name, []byte("l"))
		if current {
			if found {
				return 0, errTwoLengths
			}
			found, value = true, rest
		}
	}
	if !found {
		if typed {
			return 0, errNoLength
		}
		return 0, nil
	}
	value = bytes.TrimSpace(value)
	if len(value) == 0 || len(value) > 9 {
		return 0, errContentLength
	}
	n := 0
	for _, b := range value {
		if b < '0' || b > '9' {
			return 0, errContentLength
		}
		n = 10*n + int(b-'0')
	}
	return n, nil
}

// framingStatus is the answer to a message whose end cannot be told.
func framingStatus(err error) (status int, reason string) {
	switch err {
	case errBodyTooLong:
		return 413, "Request Entity Too Large"
	case errHeaderTooLong:
		return 513, "Message Too Large"
	case errTwoLengths:
		return 400, "Two Content-Length Header Fields"
	case errNoLength:
		return 400, "Content-Type Without Content-Length"
	default:
		return 400, "Bad Content-Length"
	}
}
