package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/raw"
)

// desk is a phone that does what the test says: it comes back when it is told to, and believes in its calls until somebody hangs up.
type desk struct {
	life, t  *testing.T // the whole test, and the part that runs
	b        *branch.Branch
	person   *branch.Person
	instance string
	local    netip.Addr
	inbox    chan *raw.Message
	before   []*raw.Message // heard before somebody waited for it
	peer     *raw.Peer
	gone     chan struct{} // closed when peer's connection is
}

// patience of the test. Nothing in it is expected to take so long.
const patience = 30 * time.Second

func newDesk(t *testing.T, b *branch.Branch, extension string, n int) *desk {
	return &desk{life: t, t: t, b: b, person: b.Person(extension), instance: fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", n),
		local: netip.AddrFrom4([4]byte{127, 0, 72, byte(n)}), inbox: make(chan *raw.Message, 1000)}
}

// connect opens a new connection; what came on an older one is forgotten.
func (d *desk) connect() error {
	ctx, done := context.WithTimeout(d.t.Context(), patience)
	defer done()
	door, cfg := d.b.Door()
	dialer := tls.Dialer{Config: cfg, NetDialer: &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.local, 0))}}
	nc, err := dialer.DialContext(ctx, "tcp4", door.String())
	if err != nil {
		return err
	}
	for len(d.inbox) > 0 {
		<-d.inbox
	}
	d.before = nil
	p := raw.NewPeer(nc, 0)
	gone := make(chan struct{})
	d.peer, d.gone = p, gone
	go func() {
		defer close(gone)
		p.Run(func(m *raw.Message) {
			if m.Status() == 0 && m.Method() != "INVITE" && m.Method() != "ACK" {
				p.Write(m.Reply(200, "OK", "t", nil))
			}
			select {
			case d.inbox <- m:
			default:
			}
		})
	}()
	d.life.Cleanup(p.Close)
	return nil
}

// ask registers or, with an empty contact, asks who is registered; it returns the Contact values of the answer.
func (d *desk) ask(contact string) ([]string, error) {
	aor := "sip:" + d.person.Extension + "@" + branch.Domain
	r := raw.NewDialog(d.peer, aor, "sip:"+branch.Domain)
	r.To, r.Contact = "<"+aor+">", contact
	var lines []string
	for range 3 {
		if err := d.peer.Write(r.Request("REGISTER", nil, lines...)); err != nil {
			return nil, err
		}
		res, err := d.next("an answer to REGISTER", func(m *raw.Message) bool {
			return m.Status() >= 200 && m.Get("Call-ID") == r.CallID && m.Get("CSeq") == fmt.Sprintf("%d REGISTER", r.Seq)
		})
		if err != nil {
			return nil, err
		}
		switch res.Status() {
		case 200:
			return res.All("Contact"), nil
		case 401:
			lines = []string{raw.Authorization(res, "REGISTER", r.Target, d.person.Extension, d.person.Password, "")}
		default:
			return nil, fmt.Errorf("REGISTER: %s", res.Start)
		}
	}
	return nil, fmt.Errorf("REGISTER: challenged again")
}

// contact names the phone on its connection.
func (d *desk) contact() string {
	return fmt.Sprintf(`<sip:%s@%s;transport=tls>;+sip.instance="<%s>";expires=600`, d.person.Extension, d.peer.Local(), d.instance)
}

// come connects and registers, as often as it takes.
func (d *desk) come() {
	d.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = d.connect(); err != nil {
			continue
		}
		if _, err = d.ask(d.contact()); err == nil {
			return
		}
	}
	d.t.Fatalf("%s cannot register: %v", d.person.Extension, err)
}

// next waits for a message.
func (d *desk) next(what string, want func(*raw.Message) bool) (*raw.Message, error) {
	for i, m := range d.before {
		if want(m) {
			d.before = slices.Delete(d.before, i, i+1)
			return m, nil
		}
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case m := <-d.inbox:
			if want(m) {
				return m, nil
			}
			d.before = append(d.before, m)
		case <-d.gone:
			if len(d.inbox) == 0 {
				return nil, fmt.Errorf("%s waits for %s, and its connection is gone", d.person.Extension, what)
			}
		case <-timer.C:
			var heard []string
			for _, m := range d.before {
				heard = append(heard, m.Start)
			}
			return nil, fmt.Errorf("%s waits for %s in vain; it heard %q", d.person.Extension, what, heard)
		}
	}
}

func (d *desk) hears(what string, want func(*raw.Message) bool) *raw.Message {
	d.t.Helper()
	m, err := d.next(what, want)
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// request waits for a request in a dialog, or outside of one with an empty Call-ID.
func (d *desk) request(method, callID string) *raw.Message {
	d.t.Helper()
	return d.hears(method, func(m *raw.Message) bool {
		return m.Status() == 0 && m.Method() == method && (callID == "" || m.Get("Call-ID") == callID)
	})
}

func (d *desk) sdp() []byte {
	return []byte(strings.ReplaceAll(fmt.Sprintf(`v=0
o=- 7 1 IN IP4 %[1]s
s=-
t=0 0
m=audio 4000 RTP/SAVP 0 101
c=IN IP4 %[1]s
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=sendrecv
`, d.local), "\n", "\r\n"))
}

// dial begins a call.
func (d *desk) dial(number string) *raw.Dialog {
	c := raw.NewDialog(d.peer, "sip:"+d.person.Extension+"@"+branch.Domain, "sip:"+number+"@"+branch.Domain)
	d.peer.Write(c.Request("INVITE", d.sdp()))
	return c
}

// progress waits for a response to dial's INVITE, of the status or a worse one.
func (d *desk) progress(c *raw.Dialog, status int) {
	d.t.Helper()
	res := d.hears(fmt.Sprint(status), func(m *raw.Message) bool {
		return m.Method() == "INVITE" && m.Get("Call-ID") == c.CallID && m.Status() >= status
	})
	if res.Status()/100 != status/100 {
		d.t.Fatalf("%s got %s", d.person.Extension, res.Start)
	}
	if status >= 200 {
		c.Confirm(res)
	}
}

// answer takes the call that rings; ringing does not.
func (d *desk) ringing() (*raw.Message, *raw.Dialog) {
	d.t.Helper()
	invite := d.request("INVITE", "")
	tag := raw.Word()
	d.peer.Write(invite.Reply(180, "Ringing", tag, nil, "Contact: "+d.contact()))
	c := raw.Accepted(d.peer, invite, tag, d.person.Extension)
	return invite, c
}

func (d *desk) answer(invite *raw.Message, c *raw.Dialog) {
	body := d.sdp()
	if _, rest, ok := strings.Cut(string(invite.Body), "a=crypto:"); ok {
		n, _, _ := strings.Cut(rest, " ")
		body = []byte(strings.Replace(string(body), "a=crypto:1 ", "a=crypto:"+n+" ", 1))
	}
	d.peer.Write(invite.Reply(200, "OK", raw.Param(c.From, "tag"), body, "Contact: "+c.Contact))
}

// talk connects two desks.
func talk(a, b *desk) (ca, cb *raw.Dialog) {
	a.t.Helper()
	ca = a.dial(b.person.Extension)
	invite, cb := b.ringing()
	b.answer(invite, cb)
	a.progress(ca, 200)
	a.peer.Write(ca.Ack(&raw.Message{Start: "SIP/2.0 200 OK", Headers: []raw.Header{{Name: "To", Value: ca.To}}}, nil))
	b.request("ACK", cb.CallID)
	return ca, cb
}
