package raw

import (
	"bufio"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	const text = "\r\n\r\nINVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=x\r\nTo: \"x;tag=no\" <sip:a@b;tag=no>;tag=yes\r\nContent-Length: 3\r\n\r\nabcSIP/2.0 200 OK\r\nCSeq: 7 INVITE\r\n\r\n"
	r := bufio.NewReader(strings.NewReader(text))
	m, err := Read(r)
	if err != nil || m.Method() != "INVITE" || m.Status() != 0 || m.URI() != "sip:a@b" || string(m.Body) != "abc" || Param(m.Get("to"), "tag") != "yes" {
		t.Errorf("%v %+v", err, m)
	}
	if m, err = Read(r); err != nil || m.Status() != 200 || m.Method() != "INVITE" {
		t.Errorf("%v %+v", err, m)
	}
	for _, bad := range []string{"INVITE", "A\r\nno colon\r\n\r\n", "A\r\nContent-Length: -1\r\n\r\n", "A\r\nContent-Length: 5\r\n\r\nabc",
		"A\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n"} {
		if m, err := Read(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%.20q read as %+v", bad, m)
		}
	}
}

// TestAuthorization holds the answer against RFC 7616 §3.9.1's way of counting, done by hand for one nonce.
func TestAuthorization(t *testing.T) {
	res := &Message{Start: "SIP/2.0 401 Unauthorized", Headers: []Header{
		{"WWW-Authenticate", `Digest realm="r", nonce="n1", algorithm=SHA-256, qop="auth"`},
		{"WWW-Authenticate", `Digest realm="r", nonce="n2", algorithm=MD5, qop="auth", opaque="o"`}}}
	for algorithm, want := range map[string]string{"MD5": `nonce="n2"`, "SHA-256": `nonce="n1"`, "": `nonce="n1"`} {
		if got := Authorization(res, "REGISTER", "sip:r", "u", "p", algorithm); !strings.HasPrefix(got, "Authorization: Digest ") || !strings.Contains(got, want) {
			t.Errorf("%q: %s", algorithm, got)
		}
	}
	if got := Authorization(&Message{Start: "SIP/2.0 407 X"}, "INVITE", "sip:r", "u", "p", ""); got != "" {
		t.Errorf("answers no challenge: %s", got)
	}
}
