package raw

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Authorization is the header line that answers a 401 or 407 (RFC 8760): for the algorithm named, or else for the first
// challenge. It is "" when there is none.
func Authorization(res *Message, method, uri, user, password, algorithm string) string {
	name, header := "Authorization", "WWW-Authenticate"
	if res.Status() == 407 {
		name, header = "Proxy-Authorization", "Proxy-Authenticate"
	}
	challenges := res.All(header)
	if len(challenges) == 0 {
		return ""
	}
	c := challenges[0]
	for _, x := range challenges {
		if a := quotedParam(x, "algorithm"); algorithm != "" && (a == algorithm || a == "" && algorithm == "MD5") {
			c = x
		}
	}
	realm, nonce, alg := quotedParam(c, "realm"), quotedParam(c, "nonce"), quotedParam(c, "algorithm")
	h := func(s string) string {
		f := md5.New()
		if alg == "SHA-256" {
			f = sha256.New()
		}
		f.Write([]byte(s))
		return hex.EncodeToString(f.Sum(nil))
	}
	cnonce := Word()
	response := h(h(user+":"+realm+":"+password) + ":" + nonce + ":00000001:" + cnonce + ":auth:" + h(method+":"+uri))
	line := fmt.Sprintf(`%s: Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s", cnonce="%s", nc=00000001, qop=auth`,
		name, user, realm, nonce, uri, response, cnonce)
	if alg != "" {
		line += ", algorithm=" + alg
	}
	if o := quotedParam(c, "opaque"); o != "" {
		line += fmt.Sprintf(`, opaque="%s"`, o)
	}
	return line
}

// quotedParam reads one parameter of a challenge.
func quotedParam(v, name string) string {
	lower := strings.ToLower(v)
	for at := 0; ; {
		i := strings.Index(lower[at:], name+"=")
		if i < 0 {
			return ""
		}
		i += at
		if i > 0 && lower[i-1] != ' ' && lower[i-1] != ',' {
			at = i + 1
			continue
		}
		rest := v[i+len(name)+1:]
		if strings.HasPrefix(rest, `"`) {
			value, _, _ := strings.Cut(rest[1:], `"`)
			return value
		}
		value, _, _ := strings.Cut(rest, ",")
		return strings.TrimSpace(value)
	}
}
