package digest

import (
	"slices"
	"strings"
)

// sameURI reports whether the uri of the credentials names what the request asks for. It is stricter than a router must be and laxer than
// byte equality: letter case, the transport parameter, the order of parameters and a port that one of the two leaves out do not
// matter; phones behind an outbound proxy differ in these.
func sameURI(a, b string) bool {
	if len(a) > maxValue || len(b) > maxValue {
		return false
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	if a == b {
		return true
	}
	x, ok := splitURI(a)
	y, ok2 := splitURI(b)
	return ok && ok2 && x.scheme == y.scheme && x.user == y.user && x.host == y.host &&
		(x.port == y.port || x.port == "" || y.port == "") && slices.Equal(x.params, y.params)
}

type uri struct {
	scheme, user, host, port string
	params                   []string // sorted, without transport
}

// splitURI takes a sip or sips URI in lower case apart; other schemes must be equal as they stand.
func splitURI(s string) (u uri, ok bool) {
	u.scheme, s, ok = strings.Cut(s, ":")
	if !ok || u.scheme != "sip" && u.scheme != "sips" {
		return uri{}, false
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 { // before the parameters: a user part may contain ";" (RFC 3261 §25.1)
		u.user, s = s[:i], s[i+1:]
	}
	hostport, params, _ := strings.Cut(s, ";")
	u.host = hostport
	if i := strings.LastIndexByte(hostport, ':'); i > strings.LastIndexByte(hostport, ']') {
		u.host, u.port = hostport[:i], hostport[i+1:]
	}
	for p := range strings.SplitSeq(params, ";") {
		if p != "" && p != "transport" && !strings.HasPrefix(p, "transport=") {
			u.params = append(u.params, p)
		}
	}
	slices.Sort(u.params)
	return u, u.host != ""
}
