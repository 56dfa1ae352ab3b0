package stack

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// field is one header line, unfolded, in the order of the message.
type field struct{ name, value string }

// compactForms of RFC 3261 §20 and its extensions, as far as the guard looks at the header.
var compactForms = map[string]string{
	"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length", "m": "contact", "c": "content-type", "k": "supported",
}

// maxFields bounds the header lines of one message.
const maxFields = 256

// fields splits a framed message's header section. It never fails: a line without a colon becomes a field without a name.
func fields(msg []byte) (start string, out []field) {
	head, _, _ := bytes.Cut(msg, crlfcrlf)
	lines := strings.Split(string(head), "\r\n")
	start = lines[0]
	for _, l := range lines[1:] {
		folded := l != "" && (l[0] == ' ' || l[0] == '\t')
		if folded && len(out) > 0 {
			out[len(out)-1].value += " " + strings.TrimSpace(l)
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok || folded {
			out = append(out, field{value: l})
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if full, ok := compactForms[name]; ok {
			name = full
		}
		out = append(out, field{name, strings.TrimSpace(value)})
	}
	return start, out
}

// malformed is a message that is answered with a status instead of being handled.
type malformed struct {
	status int
	reason string
}

func (m *malformed) Error() string { return fmt.Sprintf("%d %s", m.status, m.reason) }

func bad(status int, format string, args ...any) *malformed {
	return &malformed{status, fmt.Sprintf(format, args...)}
}

// single are headers that a message carries exactly once (RFC 3261 §7.3.1, table 2).
var single = [...]string{"from", "to", "call-id", "cseq"}

// parse turns one framed message into sipgo's form, after checks that sipgo's parser leaves to its caller: the version,
// the headers that must be there exactly once, a CSeq that names the request's method.
func parse(msg []byte) (sip.Message, error) {
	start, fs := fields(msg)
	if len(fs) > maxFields {
		return nil, bad(400, "Too Many Header Fields")
	}
	if bareLineEnd(msg) {
		return nil, bad(400, "Bare CR or LF in Header")
	}
	counts := make(map[string]int, 8)
	for _, f := range fs {
		if f.name == "" {
			return nil, bad(400, "Header Line Without Colon")
		}
		if bareQuestion(f) {
			return nil, bad(400, "URI Needs Angle Brackets in %s", title(f.name))
		}
		counts[f.name]++
	}
	isResponse := strings.HasPrefix(start, "SIP/2.0 ")
	if !isResponse {
		i := strings.LastIndexByte(start, ' ')
		if i < 0 {
			return nil, bad(400, "Bad Request-Line")
		}
		if v := start[i+1:]; v != "SIP/2.0" {
			if strings.HasPrefix(v, "SIP/") {
				return nil, bad(505, "Version Not Supported")
			}
			return nil, bad(400, "Bad Request-Line")
		}
		if err := checkScheme(start); err != nil {
			return nil, err
		}
	}
	for _, name := range single {
		if n := counts[name]; n != 1 {
			return nil, bad(400, "%d %s Header Fields", n, title(name))
		}
	}
	if counts["via"] == 0 {
		return nil, bad(400, "No Via Header Field")
	}
	m, err := sip.ParseMessage(msg)
	if err != nil {
		return nil, bad(400, "%s", phrase(err.Error()))
	}
	if m.From() == nil || m.To() == nil || m.CallID() == nil || m.CSeq() == nil || m.Via() == nil {
		return nil, bad(400, "Bad From, To, Call-ID, CSeq or Via")
	}
	tidy(m)
	if m.CallID().Value() == "" || !isHostOrIPv6(m.Via().Host) {
		return nil, bad(400, "Bad Call-ID or Via")
	}
	switch m := m.(type) {
	case *sip.Request:
		method, _, _ := strings.Cut(start, " ")
		m.Method = sip.RequestMethod(method) // case-sensitive (RFC 3261 §7.1); sipgo turns it to upper case
		if err := checkRequest(m); err != nil {
			return nil, err
		}
		if strings.Contains(m.Recipient.Host, ":") {
			return m, errIPv6
		}
		return m, checkRequire(m)
	case *sip.Response:
		if m.StatusCode < 100 || m.StatusCode > 699 {
			return nil, bad(400, "Bad Status Code")
		}
	}
	return m, nil
}

// checkScheme looks at the Request-URI's scheme (RFC 3261 §8.2.2.1), before a parser that knows few.
func checkScheme(start string) error {
	_, uri, _ := strings.Cut(start, " ")
	scheme, _, ok := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips", "tel", "urn":
		return nil
	}
	if ok && isHost(scheme) {
		return bad(416, "Unsupported URI Scheme")
	}
	return bad(400, "Bad Request-URI")
}

// bareLineEnd finds a CR or LF in the header section that is not part of a CRLF. A lenient reader on the other leg would
// take what follows it for a header of ours.
func bareLineEnd(msg []byte) bool {
	for i, b := range msg {
		switch b {
		case '\r':
			if i+1 == len(msg) || msg[i+1] != '\n' {
				return true
			}
		case '\n':
			if i == 0 || msg[i-1] != '\r' {
				return true
			}
			if i >= 3 && msg[i-2] == '\n' {
				return false // the empty line: what follows is the body
			}
		}
	}
	return false
}

// tidy removes what RFC 3261 §7.3.1 and §25.1 allow and sipgo keeps: white space round ";" and "=", and the case of
// parameter names.
func tidy(m sip.Message) {
	params := func(ps sip.HeaderParams) {
		for i := range ps {
			ps[i].K = strings.ToLower(strings.TrimSpace(ps[i].K))
			ps[i].V = strings.TrimSpace(ps[i].V)
		}
	}
	params(m.Via().Params)
	params(m.From().Params)
	params(m.To().Params)
	m.From().Address.Host = strings.TrimSpace(m.From().Address.Host)
	m.To().Address.Host = strings.TrimSpace(m.To().Address.Host)
	m.CSeq().MethodName = sip.RequestMethod(strings.TrimSpace(string(m.CSeq().MethodName)))
	for _, h := range m.GetHeaders("contact") {
		if c, ok := h.(*sip.ContactHeader); ok {
			params(c.Params)
			c.Address.Host = strings.TrimSpace(c.Address.Host)
		}
	}
}

func checkRequest(r *sip.Request) error {
	if r.CSeq().MethodName != r.Method {
		return bad(400, "CSeq Method Does Not Match")
	}
	if s := r.Recipient.Scheme; s == "sip" || s == "sips" {
		if !isHostOrIPv6(r.Recipient.Host) {
			return bad(400, "Bad Request-URI")
		}
	}
	if err := checkContacts(r); err != nil {
		return err
	}
	if from, _ := r.From().Params.Get("tag"); from == "" && r.Via().Params.Has("branch") {
		if b, _ := r.Via().Params.Get("branch"); strings.HasPrefix(b, sip.RFC3261BranchMagicCookie) {
			return bad(400, "No From Tag")
		}
	}
	return nil
}

// errExtension refuses what requires an extension that the box does not know. It comes with the message, which can be read.
var errExtension = bad(420, "Bad Extension")

func checkRequire(r *sip.Request) error {
	if r.Method == sip.ACK || r.Method == sip.CANCEL {
		return nil // Require means nothing there (RFC 3261 §8.2.2.3)
	}
	for _, h := range r.GetHeaders("require") {
		if len(unsupported(h.Value())) > 0 {
			return errExtension
		}
	}
	return nil
}

// bareQuestion reports an address whose URI has a question mark and no angle brackets round it (RFC 3261 §20): whose
// headers those are, nobody can say.
func bareQuestion(f field) bool {
	switch f.name {
	case "contact", "from", "to":
		return !strings.Contains(f.value, "<") && strings.Contains(f.value, "?")
	}
	return false
}

// isHost tells whether s has only characters of a host name, an IPv4 address or a URI scheme.
func isHost(s string) bool {
	for i := range len(s) {
		b := s[i]
		if (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '.' && b != '-' && b != '_' && b != '+' {
			return false
		}
	}
	return s != ""
}

// supported option tags (RFC 3261 §19.2) that a request may require.
var supported = map[string]bool{"outbound": true, "path": true, "from-change": true, "100rel": true, "timer": true, "replaces": true,
	"norefersub": true}

// title is a header's usual spelling for a reason phrase.
func title(name string) string {
	switch name {
	case "call-id":
		return "Call-ID"
	case "cseq":
		return "CSeq"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// phrase makes a parser's error fit for a reason phrase: one line of printable ASCII, bounded.
func phrase(s string) string {
	b := make([]byte, 0, 64)
	for i := 0; i < len(s) && len(b) < 60; i++ {
		if c := s[i]; c >= ' ' && c < 0x7f {
			b = append(b, c)
		}
	}
	return "Bad Request (" + string(b) + ")"
}
