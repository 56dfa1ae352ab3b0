package stack

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

const good = "INVITE sip:202@box.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKx\r\nFrom: \"Ann\" <sip:201@box.test>;tag=f\r\n" +
	"To: <sip:202@box.test>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:201@127.0.0.1:5061>\r\nContent-Length: 0\r\n\r\n"

// edits of the good message and the status that they earn; 0 is none.
var guardCases = []struct {
	name, old, new string
	status         int
}{
	{"as it is", "", "", 0},
	{"no From", "From: \"Ann\" <sip:201@box.test>;tag=f\r\n", "", 400},
	{"no To", "To: <sip:202@box.test>\r\n", "", 400},
	{"no Call-ID", "Call-ID: c\r\n", "", 400},
	{"no CSeq", "CSeq: 7 INVITE\r\n", "", 400},
	{"no Via", "Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKx\r\n", "", 400},
	{"two From", "To:", "f: <sip:x@y>;tag=1\r\nTo:", 400},
	{"two To", "To:", "t: <sip:x@y>\r\nTo:", 400},
	{"two Call-ID", "Call-ID:", "i: d\r\nCall-ID:", 400},
	{"two CSeq", "CSeq:", "CSEQ : 7 INVITE\r\nCSeq:", 400},
	{"empty Call-ID", "Call-ID: c", "Call-ID: ", 400},
	{"CSeq of another method", "7 INVITE", "7 BYE", 400},
	{"CSeq in lower case", "7 INVITE", "7 invite", 400},
	{"CSeq no number", "7 INVITE", "x INVITE", 400},
	{"CSeq too large", "7 INVITE", "36893488147419103232 INVITE", 400},
	{"CSeq 2^31", "7 INVITE", "2147483648 INVITE", 400},
	{"CSeq with white space", "7 INVITE", "7 \t INVITE", 0},
	{"CSeq folded", "7 INVITE", "7\r\n INVITE", 0},
	{"version 7.0", "SIP/2.0\r\n", "SIP/7.0\r\n", 505},
	{"another protocol", " SIP/2.0\r\n", " HTTP/1.1\r\n", 400},
	{"no version", " SIP/2.0\r\n", "\r\n", 400},
	{"white space after the start line", "SIP/2.0\r\n", "SIP/2.0 \r\n", 400},
	{"two spaces in the start line", "INVITE sip", "INVITE  sip", 400},
	{"unknown scheme", "INVITE sip:202@box.test", "INVITE nobodyKnowsThisScheme:totallyopaquecontent", 416},
	{"unknown scheme with a dot", "INVITE sip:202@box.test", "INVITE soap.beep://192.0.2.103:3002", 416},
	{"tel", "INVITE sip:202@box.test", "INVITE tel:+15551234", 0},
	{"urn", "INVITE sip:202@box.test", "INVITE urn:service:sos", 0},
	{"brackets round the Request-URI", "INVITE sip:202@box.test", "INVITE <sip:202@box.test>", 400},
	{"wildcard Request-URI", "INVITE sip:202@box.test", "INVITE *", 400},
	{"white space in the Request-URI", "INVITE sip:202@box.test", "INVITE sip:202@box.test; lr", 400},
	{"unknown option", "Contact:", "Require: nothingSupportsThis, nothingSupportsThisEither\r\nContact:", 420},
	{"known option", "Contact:", "Require: Outbound\r\nContact:", 0},
	{"IPv6 in the Request-URI", "INVITE sip:202@box.test", "INVITE sip:202@[2001:db8::10]", 488},
	{"IPv6 with a port", "INVITE sip:202@box.test", "INVITE sip:202@[2001:db8::10]:5070", 488},
	{"IPv6 without brackets", "INVITE sip:202@box.test", "INVITE sip:202@2001:db8::10", 400},
	{"IPv6 in the Via", "TLS 127.0.0.1:5061", "TLS [2001:db8::9:1]:5061", 0},
	{"IPv6 with three colons in the Via", "TLS 127.0.0.1:5061", "TLS [2001:db8:::192.0.2.1]", 400},
	{"IPv6 with a zone in the Via", "TLS 127.0.0.1:5061", "TLS [fe80::1%25eth0]:5061", 400},
	{"IPv6 in the Contact", "sip:201@127.0.0.1:5061", "sip:201@[::1]:5061", 0},
	{"half an IPv6 address in the Contact", "sip:201@127.0.0.1:5061", "sip:201@[::1", 400},
	{"brackets round what is no address in the Contact", "sip:201@127.0.0.1:5061", "sip:201@[x:y]:5061", 400},
	{"no From tag", ";tag=f", "", 400},
	{"no From tag and no magic cookie (RFC 2543)", ";branch=z9hG4bKx\r\nFrom: \"Ann\" <sip:201@box.test>;tag=f", "\r\nFrom: <sip:201@box.test>", 0},
	{"white space round ; and =", ";tag=f", " ; tag = f", 0},
	{"upper-case parameter", ";tag=f", ";TAG=f", 0},
	{"open quote", "\"Ann\"", "\"Ann", 400},
	{"open bracket", "<sip:202@box.test>", "<sip:202@box.test", 400},
	{"header line without colon", "Contact:", "nonsense\r\nContact:", 400},
	{"header name missing", "Contact:", ": nonsense\r\nContact:", 400},
	{"fold before the first header", "SIP/2.0\r\nVia", "SIP/2.0\r\n Via", 400},
	{"bare LF", "\"Ann\"", "\"Ann\nRoute: <sip:evil>\"", 400},
	{"bare CR", "\"Ann\"", "\"Ann\rb\"", 400},
	{"empty Via", "SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKx", "", 400},
	{"Via without host", "TLS 127.0.0.1:5061;", "TLS ;", 400},
	{"Via with a word for a port", ":5061;", ":sip;", 400},
	{"too many fields", "Contact:", strings.Repeat("X: y\r\n", maxFields) + "Contact:", 400},
}

