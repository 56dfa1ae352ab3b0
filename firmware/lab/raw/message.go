// Package raw is a SIP peer that says whatever it is told to: it writes text, reads messages without judging them, and
// knows no rule that a test may want to break. It is also light enough to play thousands of phones on one processor.
//
// Well-behaved phones with audio are package ua's job. For the lab only.
package raw

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Message is what came, header lines in their order and as they were.
type Message struct {
	Start   string
	Headers []Header
	Body    []byte
}

// Header is one line.
type Header struct{ Name, Value string }

// Get is the first header of the name, "" without one.
func (m *Message) Get(name string) string {
	for i := range m.Headers {
		if strings.EqualFold(m.Headers[i].Name, name) {
			return m.Headers[i].Value
		}
	}
	return ""
}

// All are the headers of the name.
func (m *Message) All(name string) (values []string) {
	for i := range m.Headers {
		if strings.EqualFold(m.Headers[i].Name, name) {
			values = append(values, m.Headers[i].Value)
		}
	}
	return values
}

// Status is a response's; 0 for a request.
func (m *Message) Status() int {
	rest, ok := strings.CutPrefix(m.Start, "SIP/2.0 ")
	if !ok || len(rest) < 3 {
		return 0
	}
	n, _ := strconv.Atoi(rest[:3])
	return n
}

// Method is a request's, and for a response that of its request.
func (m *Message) Method() string {
	if m.Status() != 0 {
		_, method, _ := strings.Cut(m.Get("CSeq"), " ")
		return method
	}
	method, _, _ := strings.Cut(m.Start, " ")
	return method
}

// URI is a request's.
func (m *Message) URI() string {
	_, rest, _ := strings.Cut(m.Start, " ")
	uri, _, _ := strings.Cut(rest, " ")
	return uri
}

// Param is the value of a header value's parameter.
func Param(value, name string) string {
	if _, after, ok := strings.Cut(value, ">"); ok {
		value = after
	}
	for p := range strings.SplitSeq(value, ";") {
		if k, v, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Target is the URI between angle brackets, or what stands before the parameters.
func Target(value string) string {
	if _, after, ok := strings.Cut(value, "<"); ok {
		uri, _, _ := strings.Cut(after, ">")
		return uri
	}
	uri, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(uri)
}

// Text is the message as it may have been on the wire.
func (m *Message) Text() string {
	var b strings.Builder
	b.WriteString(m.Start + "\r\n")
	for _, h := range m.Headers {
		b.WriteString(h.Name + ": " + h.Value + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(m.Body)
	return b.String()
}

// Reply is a response to a request; tag goes to To where there is none, lines are further headers without line ends.
func (m *Message) Reply(status int, reason, tag string, body []byte, lines ...string) string {
	var b strings.Builder
	b.Grow(512 + len(body))
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, reason)
	for _, h := range m.Headers {
		switch strings.ToLower(h.Name) {
		case "via", "v", "from", "f", "call-id", "i", "cseq", "record-route":
			b.WriteString(h.Name + ": " + h.Value + "\r\n")
		case "to", "t":
			b.WriteString(h.Name + ": " + h.Value)
			if tag != "" && Param(h.Value, "tag") == "" {
				b.WriteString(";tag=" + tag)
			}
			b.WriteString("\r\n")
		}
	}
	finish(&b, body, lines)
	return b.String()
}

// finish writes the last headers and the body.
func finish(b *strings.Builder, body []byte, lines []string) {
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	if len(body) > 0 && !strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "content-type:") {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	b.Write(body)
}

var errTooLong = errors.New("message too long")

// Read takes the next message off a stream; line ends before it are skipped.
func Read(r *bufio.Reader) (*Message, error) {
	m := &Message{Headers: make([]Header, 0, 16)}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errTooLong
			}
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0 && m.Start == "":
			continue
		case len(line) == 0:
			if length > 0 {
				m.Body = make([]byte, length)
				if _, err := io.ReadFull(r, m.Body); err != nil {
					return nil, err
				}
			}
			return m, nil
		case m.Start == "":
			m.Start = string(line)
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			return nil, fmt.Errorf("header line %q", line)
		}
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(value); err != nil || length < 0 || length > 1<<20 {
				return nil, fmt.Errorf("Content-Length %q", value)
			}
		}
		if m.Headers = append(m.Headers, Header{name, value}); len(m.Headers) > 1000 {
			return nil, errTooLong
		}
	}
}
