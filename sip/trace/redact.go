package trace

import "bytes"

// mask stands for a byte of what was secret. Lengths stay as they were: a message whose Content-Length or offsets are the
// trouble can still be read.
const mask = 'x'

// Redact overwrites what is secret in a message, in place: the proofs in Authorization and its relatives, passwords in
// addresses, SRTP keys (RFC 4568, RFC 4566 k=, MIKEY), and every body that is not known to hold none: texts between people,
// digits of keys that were pressed. It takes any bytes, also what is no SIP message.
func Redact(msg []byte) {
	head, body := split(msg)
	kind := contentType(nil)
	encoded, start := false, true
	for len(head) > 0 {
		var line []byte
		line, head = logicalLine(head)
		if start { // the request line; a status line has no address
			maskPasswords(line)
			start = false
			continue
		}
		name, value := field(line)
		switch {
		case isProof(name):
			maskProof(value)
		case equal(name, "content-type"), equal(name, "c"):
			kind = contentType(value)
		case equal(name, "content-encoding"), equal(name, "e"):
			encoded = true
		}
		maskPasswords(line)
	}
	if encoded {
		kind = hidden
	}
	redactBody(kind, body)
	maskKeys(msg)
}

// split cuts a message at the empty line; without one it is all head.
func split(msg []byte) (head, body []byte) {
	for i := 0; i < len(msg); i++ {
		if msg[i] != '\n' {
			continue
		}
		switch rest := msg[i+1:]; {
		case bytes.HasPrefix(rest, []byte("\r\n")):
			return msg[:i+1], rest[2:]
		case bytes.HasPrefix(rest, []byte("\n")):
			return msg[:i+1], rest[1:]
		}
	}
	return msg, nil
}

// logicalLine is the first line with those that continue it (RFC 3261 §7.3.1).
func logicalLine(b []byte) (line, rest []byte) {
	for i, c := range b {
		if c != '\n' && c != '\r' {
			continue
		}
		next := i + 1
		if c == '\r' && next < len(b) && b[next] == '\n' {
			continue
		}
		if next == len(b) || b[next] != ' ' && b[next] != '\t' {
			return b[:next], b[next:]
		}
	}
	return b, nil
}

// field is a header line's name and value.
func field(line []byte) (name, value []byte) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil, nil
	}
	return bytes.TrimSpace(line[:colon]), line[colon+1:]
}

// equal compares a name with one in small letters.
func equal(name []byte, with string) bool {
	if len(name) != len(with) {
		return false
	}
	for i, c := range name {
		if lower(c) != with[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// isProof tells header fields whose values prove who somebody is.
func isProof(name []byte) bool {
	return equal(name, "authorization") || equal(name, "proxy-authorization") || equal(name, "authentication-info") ||
		equal(name, "proxy-authentication-info")
}

// open are the parameters of credentials that one needs to see why they were refused, and that prove nothing.
var open = [...]string{"username", "realm", "nonce", "uri", "algorithm", "qop", "nc", "opaque", "nextnonce", "userhash"}

// maskProof leaves the scheme and the open parameters of Digest; of any other scheme everything goes.
func maskProof(value []byte) {
	i := 0
	for i < len(value) && isSpace(value[i]) {
		i++
	}
	begin := i
	for i < len(value) && !isSpace(value[i]) && value[i] != '=' {
		i++
	}
	digest := equal(value[begin:i], "digest")
	if i < len(value) && value[i] == '=' { // Authentication-Info begins with its first parameter
		i, digest = begin, true
	}
	for i < len(value) {
		begin = i
		quoted := false
		for ; i < len(value) && (quoted || value[i] != ','); i++ {
			switch {
			case value[i] == '"':
				quoted = !quoted
			case value[i] == '\\' && quoted:
				i++
			}
		}
		i = min(i, len(value))
		if param := value[begin:i]; !digest || !isOpen(param) {
			name := bytes.IndexByte(param, '=')
			if !digest {
				name = -1
			}
			overwrite(param[name+1:])
		}
		i++
	}
}

// isOpen is for one parameter; where the quotes do not pair it may hold another one.
func isOpen(param []byte) bool {
	name, value, ok := bytes.Cut(param, []byte("="))
	if !ok {
		return len(bytes.TrimSpace(param)) == 0
	}
	name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	if n := bytes.Count(value, []byte(`"`)); n != 0 && (n != 2 || value[0] != '"' || value[len(value)-1] != '"') {
		return false
	}
	for _, o := range open {
		if equal(name, o) {
			return true
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// overwrite leaves what shapes the line: spaces, line ends, and the quotes round it.
func overwrite(b []byte) {
	quoted := bytes.TrimSpace(b)
	if n := len(quoted); n > 1 && quoted[0] == '"' && quoted[n-1] == '"' {
		quoted = quoted[1 : n-1]
	}
	for i, c := range quoted {
		if !isSpace(c) {
			quoted[i] = mask
		}
	}
}

// maskPasswords hides the password of sip:user:password@host (RFC 3261 §19.1.1 warns of it).
func maskPasswords(line []byte) {
	for i := 0; i+1 < len(line); i++ {
		if line[i] != ':' || i < 3 || !equal(line[i-3:i], "sip") && (i < 4 || !equal(line[i-4:i], "sips")) {
			continue
		}
		i++
		begin := i
		for i < len(line) && !isSpace(line[i]) && line[i] != '@' && bytes.IndexByte([]byte(`<>",`), line[i]) < 0 {
			i++
		}
		if i == len(line) || line[i] != '@' {
			continue
		}
		if colon := bytes.IndexByte(line[begin:i], ':'); colon >= 0 {
			overwrite(line[begin+colon+1 : i])
		}
	}
}
