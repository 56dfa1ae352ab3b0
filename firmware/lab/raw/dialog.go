package raw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Dialog is one side's view of a dialog, or of one that is about to be.
type Dialog struct {
	Peer     *Peer
	Target   string // Request-URI
	From, To string // header values, with tags as far as they are known
	CallID   string
	Seq      int
	Routes   []string
	Contact  string // header value; "" sends none
	Hops     int    // Max-Forwards; 0: 70

	branch string // of the last INVITE, for its CANCEL
	invite int
}

// NewDialog is one that from opens; both are URIs.
func NewDialog(p *Peer, from, to string) *Dialog {
	d := &Dialog{Peer: p, Target: to, From: fmt.Sprintf("<%s>;tag=%s", from, Word()), To: fmt.Sprintf("<%s>", to), CallID: Word() + Word()}
	user, _, _ := strings.Cut(strings.TrimPrefix(from, "sip:"), "@")
	d.Contact = fmt.Sprintf("<sip:%s@%s;transport=tls>", user, p.Local())
	return d
}

// Accepted is the dialog as its callee sees it, who answers invite with the tag.
func Accepted(p *Peer, invite *Message, tag, user string) *Dialog {
	return &Dialog{Peer: p, Target: Target(invite.Get("Contact")), From: invite.Get("To") + ";tag=" + tag, To: invite.Get("From"),
		CallID: invite.Get("Call-ID"), Routes: invite.All("Record-Route"), Contact: fmt.Sprintf("<sip:%s@%s;transport=tls>", user, p.Local())}
}

// Confirm takes what a response says about the dialog.
func (d *Dialog) Confirm(res *Message) {
	d.To = res.Get("To")
	if c := res.Get("Contact"); c != "" {
		d.Target = Target(c)
	}
	d.Routes = res.All("Record-Route")
	slices.Reverse(d.Routes)
}

// Request is the text of a new request; lines are further headers.
func (d *Dialog) Request(method string, body []byte, lines ...string) string {
	d.Seq++
	via := d.Peer.Via()
	if method == "INVITE" {
		d.branch, d.invite = via, d.Seq
	}
	return d.text(method, via, d.Seq, d.To, body, lines)
}

// Invite is the CSeq value of the last INVITE.
func (d *Dialog) Invite() string { return fmt.Sprintf("%d INVITE", d.invite) }

// Cancel is the CANCEL of the last INVITE.
func (d *Dialog) Cancel(lines ...string) string {
	return d.text("CANCEL", d.branch, d.invite, d.To, nil, lines)
}

// Ack acknowledges the last INVITE's final response: on the INVITE's branch if it was refused.
func (d *Dialog) Ack(res *Message, body []byte) string {
	via := d.branch
	if res.Status() < 300 {
		via = d.Peer.Via()
	}
	return d.text("ACK", via, d.invite, res.Get("To"), body, nil)
}

func (d *Dialog) text(method, via string, seq int, to string, body []byte, lines []string) string {
	var b strings.Builder
	b.Grow(600 + len(body))
	b.WriteString(method + " " + d.Target + " SIP/2.0\r\nVia: " + via + "\r\n")
	for _, r := range d.Routes {
		b.WriteString("Route: " + r + "\r\n")
	}
	fmt.Fprintf(&b, "Max-Forwards: %d\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", cmp.Or(d.Hops, 70), d.From, to, d.CallID, seq, method)
	if d.Contact != "" && method != "CANCEL" && method != "BYE" {
		b.WriteString("Contact: " + d.Contact + "\r\n")
	}
	finish(&b, body, lines)
	return b.String()
}
