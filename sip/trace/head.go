package trace

import (
	"bytes"
	"strconv"
	"strings"
)

// head is what a message's own lines say of it, as far as they can be read.
type head struct {
	status  int    // 0: a request
	method  string // of the request, or of CSeq
	reason  string
	target  string // Request-URI
	callID  string
	from    string // addresses without names and tags
	to      string
	content string // type of a body that is not empty
}

// read never fails: what cannot be read stays empty.
func read(msg []byte) (h head) {
	top, body := split(msg)
	line, rest := logicalLine(top)
	first := strings.TrimSpace(printable(line))
	if version, after, ok := strings.Cut(first, " "); ok && strings.EqualFold(version, "SIP/2.0") {
		code, reason, _ := strings.Cut(after, " ")
		h.status, _ = strconv.Atoi(code)
		h.reason = reason
	} else {
		parts := strings.Fields(first)
		if len(parts) > 0 {
			h.method = parts[0]
		}
		if len(parts) > 1 {
			h.target = parts[1]
		}
	}
	for len(rest) > 0 {
		line, rest = logicalLine(rest)
		name, value := field(line)
		switch {
		case equal(name, "call-id"), equal(name, "i"):
			h.callID = strings.TrimSpace(printable(value))
		case equal(name, "from"), equal(name, "f"):
			h.from = address(value)
		case equal(name, "to"), equal(name, "t"):
			h.to = address(value)
		case equal(name, "cseq"):
			if f := strings.Fields(printable(value)); h.status > 0 && len(f) == 2 {
				h.method = f[1]
			}
		case equal(name, "content-type"), equal(name, "c"):
			t, _, _ := bytes.Cut(value, []byte(";"))
			h.content = strings.ToLower(strings.TrimSpace(printable(t)))
		}
	}
	if len(body) == 0 {
		h.content = ""
	}
	return h
}

// address is the user part of a From or To, or the whole address where there is none.
func address(value []byte) string {
	s := printable(value)
	if _, after, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(after, ">")
	} else {
		s, _, _ = strings.Cut(s, ";")
	}
	s = strings.TrimSpace(s)
	if scheme, rest, ok := strings.Cut(s, ":"); ok && (strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips") || strings.EqualFold(scheme, "tel")) {
		s = rest
	}
	if user, _, ok := strings.Cut(s, "@"); ok {
		return user
	}
	return s
}

// printable is text for people and terminals: what the network put in must not speak to them in their own language.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		case !strconv.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}

// callIDOf finds the Call-ID without allocating.
func callIDOf(msg []byte) []byte {
	top, _ := split(msg)
	for len(top) > 0 {
		var line []byte
		line, top = logicalLine(top)
		if name, value := field(line); equal(name, "call-id") || equal(name, "i") {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}

// chatter tells what comes all the time and belongs to no call: registrations, keepalives, texts.
func chatter(msg []byte) bool {
	top, _ := split(msg)
	line, rest := logicalLine(top)
	method, _, _ := bytes.Cut(line, []byte(" "))
	for len(rest) > 0 && prefix(method, "sip/2.0") {
		line, rest = logicalLine(rest)
		if name, value := field(line); equal(name, "cseq") {
			value = bytes.TrimSpace(value)
			method = value[bytes.LastIndexAny(value, " \t")+1:]
		}
	}
	return equal(method, "register") || equal(method, "options") || equal(method, "message") || equal(method, "publish") || equal(method, "subscribe")
}