func TestParseGuard(t *testing.T) {
	for _, c := range guardCases {
		msg := strings.Replace(good, c.old, c.new, 1)
		if c.old != "" && msg == good {
			t.Fatalf("%s: the edit changes nothing", c.name)
		}
		m, err := parse([]byte(msg))
		switch b, _ := err.(*malformed); {
		case c.status == 0 && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.status == 0:
			r := m.(*sip.Request)
			if tag, _ := r.From().Params.Get("tag"); tag != "f" && strings.Contains(msg, "z9hG4bK") {
				t.Errorf("%s: From tag %q", c.name, tag)
			}
			if r.CSeq().SeqNo != 7 || r.CSeq().MethodName != sip.INVITE {
				t.Errorf("%s: CSeq %v", c.name, r.CSeq())
			}
		case b == nil:
			t.Errorf("%s: %v; want status %d", c.name, err, c.status)
		case b.status != c.status:
			t.Errorf("%s: %v; want status %d", c.name, err, c.status)
		}
	}
}

func TestParseResponse(t *testing.T) {
	ok := strings.Replace(good, "INVITE sip:202@box.test SIP/2.0", "SIP/2.0 180 Ringing", 1)
	for start, wanted := range map[string]bool{"180 Ringing": true, "200 ": true, "99 Low": false, "700 High": false,
		"4294967301 Big": false, "-200 OK": false, "abc OK": false} {
		_, err := parse([]byte(strings.Replace(ok, "180 Ringing", start, 1)))
		if (err == nil) != wanted {
			t.Errorf("%q: %v", start, err)
		}
	}
}

