package trace

import (
	"bytes"
	"strings"
	"testing"
)

func wire(lines ...string) string { return strings.Join(lines, "\r\n") }

const top = "INVITE sip:1002@branch.example SIP/2.0\r\nCall-ID: a@b\r\n"

// TestRedact: what must go goes, what an engineer needs stays, and nothing moves.
func TestRedact(t *testing.T) {
	for name, c := range map[string]struct {
		msg        string
		gone, kept []string
	}{
		"Digest": {top + wire(`Authorization: Digest username="1001", realm="branch.example", nonce="n0nce", uri="sip:1002@branch.example", response="5ecre7", cnonce="c0n", nc=00000001, qop=auth, algorithm=SHA-256`, "", ""),
			[]string{"5ecre7", "c0n"}, []string{`username="1001"`, `realm="branch.example"`, `nonce="n0nce"`, "nc=00000001", "algorithm=SHA-256", "Authorization: Digest"}},
		"Digest of the other kind, folded":   {top + wire("PROXY-authorization\t: digest username=\"1001\",", "\tresponse = 5ecre7 ,", " cnonce=c0n", "", ""), []string{"5ecre7", "c0n"}, []string{`username="1001"`}},
		"Digest with a comma in quotes":      {top + wire(`Authorization: Digest username="a,response=\"x", response="5ecre7"`, "", ""), []string{"5ecre7"}, nil},
		"Digest with a quote missing":        {top + wire(`Authorization: Digest username="a, response="5ecre7"`, "", ""), []string{"5ecre7"}, nil},
		"Digest without a comma":             {top + wire(`Authorization: Digest response=5ecre7`, "", ""), []string{"5ecre7"}, nil},
		"Digest without a space":             {top + wire(`Authorization:Digest response="5ecre7"`, "", ""), []string{"5ecre7"}, nil},
		"a parameter that nobody knows":      {top + wire(`Authorization: Digest username="u", password="5ecre7"`, "", ""), []string{"5ecre7"}, []string{`username="u"`}},
		"Basic":                              {top + wire("Authorization: Basic 5ecre7==", "", ""), []string{"5ecre7"}, []string{"Basic"}},
		"Bearer with what looks like Digest": {top + wire(`Authorization: Bearer username="5ecre7"`, "", ""), []string{"5ecre7"}, nil},
		"no scheme":                          {top + wire("Authorization: 5ecre7", "", ""), nil, nil},
		"Authentication-Info":                {"SIP/2.0 200 OK\r\n" + wire(`Authentication-Info: rspauth="5ecre7", cnonce="c0n", nextnonce="next", qop=auth`, "", ""), []string{"5ecre7", "c0n"}, []string{`nextnonce="next"`, "qop=auth"}},
		"challenge":                          {"SIP/2.0 401 Unauthorized\r\n" + wire(`WWW-Authenticate: Digest realm="r", nonce="n0nce"`, "", ""), nil, []string{`nonce="n0nce"`, `realm="r"`}},
		"line ends without CR":               {"REGISTER sip:x SIP/2.0\nAuthorization: Digest response=5ecre7\n\n", []string{"5ecre7"}, nil},
		"cut off":                            {`REGISTER sip:x SIP/2.0` + "\r\n" + `Authorization: Digest response="5ecre7`, []string{"5ecre7"}, nil},
		"password in an address": {"INVITE sip:1002:5ecre7@h SIP/2.0\r\n" + wire("From: <sips:1001:5ecre7@h:5061>;tag=1", "Contact: <sip:1001@10.0.0.1:5061>", "", ""), []string{"5ecre7"},
			[]string{"sips:1001:", "@h:5061>", "<sip:1001@10.0.0.1:5061>", "sip:1002:"}},
		"SDES": {top + wire("Content-Type: application/sdp", "", "v=0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:5ecre7+/abc|2^31|1:1 UNENCRYPTED_SRTCP", "a=CRYPTO:2 F8 INLINE:5ecre7;inline:5ecre8|2^20", "a=rtpmap:0 PCMU/8000", ""),
			[]string{"5ecre7", "5ecre8"}, []string{"AES_CM_128_HMAC_SHA1_80 inline:", "|2^31|1:1 UNENCRYPTED_SRTCP", "a=rtpmap:0 PCMU/8000", "v=0"}},
		"SDES in a type that is hidden": {top + wire("c: text/plain", "", "a=crypto:1 S inline:5ecre7"), []string{"5ecre7"}, nil},
		"SDES without inline":           {top + wire("Content-Type: application/sdp", "", "a=crypto:1 SUITE 5ecre7 5ecre8", ""), []string{"5ecre7", "5ecre8"}, []string{"SUITE"}},
		"SDES in a header":              {top + wire("X-Offer: a=crypto inline:5ecre7|2^31", "", ""), []string{"5ecre7"}, []string{"|2^31"}},
		"k= and MIKEY":                  {top + wire("Content-Type: application/sdp;charset=utf-8", "", "k=base64:5ecre7", "a=key-mgmt:mikey 5ecre8", "m=audio 1 RTP/SAVP 0"), []string{"5ecre7", "5ecre8"}, []string{"m=audio 1"}},
		"a text":                        {"MESSAGE sip:1 SIP/2.0\r\n" + wire("Content-Type: text/plain", "Content-Length: 6", "", "5ecre7"), []string{"5ecre7"}, []string{"Content-Length: 6"}},
		"keys that were pressed":        {"INFO sip:1 SIP/2.0\r\n" + wire("Content-Type: application/dtmf-relay", "", "Signal=7531", ""), []string{"7531"}, nil},
		"a body without a type":         {top + wire("", "5ecre7"), []string{"5ecre7"}, nil},
		"an encoded body":               {top + wire("Content-Type: application/sdp", "e: gzip", "", "5ecre7"), []string{"5ecre7"}, nil},
		"a part of a NOTIFY":            {"NOTIFY sip:1 SIP/2.0\r\n" + wire("Content-Type: message/sipfrag;version=2.0", "", "SIP/2.0 200 OK"), nil, []string{"SIP/2.0 200 OK"}},
		"several parts": {top + wire("Content-Type: multipart/mixed;boundary=b", "", "5ecre7", "--b", "Content-Type: application/sdp", "", "v=0", "a=crypto:1 S inline:5ecre7", "--b", "Content-Type: text/plain", "X-Other: 5ecre7", "", "5ecre7",
			"--b", "Content-Type: application/pidf+xml", "", "<room>204</room>", "--b", "Content-Type: multipart/mixed;boundary=c", "", "5ecre7", "--b--", "5ecre7"),
			[]string{"5ecre7"}, []string{"v=0", "<room>204</room>", "--b--", "Content-Type: text/plain"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := []byte(c.msg)
			Redact(got)
			if len(got) != len(c.msg) || bytes.Count(got, []byte("\n")) != strings.Count(c.msg, "\n") {
				t.Errorf("the message has another shape:\n%s", got)
			}
			for _, g := range c.gone {
				if bytes.Contains(got, []byte(g)) {
					t.Errorf("%q is still there:\n%s", g, got)
				}
			}
			for _, k := range c.kept {
				if !bytes.Contains(got, []byte(k)) {
					t.Errorf("%q is gone:\n%s", k, got)
				}
			}
			again := bytes.Clone(got)
			if Redact(again); !bytes.Equal(again, got) {
				t.Errorf("a second pass changes it:\n%s\n%s", got, again)
			}
		})
	}
}

