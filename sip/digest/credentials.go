package digest

import (
	"errors"
	"fmt"
	"strings"
)

// Credentials are the value of an Authorization header, unquoted and not yet believed.
type Credentials struct {
	Username, Realm, Nonce, URI, Response string
	Algorithm                             string // MD5 if not given (RFC 7616 §3.4); known names in canonical case
	QOP, NC, CNonce, Opaque               string // as written, since the response is over them
}

// Bounds of what Parse reads.
const (
	maxValue  = 4096
	maxParams = 32
)

// Parse reads a header value "Digest username=…, …" (RFC 3261 §25.1). Quoted and bare values are taken for every parameter, because
// phones confuse them; unknown parameters are skipped. A parameter given twice is an error: two readers could disagree on which counts.
func Parse(value string) (Credentials, error) {
	c, err := parse(value)
	if err != nil {
		return Credentials{}, fmt.Errorf("digest credentials: %w", err)
	}
	return c, nil
}

func parse(value string) (Credentials, error) {
	if len(value) > maxValue {
		return Credentials{}, fmt.Errorf("%d bytes, more than %d", len(value), maxValue)
	}
	value = strings.TrimSpace(value)
	const scheme = "digest"
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) || !blank(value[len(scheme)]) {
		return Credentials{}, errors.New("scheme is not Digest")
	}
	params := make(map[string]string)
	for rest := value[len(scheme):]; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		name, val, after, err := param(rest)
		if err != nil {
			return Credentials{}, err
		}
		if _, twice := params[name]; twice {
			return Credentials{}, fmt.Errorf("%.40q given twice", name)
		}
		if len(params) == maxParams {
			return Credentials{}, fmt.Errorf("more than %d parameters", maxParams)
		}
		params[name], rest = val, after
	}
	for _, name := range []string{"username", "realm", "nonce", "uri", "response"} {
		if params[name] == "" {
			return Credentials{}, fmt.Errorf("no %s", name)
		}
	}
	return Credentials{
		Username: params["username"], Realm: params["realm"], Nonce: params["nonce"], URI: params["uri"], Response: params["response"],
		Algorithm: algorithm(params["algorithm"]), QOP: params["qop"], NC: params["nc"], CNonce: params["cnonce"], Opaque: params["opaque"],
	}, nil
}

func algorithm(s string) string {
	for _, known := range []string{SHA256, MD5} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	if s == "" {
		return MD5
	}
	return s
}

// param cuts "name = value" off s. What follows is empty or begins with a comma.
func param(s string) (name, value, rest string, err error) {
	name, rest, ok := strings.Cut(s, "=")
	name = strings.ToLower(strings.TrimRight(name, " \t"))
	if !ok || name == "" || strings.ContainsFunc(name, notToken) {
		return "", "", "", fmt.Errorf("parameter %.40q is not name=value", name)
	}
	rest = strings.TrimLeft(rest, " \t")
	if strings.HasPrefix(rest, `"`) {
		value, rest, err = unquote(rest[1:])
		if err != nil {
			return "", "", "", fmt.Errorf("%s: %w", name, err)
		}
	} else {
		end := strings.IndexAny(rest, ", \t")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
		if strings.Contains(value, `"`) || strings.ContainsFunc(value, control) {
			return "", "", "", fmt.Errorf("%s: quote or control character in its value", name)
		}
	}
	rest = strings.TrimLeft(rest, " \t")
	if rest != "" && rest[0] != ',' {
		return "", "", "", fmt.Errorf("%s: no comma after its value", name)
	}
	return name, value, rest, nil
}

// unquote reads up to the closing quote.
func unquote(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case control(rune(s[i])):
			return "", "", errors.New("control character")
		case s[i] == '\\' && i+1 < len(s) && !control(rune(s[i+1])):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("no closing quote")
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if control(rune(c)) {
			continue
		}
		if c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// notToken: RFC 3261 §25.1, token.
func notToken(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-.!%*_+`'~", r))
}
