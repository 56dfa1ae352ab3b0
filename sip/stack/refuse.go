package stack

import (
	"strconv"
	"strings"
)

// mostVias are the Via lines of a refused message that are sent back.
const mostVias = 20

// refuse answers a request that could not be parsed, from its raw header lines. An ACK and a response get no answer, nor
// does a message without a Via to send it to.
func (c *Conn) refuse(msg []byte, status int, reason string) {
	if answer := refusal(msg, status, reason); answer != "" {
		c.write([]byte(answer))
	}
}

// refusal holds the first From, To, Call-ID and CSeq and every Via of the message, as far as they are there.
func refusal(msg []byte, status int, reason string) string {
	start, fs := fields(msg)
	if strings.HasPrefix(start, "SIP/") || strings.HasPrefix(start, "ACK ") {
		return ""
	}
	var b strings.Builder
	b.WriteString("SIP/2.0 " + strconv.Itoa(status) + " " + reason + "\r\n")
	line := func(name, value string) {
		b.WriteString(name + ": " + noLineEnds.Replace(value) + "\r\n")
	}
	vias := 0
	seen := make(map[string]bool, len(single))
	var missing []string
	for _, f := range fs {
		switch f.name {
		case "via":
			vias++
			line("Via", f.value)
		case "from", "to", "call-id", "cseq":
			if seen[f.name] {
				continue
			}
			seen[f.name] = true
			value := f.value
			if f.name == "to" && !strings.Contains(strings.ToLower(strings.ReplaceAll(value, " ", "")), ";tag=") {
				value += ";tag=" + NewTag()
			}
			line(title(f.name), value)
		case "require":
			if status == 420 {
				missing = append(missing, unsupported(f.value)...)
			}
		}
	}
	if vias == 0 || vias > mostVias {
		return ""
	}
	if len(missing) > 0 {
		line("Unsupported", strings.Join(missing, ", "))
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// noLineEnds keeps a value on its line.
var noLineEnds = strings.NewReplacer("\r", " ", "\n", " ")

// unsupported are the options of a Require header that the box does not know.
func unsupported(require string) []string {
	var out []string
	for option := range strings.SplitSeq(require, ",") {
		if o := strings.TrimSpace(option); o != "" && !supported[strings.ToLower(o)] {
			out = append(out, o)
		}
	}
	return out
}