// Require means nothing in an ACK or a CANCEL (RFC 3261 §8.2.2.3): an ACK cannot be refused.
func TestParseRequireInAck(t *testing.T) {
	for _, method := range []string{"ACK", "CANCEL"} {
		msg := strings.ReplaceAll(strings.Replace(good, "Contact:", "Require: nothing\r\nContact:", 1), "INVITE", method)
		if _, err := parse([]byte(msg)); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	msg := strings.Replace(good, "Contact:", "Via: SIP/2.0/TLS sbc.test;branch=z9hG4bKy\r\nFrom: <sip:other@x>;tag=o\r\nRequire: outbound, a\r\nRequire: path\r\nRequire: b\r\nX-Secret: s\r\nContact:", 1)
	answer := refusal([]byte(msg), 420, "Bad Extension")
	m, err := parse([]byte(answer))
	if err != nil {
		t.Fatalf("%v in\n%s", err, answer)
	}
	res := m.(*sip.Response)
	if res.StatusCode != 420 || res.Reason != "Bad Extension" || len(res.GetHeaders("Via")) != 2 || res.From().Value() != "\"Ann\" <sip:201@box.test>;tag=f" ||
		!res.To().Params.Has("tag") || res.CallID().Value() != "c" || res.CSeq().Value() != "7 INVITE" ||
		res.GetHeader("Unsupported").Value() != "a, b" || strings.Contains(answer, "X-Secret") {
		t.Errorf("got\n%s", answer)
	}
	for name, msg := range map[string]string{
		"ACK":           strings.ReplaceAll(good, "INVITE", "ACK"),
		"response":      "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS a\r\n\r\n",
		"no Via":        "INVITE sip:a SIP/2.0\r\nTo: x\r\n\r\n",
		"too many Vias": "INVITE sip:a SIP/2.0\r\n" + strings.Repeat("Via: SIP/2.0/TLS a\r\n", mostVias+1) + "\r\n",
		"nonsense":      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		if answer := refusal([]byte(msg), 400, "Bad Request"); answer != "" {
			t.Errorf("%s is answered:\n%s", name, answer)
		}
	}
	// A To with its own tag keeps it; a user part with "tag" in it is none.
	if a := refusal([]byte(strings.Replace(good, "To: <sip:202@box.test>", "To: <sip:202@box.test> ; Tag = x", 1)), 400, "x"); strings.Count(strings.ToLower(a), "tag") != 2 {
		t.Errorf("second To tag:\n%s", a)
	}
	if a := refusal([]byte(strings.Replace(good, "To: <sip:202@box.test>", "To: <sip:tag=202@box.test>", 1)), 400, "x"); !strings.Contains(a, "box.test>;tag=") {
		t.Errorf("no To tag:\n%s", a)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range guardCases {
		f.Add([]byte(strings.Replace(good, c.old, c.new, 1)))
	}
	f.Add([]byte("SIP/2.0 200 OK\r\nv: SIP/2.0/TLS a;branch=z9hG4bKx;x=\"a;b\", SIP/2.0/UDP b\r\nf: sip:a@b;tag=1\r\nt: sip:c@d;tag=2\r\ni: x\r\nCSeq: 1 INVITE\r\nm: *\r\nl: 2\r\n\r\nab"))
	f.Add([]byte("REGISTER sip:a;b=\"c\"?d=e SIP/2.0\r\nVia: SIP/2.0/TLS a\r\nFrom: \"\\\"\" <sip:a@b?x>;tag\r\nTo: <tel:1>\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\nContact: \"x\" <sip:a@b;x>;q=1, <sip:[::1]>\r\nRoute: <sip:a;lr>, <sip:b>\r\nMax-Forwards: 1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err != nil {
			b, ok := err.(*malformed)
			if !ok || b.status < 400 || b.status > 699 || strings.ContainsAny(b.reason, "\r\n") {
				t.Fatalf("%#v", err)
			}
			refusal(data, b.status, b.reason)
			return
		}
		if m.From() == nil || m.To() == nil || m.CallID() == nil || m.CSeq() == nil || m.Via() == nil || m.CallID().Value() == "" {
			t.Fatalf("incomplete:\n%s", m)
		}
		if r, ok := m.(*sip.Request); ok {
			if r.Method != r.CSeq().MethodName {
				t.Fatalf("%s with CSeq %s", r.Method, r.CSeq())
			}
			// Our answer to it must be one message, without a line that the request smuggled in.
			res := []byte(NewResponse(r, 200, "OK", "").String())
			if n, err := frame(res); n != len(res) || err != nil {
				t.Fatalf("response is framed as %d of %d, %v:\n%s", n, len(res), err, res)
			}
			if bareLineEnd(res) {
				t.Fatalf("bare line end in\n%q", res)
			}
		}
	})
}

func TestParserFaultContained(t *testing.T) {
	_, err := contain(func(b []byte) (sip.Message, error) { _ = b[len(b)]; return nil, nil }, []byte(good))
	if b, ok := err.(*malformed); !ok || b.status != 400 {
		t.Errorf("%v", err)
	}
	if m, err := contain(parse, []byte(good)); err != nil || m == nil {
		t.Errorf("%v, %v", m, err)
	}
}
