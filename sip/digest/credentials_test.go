package digest

import (
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	want := Credentials{Username: "bob", Realm: "r", Nonce: "n", URI: "sip:r", Response: "abc", Algorithm: SHA256, QOP: "auth", NC: "00000001", CNonce: "x", Opaque: "o"}
	for name, v := range map[string]string{
		"usual":        `Digest username="bob", realm="r", nonce="n", uri="sip:r", response="abc", algorithm=SHA-256, cnonce="x", opaque="o", qop=auth, nc=00000001`,
		"all quoted":   `digest username="bob",realm="r",nonce="n",uri="sip:r",response="abc",algorithm="sha-256",cnonce="x",opaque="o",qop="auth",nc="00000001"`,
		"all bare":     `DIGEST username=bob, realm=r, nonce=n, uri=sip:r, response=abc, algorithm=SHA-256, cnonce=x, opaque=o, qop=auth, nc=00000001`,
		"blanks":       "  Digest \t Username = \"bob\" , REALM= \"r\",,nonce =\"n\" ,uri=\"sip:r\", response=\"abc\",algorithm=SHA-256 ,cnonce=\"x\",opaque=\"o\",qop=auth,nc=00000001 , ",
		"unknown, esc": `Digest username="b\ob", realm="r", nonce="n", uri="sip:r", response="abc", algorithm=SHA-256, cnonce="x", opaque="o", qop=auth, nc=00000001, auts="", x-y="a,b=\"c"`,
	} {
		if got, err := Parse(v); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	got, err := Parse(`Digest username="b\"\\b", realm="r", nonce="n", uri="sip:r", response="abc"`)
	if err != nil || got.Username != `b"\b` || got.Algorithm != MD5 || got.QOP != "" {
		t.Errorf("legacy: %+v, %v", got, err)
	}
}

func TestParseBad(t *testing.T) {
	const rest = `realm="r", nonce="n", uri="sip:r", response="abc"`
	many := ""
	for i := range maxParams {
		many += fmt.Sprintf(", x%d=y", i)
	}
	for name, v := range map[string]string{
		"empty":             "",
		"scheme alone":      "Digest",
		"no parameters":     "Digest ",
		"basic":             "Basic YWxpY2U6eA==",
		"scheme run on":     `Digestusername="bob", ` + rest,
		"no username":       "Digest " + rest,
		"empty username":    `Digest username="", ` + rest,
		"no response":       `Digest username="bob", realm="r", nonce="n", uri="sip:r"`,
		"twice":             `Digest username="bob", USERNAME="eve", ` + rest,
		"unknown twice":     `Digest username="bob", x=1, x=1, ` + rest,
		"no closing quote":  `Digest ` + rest + `, username="bob`,
		"escaped end":       `Digest ` + rest + `, username="bob\"`,
		"backslash at end":  `Digest ` + rest + `, username="bob\`,
		"no comma":          `Digest username="bob" ` + rest,
		"quote in a token":  `Digest username=b"ob", ` + rest,
		"no equals":         `Digest username, ` + rest,
		"no name":           `Digest ="bob", ` + rest,
		"name no token":     `Digest user@name="bob", ` + rest,
		"control character": "Digest username=\"b\r\nob\", " + rest,
		"control, bare":     "Digest username=b\x00ob, " + rest,
		"escaped control":   "Digest username=\"b\\\nob\", " + rest,
		"too many":          `Digest username="bob", ` + rest + many,
		"too long":          `Digest username="` + strings.Repeat("b", maxValue) + `", ` + rest,
	} {
		if got, err := Parse(v); err == nil || !strings.HasPrefix(err.Error(), "digest credentials: ") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzParse: no input panics, what is understood survives being written and read again, and none of it authenticates.
func FuzzParse(f *testing.F) {
	f.Add(`Digest username="bob", realm="r", nonce="n", uri="sip:r", response="abc", algorithm=SHA-256, cnonce="x", opaque="o", qop=auth, nc=00000001`)
	f.Add(`Digest username="b\"\\b", realm=r, nonce=n,,uri=sip:r, response = "abc", qop="auth", nc="00000001"`)
	f.Add(`digest username="alice",realm="bran\"ch.example",nonce="AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",uri="sip:branch.example;transport=tls",response="0",qop=auth,nc=00000001,cnonce="x"`)
	s := server(0)
	f.Fuzz(func(t *testing.T, v string) {
		c, err := Parse(v)
		if err != nil {
			return
		}
		if r := s.Verify(t0, "REGISTER", c.URI, c, aliceHA1(), true); r.OK {
			t.Fatalf("%q authenticates", v)
		}
		if strings.ContainsAny(c.Algorithm+c.QOP+c.NC, "\" ,\t") || c.QOP == "" || c.NC == "" {
			return // header writes these bare
		}
		long := header(c)
		if len(long) > maxValue {
			return
		}
		opaque := c.Opaque
		c.Opaque = ""
		if again, err := Parse(long); err != nil || again != c {
			t.Fatalf("%q: %+v became %+v (opaque %q): %v", v, c, again, opaque, err)
		}
	})
}
