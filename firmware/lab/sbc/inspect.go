package sbc

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Inspect lists what is wrong with an INVITE from the box, for a call to a number as a caller ID; nil when all is right.
func Inspect(c *ua.Call, number, callerID string) (wrong []string) {
	req := c.Invite()
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if u := req.Recipient.User; u != number || !e164.MatchString(u) {
		bad("Request-URI user is %q, want %s", u, number)
	}
	if u := req.To().Address.User; u != number {
		bad("To user is %q, want %s", u, number)
	}
	if u := req.From().Address.User; u != callerID {
		bad("From user is %q, want %s", u, callerID)
	}
	if pai := AssertedUser(req); pai != callerID {
		bad("P-Asserted-Identity user is %q, want %s", pai, callerID)
	}
	for _, name := range []string{"Record-Route", "Route", "Path", "Authorization", "Proxy-Authorization", "X-Lab-Inside"} {
		if h := req.GetHeader(name); h != nil {
			bad("%s comes through: %s", name, h.Value())
		}
	}
	if n := len(req.GetHeaders("Via")); n != 1 {
		bad("%d Via headers, want the box's own only", n)
	}
	if ct := req.ContentType(); ct == nil || ct.Value() != "application/sdp" || len(req.Body()) == 0 {
		bad("no SDP: the offer must be early")
		return wrong
	}
	d, err := voice.ParseDescription(req.Body())
	switch {
	case err != nil:
		bad("SDP: %v", err)
	case d.Profile != "RTP/SAVP":
		bad("SDP profile is %s, want RTP/SAVP", d.Profile)
	case len(d.Crypto) == 0:
		bad("SDP offers no crypto")
	}
	return wrong
}

// AssertedUser is the user part of a request's P-Asserted-Identity (RFC 3325).
func AssertedUser(req *sip.Request) string {
	h := req.GetHeader("P-Asserted-Identity")
	if h == nil {
		return ""
	}
	var u sip.Uri
	if _, err := sip.ParseAddressValue(h.Value(), &u, &sip.HeaderParams{}); err != nil {
		return "unreadable: " + h.Value()
	}
	return u.User
}

// Leaks searches everything that the box sent to the SBC for texts from inside the branch and for keys in base64, and
// names those that it finds.
func (s *SBC) Leaks(texts []string, keys [][]byte) (found []string) {
	s.mu.Lock()
	record := strings.ToLower(s.record.String())
	s.mu.Unlock()
	for _, t := range texts {
		if i := strings.Index(record, strings.ToLower(t)); i >= 0 {
			found = append(found, fmt.Sprintf("%q in %q", t, excerpt(record, i)))
		}
	}
	for _, k := range keys {
		if strings.Contains(record, strings.ToLower(base64.StdEncoding.EncodeToString(k))) {
			found = append(found, "a phone's SRTP key")
		}
	}
	return found
}

// Recorded is the number of bytes that the box sent.
func (s *SBC) Recorded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.Len()
}

// excerpt is the line round a finding.
func excerpt(text string, at int) string {
	from := strings.LastIndexByte(text[:at], '\n') + 1
	to := strings.IndexByte(text[at:], '\n')
	if to < 0 {
		to = len(text) - at
	}
	return strings.TrimSpace(text[from : at+to])
}

// Heard reports whether a request of the method came in the dialog.
func (s *SBC) Heard(method, callID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range strings.SplitSeq(s.record.String(), "\r\n\r\n") { // a message's head, behind the body of the one before
		if strings.Contains(part, method+" sip:") && strings.Contains(part, callID) {
			return true
		}
	}
	return false
}
