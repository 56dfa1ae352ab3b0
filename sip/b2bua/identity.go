package b2bua

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/location"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

func newTag() string { return stack.NewTag() }

// callerURI is the caller as the callee sees it, under the box's own domain on that side.
func callerURI(id route.CallerID, host string) sip.Uri {
	if id.Private || id.Number == "" {
		return sip.Uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"} // RFC 3323 §4.1
	}
	return sip.Uri{Scheme: "sip", User: id.Number, Host: host}
}

// shownName is the display name that the other side sees.
func shownName(id route.CallerID) string {
	if id.Private {
		return "Anonymous"
	}
	return id.Name
}

// assertedIdentity vouches for the caller's number towards the trunk (RFC 3325), which is within the trust domain, and
// asks it to withhold a private one.
func assertedIdentity(id route.CallerID, host string) []sip.Header {
	if id.Number == "" {
		return nil
	}
	h := []sip.Header{sip.NewHeader("P-Asserted-Identity", fmt.Sprintf("<sip:%s@%s>", id.Number, host))}
	if id.Private {
		h = append(h, sip.NewHeader("Privacy", "id"))
	}
	return h
}

// shownUser is how a user of the site is shown to others inside.
func shownUser(u *site.User) route.CallerID { return route.CallerID{Number: u.Extension, Name: u.Name} }

// callerShown is how the caller is shown to whom it is transferred.
func (c *Call) callerShown() route.CallerID {
	id := c.query.Caller
	if c.origin.User != nil {
		id = shownUser(c.origin.User)
	}
	id.Private = id.Private || c.query.Privacy
	return id
}

// wantsPrivacy reports whether the caller asked to be withheld (RFC 3323 §4.2, RFC 3325 §9.3).
func wantsPrivacy(req *sip.Request) bool {
	for _, h := range req.GetHeaders("privacy") {
		for p := range strings.FieldsFuncSeq(strings.ToLower(h.Value()), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			if p == "id" || p == "user" || p == "header" {
				return true
			}
		}
	}
	return strings.EqualFold(req.From().Address.Host, "anonymous.invalid")
}

// trunkCaller is who calls from outside: the number that the trusted SBC asserts, else its From (RFC 3325 §7).
func trunkCaller(req *sip.Request) (number, name string) {
	number, name = req.From().Address.User, req.From().DisplayName
	if h := req.GetHeader("p-asserted-identity"); h != nil {
		value, _, _ := strings.Cut(h.Value(), ",")
		var uri sip.Uri
		params := sip.NewParams()
		if display, err := sip.ParseAddressValue(value, &uri, &params); err == nil {
			switch {
			case uri.Scheme == "tel":
				number, _, _ = strings.Cut(uri.Raw(), ";")
			case uri.User != "":
				number = uri.User
			}
			if display != "" {
				name = display
			}
		}
	}
	number, _, _ = strings.Cut(unescape(number), ";")
	odd := strings.ContainsFunc(number, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("+._*#-", r))
	})
	if len(number) > 40 || odd {
		number = "anonymous"
	}
	return number, name
}

// unescape undoes percent escapes of a user part (RFC 3261 §19.1.2); what is not well escaped stays as it is.
func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// parseBody reads the SDP of a message; the refusal says why it cannot be used.
func parseBody(m sip.Message) (*sdp.Description, refusal) { return parseBodyAt(m, netip.Addr{}) }

// describes is the description in a message of the leg's peer. In an emergency call a phone that names IPv6 addresses is taken to be
// where its signalling comes from.
func (l *leg) describes(m sip.Message) (*sdp.Description, refusal) {
	if l.call.emergency && l.side == stack.Access {
		return parseBodyAt(m, l.source)
	}
	return parseBody(m)
}

func parseBodyAt(m sip.Message, at netip.Addr) (*sdp.Description, refusal) {
	if len(m.Body()) == 0 {
		return nil, refusal{status: 488, reason: "No Session Description"}
	}
	kind := ""
	switch m := m.(type) {
	case *sip.Request:
		if ct := m.ContentType(); ct != nil {
			kind = ct.Value()
		}
	case *sip.Response:
		if ct := m.ContentType(); ct != nil {
			kind = ct.Value()
		}
	}
	body, _, err := location.Split(kind, m.Body()) // a phone may send its location along (RFC 6442)
	if err != nil {
		return nil, refusal{status: 415, reason: "Unsupported Media Type"}
	}
	d, err := sdp.ParseAt(body, at)
	if err != nil {
		return nil, sdpRefusal(err)
	}
	return d, refusal{}
}

// psapCallback reports whether a request says that it calls back who has called for help (RFC 7090).
func psapCallback(req *sip.Request) bool {
	h := req.GetHeader("priority")
	return h != nil && strings.EqualFold(strings.TrimSpace(h.Value()), "psap-callback")
}
