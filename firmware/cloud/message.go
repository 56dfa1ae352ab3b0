package cloud

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// Bounds of what a zone may send.
const (
	maxHeader   = 16 << 10 // bytes of one message's header
	maxBody     = 64 << 10
	maxMessages = 32 // provisional answers, late answers and the zone's own requests before ours
)

// Errors of reading an answer.
var (
	errHeader   = errors.New("header longer than 16 KiB")
	errBody     = errors.New("no usable Content-Length")
	errNotSIP   = errors.New("not SIP")
	errTooMany  = errors.New("too many messages that are no answer")
	errControls = errors.New("control characters in the status line")
)

// options is an OPTIONS request (RFC 3261 §11.1) and the branch that its answers carry.
func options(address string, local net.Addr) (request []byte, branch string) {
	branch = "z9hG4bK" + rand.Text()
	host, _, _ := strings.Cut(address, ":")
	self := local.String()
	if _, _, err := net.SplitHostPort(self); err != nil {
		self = "box.invalid"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "OPTIONS sip:%s;transport=tls SIP/2.0\r\n", address)
	fmt.Fprintf(&b, "Via: SIP/2.0/TLS %s;branch=%s;rport\r\n", self, branch)
	fmt.Fprintf(&b, "Max-Forwards: 70\r\n")
	fmt.Fprintf(&b, "From: <sip:probe@%s>;tag=%s\r\n", host, rand.Text())
	fmt.Fprintf(&b, "To: <sip:%s>\r\n", host)
	fmt.Fprintf(&b, "Call-ID: %s\r\n", rand.Text())
	fmt.Fprintf(&b, "CSeq: 1 OPTIONS\r\n")
	fmt.Fprintf(&b, "Accept: application/sdp\r\n")
	fmt.Fprintf(&b, "Content-Length: 0\r\n\r\n")
	return b.Bytes(), branch
}

// final reads messages until the final answer to the request of that branch. Provisional answers, answers to earlier
// requests and the zone's own requests are passed over.
func final(in *bufio.Reader, branch string) (status int, reason string, err error) {
	for range maxMessages {
		first, via, err := message(in)
		if err != nil {
			return 0, "", err
		}
		status, reason, answer, err := statusLine(first)
		if err != nil {
			return 0, "", err
		}
		if answer && status >= 200 && strings.Contains(via, branch) {
			return status, reason, nil
		}
	}
	return 0, "", errTooMany
}

// message reads one message of a stream (RFC 3261 §18.3) and returns its first line and its topmost Via.
func message(in *bufio.Reader) (first, via string, err error) {
	length, left := -1, maxHeader
	for {
		line, err := headerLine(in, &left)
		if err != nil {
			return "", "", err
		}
		switch name, value, _ := strings.Cut(line, ":"); {
		case line == "" && first == "":
			continue // keep-alive (RFC 5626 §3.5.1)
		case line == "":
			if length < 0 || length > maxBody {
				return "", "", errBody
			}
			_, err := io.CopyN(io.Discard, in, int64(length))
			return first, via, err
		case first == "":
			first = line
		case is(name, "Via", "v") && via == "":
			via = value
		case is(name, "Content-Length", "l"):
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if err != nil {
				return "", "", errBody
			}
			length = int(n)
		}
	}
}

// headerLine reads one line without its end and takes its length off left.
func headerLine(in *bufio.Reader, left *int) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if *left -= len(part); *left < 0 {
			return "", errHeader
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return strings.TrimRight(string(line), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

func is(name, long, short string) bool {
	name = strings.TrimSpace(name)
	return strings.EqualFold(name, long) || strings.EqualFold(name, short)
}

// statusLine reads "SIP/2.0 200 OK"; answer is false for a request.
func statusLine(line string) (status int, reason string, answer bool, err error) {
	if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return 0, "", false, errControls
	}
	rest, found := strings.CutPrefix(line, "SIP/2.0 ")
	if !found {
		if strings.HasSuffix(line, " SIP/2.0") {
			return 0, "", false, nil
		}
		return 0, "", false, errNotSIP
	}
	code, reason, _ := strings.Cut(rest, " ")
	status, err = strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 || status > 699 {
		return 0, "", false, errNotSIP
	}
	if len(reason) > 80 {
		reason = reason[:80]
	}
	return status, strings.ToValidUTF8(reason, "?"), true, nil
}