// TestRedactHostile: 64 KiB of the worst that is known; work that grew with the square would take minutes.
func TestRedactHostile(t *testing.T) {
	for name, unit := range map[string]string{"addresses": "sip:", "keys": "inline:", "colons": ":", "quotes": `"`, "commas": "Authorization: Digest ,,\r\n", "parts": "--\n", "folds": "\r\n "} {
		msg := []byte(top + strings.Repeat(unit, longest/len(unit)))
		was := len(msg)
		for range 20 {
			Redact(msg)
		}
		if len(msg) != was {
			t.Errorf("%s: length", name)
		}
	}
}

// FuzzRedact plants secrets where a phone would have them, in front of and behind what the fuzzer writes.
func FuzzRedact(f *testing.F) {
	f.Add("Via: SIP/2.0/TLS h\r\n", "v=0\r\n", "realm=\"r\", ")
	f.Add("Subject: x\r\n y\r\n", "a=crypto:9 S inline:", "")
	f.Add("X: \"\r\n", "--b\r\n", `username="\"", `)
	f.Fuzz(func(t *testing.T, header, body, param string) {
		if strings.Contains(header, "\n\r\n") || strings.Contains(header, "\n\n") || strings.ContainsAny(param, "\r\n\"\\") {
			return // the fuzzer ended the head, or the secret would stand in a place that is no parameter
		}
		const proof, key = "5ecre7proof", "5ecre7key0"
		msg := []byte("REGISTER sip:h SIP/2.0\r\nAuthorization: Digest " + param + `response="` + proof + "\"\r\n" + header + "\r\nContent-Type: application/sdp\r\n\r\n" +
			body + "\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^31\r\n")
		was := len(msg)
		Redact(msg)
		if len(msg) != was {
			t.Fatal("another length")
		}
		if bytes.Contains(msg, []byte(key)) {
			t.Errorf("the key is there:\n%q", msg)
		}
		if bytes.Contains(msg, []byte(proof)) {
			t.Errorf("the proof is there:\n%q", msg)
		}
		read(msg)
		chatter(msg)
	})
}
