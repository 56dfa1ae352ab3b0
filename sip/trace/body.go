package trace

import "bytes"

// bodyKind is what Redact does with a body.
type bodyKind uint8

const (
	hidden    bodyKind = iota // may hold anything
	shown                     // holds no secret, or one that maskKeys finds
	multipart                 // each part by itself
)

// shownTypes are bodies that a ladder needs. A place (PIDF-LO) is what an emergency call is about.
var shownTypes = [...]string{"application/sdp", "message/sipfrag", "application/pidf+xml", "application/simple-message-summary",
	"application/reginfo+xml", "application/dialog-info+xml"}

// contentType is what a Content-Type value means; nil: there is none.
func contentType(value []byte) bodyKind {
	t, _, _ := bytes.Cut(value, []byte(";"))
	t = bytes.TrimSpace(t)
	for _, s := range shownTypes {
		if equal(t, s) {
			return shown
		}
	}
	if len(t) > 10 && equal(t[:10], "multipart/") {
		return multipart
	}
	return hidden
}

func redactBody(kind bodyKind, body []byte) {
	switch kind {
	case hidden:
		overwrite(body)
	case multipart:
		redactParts(body)
	}
}

// redactParts judges what stands between lines that begin with "--" by the part's own Content-Type; a boundary that the
// body's text imitates only ends a part too early, and what follows is hidden.
func redactParts(body []byte) {
	kind, inHead := hidden, false
	for len(body) > 0 {
		end := bytes.IndexByte(body, '\n') + 1
		if end == 0 {
			end = len(body)
		}
		line := body[:end]
		body = body[end:]
		switch {
		case bytes.HasPrefix(line, []byte("--")):
			kind, inHead = hidden, true
		case inHead && len(bytes.TrimSpace(line)) == 0:
			inHead = false
		case inHead:
			name, value := field(line)
			switch {
			case equal(name, "content-type"):
				if kind = contentType(value); kind == multipart {
					kind = hidden
				}
			case equal(name, "content-id"), equal(name, "content-length"), equal(name, "content-disposition"):
			default:
				overwrite(line)
			}
		case kind == hidden:
			overwrite(line)
		}
	}
}

// maskKeys hides SRTP keys wherever they stand: what follows "inline:" up to the lifetime, all key parameters of an
// a=crypto line without it, k= lines and MIKEY.
func maskKeys(msg []byte) {
	for rest := msg; len(rest) > 0; {
		end := bytes.IndexAny(rest, "\r\n") + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		rest = rest[end:]
		switch {
		case prefix(line, "k="):
			overwrite(line[2:])
		case prefix(line, "a=key-mgmt:"):
			overwrite(line[len("a=key-mgmt:"):])
		case prefix(line, "a=crypto:"):
			maskCrypto(line)
		default:
			maskInline(line)
		}
	}
}

// maskCrypto leaves the tag and the suite of a=crypto:1 SUITE inline:KEY|LIFETIME|MKI PARAMETERS.
func maskCrypto(line []byte) {
	if maskInline(line) {
		return
	}
	words, in := 0, false
	for i, c := range line {
		if space := isSpace(c); space {
			in = false
		} else if !in {
			in = true
			words++
		}
		if words > 2 {
			overwrite(line[i:])
			return
		}
	}
}

// maskInline hides the keys after each "inline:"; false when there is none.
func maskInline(line []byte) (found bool) {
	for i := 0; i < len(line); i++ {
		if lower(line[i]) != 'i' || !prefix(line[i:], "inline:") {
			continue
		}
		found = true
		i += len("inline:")
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		for ; i < len(line) && line[i] != '|' && line[i] != ';' && !isSpace(line[i]); i++ {
			line[i] = mask
		}
	}
	return found
}

func prefix(line []byte, with string) bool {
	return len(line) >= len(with) && equal(line[:len(with)], with)
}
