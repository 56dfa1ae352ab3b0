package access

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Register answers a REGISTER.
func (s *Server) Register(tx *stack.ServerTx) {
	req := tx.Request()
	st, gate := s.o.Site(), s.o.Gate()
	name := req.To().Address.User
	inCall := func() bool { return s.o.InCall != nil && s.o.InCall(tx.Conn()) } // looks at every call: asked only where it matters
	if !gate.Open && !inCall() {
		s.closed(tx, gate, name)
		return
	}
	if !ours(st, tx, req.Recipient.Host) || !ours(st, tx, req.To().Address.Host) {
		tx.Reply(404, "Not Found")
		return
	}
	user, ok := s.check(tx, st, name, "To")
	if !ok {
		return
	}
	leftOut := gate.Only != nil && !gate.Only[user.ID]
	if leftOut && !inCall() { // after the proof: a stranger must not learn who exists and takes part
		s.closed(tx, gate, name)
		return
	}
	q, err := request(tx, user)
	if err != nil {
		tx.Reply(400, "Bad Contact")
		return
	}
	// Whoever stays for its call only is to ask again soon after; so is a gateway on UDP, which sees no connection fall when the
	// cloud is back or the box has gone.
	q.Brief = !gate.Open || leftOut || tx.Conn().Over() == stack.UDP
	now := time.Now()
	bindings, err := s.o.Registrar.Register(now, q)
	if err != nil {
		s.refuse(tx, user, err)
		return
	}
	if tx.Conn().Closed() { // it fell while the REGISTER was handled, and nobody else will mark it
		s.o.Registrar.FlowGone(q.Flow)
	}
	if s.o.Persist != nil {
		if err := s.o.Persist(user.ID, bindings); err != nil { // the phone is served all the same: it only would have to register again after a crash
			s.o.Log.Error("bindings are not saved", "err", err)
		}
	}
	s.totals.Registered.Add(1)
	if s.o.OnRegistered != nil {
		s.o.OnRegistered(user.ID, len(bindings))
	}
	tx.Respond(s.accepted(tx, q, bindings, now))
}

// closed sends a phone away for a while: the mode does not take it in.
func (s *Server) closed(tx *stack.ServerTx, gate Gate, name string) {
	s.totals.Refused.Add(1)
	if s.o.OnRefused != nil {
		s.o.OnRefused(clip(name), tx.Conn().Remote())
	}
	tx.Reply(503, "Service Unavailable", sip.NewHeader("Retry-After", strconv.Itoa(max(1, int(gate.RetryAfter.Seconds())))))
}

// accepted is the 200 with every binding of the user (RFC 3261 §10.3 step 8).
func (s *Server) accepted(tx *stack.ServerTx, q registrar.Request, bindings []registrar.Binding, now time.Time) *sip.Response {
	res := tx.Response(200, "OK")
	outbound := false
	for _, b := range bindings {
		left := max(0, int(b.Expires.Sub(now).Round(time.Second).Seconds()))
		v := fmt.Sprintf("<%s>;expires=%d", b.URI, left)
		if b.Q < 1 {
			v += fmt.Sprintf(";q=%.3f", b.Q) // RFC 3261 §25.1: at most three digits
		}
		if b.Instance != "" {
			v += fmt.Sprintf(`;+sip.instance="%s"`, b.Instance)
		}
		if b.RegID > 0 {
			v += fmt.Sprintf(";reg-id=%d", b.RegID)
			outbound = outbound || b.Flow == q.Flow
		}
		res.AppendHeader(sip.NewHeader("Contact", v))
	}
	if outbound && (lists(tx.Request(), "supported", "outbound") || lists(tx.Request(), "k", "outbound")) {
		res.AppendHeader(sip.NewHeader("Require", "outbound")) // RFC 5626 §6
	}
	res.AppendHeader(sip.NewHeader("Date", now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))
	return res
}

