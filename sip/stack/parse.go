package stack

import (
	"bytes"
	"fmt"
	"strconv"
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
		if l != "" && (l[0] == ' ' || l[0] == '\t') && len(out) > 0 {
			out[len(out)-1].value += " " + strings.TrimSpace(l)
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok {
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
	counts := make(map[string]int, 8)
	for _, f := range fs {
		if f.name == "" {
			return nil, bad(400, "Header Line Without Colon")
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
	if m.CallID().Value() == "" || m.Via().Host == "" {
		return nil, bad(400, "Empty Call-ID or Via")
	}
	if r, ok := m.(*sip.Request); ok {
		if err := checkRequest(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func checkRequest(r *sip.Request) error {
	if r.CSeq().MethodName != r.Method {
		return bad(400, "CSeq Method Does Not Match")
	}
	switch r.Recipient.Scheme {
	case "sip", "sips", "tel", "urn":
	default:
		return bad(416, "Unsupported URI Scheme")
	}
	if isIPv6(r.Recipient.Host) {
		return bad(488, "IPv6 Not Supported")
	}
	if from, _ := r.From().Params.Get("tag"); from == "" && r.Via().Params.Has("branch") {
		if b, _ := r.Via().Params.Get("branch"); strings.HasPrefix(b, sip.RFC3261BranchMagicCookie) {
			return bad(400, "No From Tag")
		}
	}
	for _, h := range r.GetHeaders("require") {
		for option := range strings.SplitSeq(h.Value(), ",") {
			if o := strings.ToLower(strings.TrimSpace(option)); o != "" && !supported[o] {
				return bad(420, "Bad Extension")
			}
		}
	}
	return nil
}

func isIPv6(host string) bool { return strings.Contains(host, ":") }

// supported option tags (RFC 3261 §19.2) that a request may require.
var supported = map[string]bool{"outbound": true, "path": true, "from-change": true}

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

// refuse answers a request that could not be parsed, from its raw header lines. An ACK and a response get no answer, nor
// does a message without a Via to send it to.
func (c *Conn) refuse(msg []byte, status int, reason string) {
	start, fs := fields(msg)
	if strings.HasPrefix(start, "SIP/") || strings.HasPrefix(start, "ACK ") {
		return
	}
	var b strings.Builder
	b.WriteString("SIP/2.0 " + strconv.Itoa(status) + " " + reason + "\r\n")
	var vias, singles int
	for _, f := range fs {
		switch f.name {
		case "via":
			vias++
			b.WriteString("Via: " + f.value + "\r\n")
		case "from", "call-id", "cseq":
			singles++
			b.WriteString(title(f.name) + ": " + f.value + "\r\n")
		case "to":
			singles++
			b.WriteString("To: " + f.value)
			if !strings.Contains(f.value, "tag=") {
				b.WriteString(";tag=" + NewTag())
			}
			b.WriteString("\r\n")
		case "require":
			if status == 420 {
				b.WriteString("Unsupported: " + unsupported(f.value) + "\r\n")
			}
		}
	}
	if vias == 0 || vias > 20 || singles > 8 {
		return
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	c.write([]byte(b.String()))
}

func unsupported(require string) string {
	var out []string
	for option := range strings.SplitSeq(require, ",") {
		if o := strings.TrimSpace(option); o != "" && !supported[strings.ToLower(o)] {
			out = append(out, o)
		}
	}
	return strings.Join(out, ", ")
}