// lists reports whether a header names an option tag.
func lists(req *sip.Request, header, tag string) bool {
	for _, h := range req.GetHeaders(header) {
		for v := range strings.SplitSeq(h.Value(), ",") {
			if strings.EqualFold(strings.TrimSpace(v), tag) {
				return true
			}
		}
	}
	return false
}

func (s *Server) refuse(tx *stack.ServerTx, user *site.User, err error) {
	var brief *registrar.TooBriefError
	switch {
	case errors.As(err, &brief):
		tx.Reply(423, "Interval Too Brief", sip.NewHeader("Min-Expires", strconv.Itoa(int(brief.Min.Seconds()))))
		return
	case errors.Is(err, registrar.ErrTooManyContacts):
		tx.Reply(403, "Too Many Contacts")
	case errors.Is(err, registrar.ErrFull):
		tx.Reply(503, "Service Unavailable", sip.NewHeader("Retry-After", "30"))
	case errors.Is(err, registrar.ErrOutOfOrder):
		tx.Reply(500, "CSeq Out of Order")
	default:
		tx.Reply(400, "Bad Request")
	}
	s.o.Log.Warn("registration refused", "aor", user.ID, "source", tx.Conn().Remote().String(), "err", err)
}

// maxContacts in one REGISTER.
const maxContacts = 20

var errContact = errors.New("bad Contact")

// request reads what a REGISTER asks for.
func request(tx *stack.ServerTx, user *site.User) (registrar.Request, error) {
	req := tx.Request()
	q := registrar.Request{AOR: user.ID, CallID: req.CallID().Value(), CSeq: req.CSeq().SeqNo, Expires: -1,
		Flow: registrar.Flow(tx.Conn().Flow()), Source: tx.Conn().Remote()}
	if h := req.GetHeader("expires"); h != nil {
		q.Expires = seconds(h.Value())
	}
	if h := req.GetHeader("user-agent"); h != nil {
		q.UserAgent = h.Value()
	}
	headers := req.GetHeaders("contact")
	if len(headers) > maxContacts {
		return q, errContact
	}
	for _, h := range headers {
		ct, ok := h.(*sip.ContactHeader)
		if !ok {
			return q, errContact
		}
		if ct.Address.Wildcard && ct.Address.Scheme == "" { // the parser calls sip:* a wildcard too
			q.Star = true
			continue
		}
		uri := ct.Address.String()
		if !usable(ct.Address, uri) {
			return q, errContact
		}
		c := registrar.Contact{URI: uri, Expires: -1, Q: 1}
		for _, p := range ct.Params {
			switch strings.ToLower(p.K) {
			case "expires":
				c.Expires = seconds(p.V)
			case "q":
				if v, err := strconv.ParseFloat(p.V, 64); err == nil {
					c.Q = v
				}
			case "+sip.instance":
				c.Instance = instance(p.V)
			case "reg-id":
				if n, err := strconv.ParseUint(p.V, 10, 31); err == nil {
					c.RegID = int(n)
				}
			}
		}
		if c.Instance == "" {
			c.RegID = 0 // means nothing without an instance (RFC 5626 §6)
		}
		q.Contacts = append(q.Contacts, c)
	}
	return q, nil
}

// usable reports whether a phone can be called by a Contact: a sip address, reached over its connection whatever address it names, with nothing in its text that would
// end a header value or a request line.
func usable(u sip.Uri, text string) bool {
	if u.Scheme != "sip" && u.Scheme != "sips" || u.Host == "" || u.Wildcard || strings.ContainsAny(u.Host, ":[]*") && !stack.IsIPv6(u.Host) {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}

// instance strips what quotes an instance ID and refuses what would break a header.
func instance(v string) string {
	v = strings.Trim(v, `"`)
	if len(v) > 200 || strings.ContainsAny(v, "\"\\\r\n") {
		return ""
	}
	return v
}

// seconds reads a delta-seconds; a malformed or huge value counts as 3600 (RFC 3261 §20.19, §10.3).
func seconds(v string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	if err != nil || n > 1<<30 {
		return 3600
	}
	return int(n)
}
