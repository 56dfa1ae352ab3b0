package box

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/lab/raw"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// What a phone says of itself and of its network, in all places where phones say it. None of it may reach the SBC.
var (
	deskAddr = netip.MustParseAddr("127.0.95.7")
	chatter  = []string{
		"User-Agent: Deskphone/9.9 (mac 00:11:5e:4a:bb:cc)", "X-Serial: SN-4711-SECRET", "X-Location: Room 7, Inside Building", "Call-Info: <http://desk-7.inside.example/me.png>;purpose=icon",
		"Subject: about Project Nightjar", "Organization: Nightjar Inc", "History-Info: <sip:1000@branch.example>;index=1", "Diversion: <sip:1001@branch.example>;reason=unconditional",
		"Alert-Info: <http://desk-7.inside.example/ring.wav>", "P-Access-Network-Info: IEEE-802.3;eth-location=\"desk-7.inside.example\"",
		"P-Preferred-Identity: \"Mallory Inside\" <sip:1000@branch.example>", "P-Charging-Vector: icid-value=nightjar;icid-generated-at=192.168.77.5", "In-Reply-To: nightjar@desk-7.inside.example",
		"Warning: 399 desk-7.inside.example \"nightjar\"", "Reason: SIP;cause=200;text=\"nightjar at desk-7\"", "Server: Deskphone/9.9",
		"Record-Route: <sip:192.168.77.1;lr>", "Path: <sip:192.168.77.1;lr>", "Service-Route: <sip:192.168.77.1;lr>", "Referred-By: <sip:1001@branch.example>",
		"Geolocation: <http://desk-7.inside.example/where>", "User-to-User: 4e696768746a6172;encoding=hex", "Date: nightjar", "Supported: outbound, 100rel, timer", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE",
	}
	secrets = []string{"127.0.95.", "127.0.70.1:", "127.0.70.1;", "127.0.70.1>", "127.0.70.1\r", "desk-7", "inside.example", "00:11:5e", "00115e", "deskphone", "sn-4711", "room 7", "nightjar", "branch.example",
		"192.168.77", "mallory", "sip:1000@", "sip:1001@", "sip:1002@", "f3a9c0de", "4e696768746a6172", "candidate", "ice-ufrag", "cname:", "room 13"}
)

// deskSDP has everything that phones put into SDP.
func deskSDP(version int, direction string) []byte {
	return fmt.Appendf(nil, "v=0\r\no=mallory 4711 %d IN IP4 192.168.77.5\r\ns=Project Nightjar\r\ni=Room 7\r\nu=http://desk-7.inside.example/\r\ne=mallory@inside.example\r\nc=IN IP4 127.0.95.7\r\nt=0 0\r\n"+
		"a=tool:Deskphone/9.9\r\na=ice-ufrag:f3a9c0de\r\na=ice-pwd:f3a9c0def3a9c0def3a9c0de\r\nm=audio 4000 RTP/SAVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"+
		"a=candidate:1 1 UDP 2130706431 192.168.77.5 4000 typ host\r\na=rtcp:4001 IN IP4 127.0.95.7\r\na=ssrc:4711 cname:desk-7.inside.example\r\na=label:nightjar\r\n"+
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=%s\r\n", version, direction)
}

// answered is deskSDP as an answer.
func deskAnswer(offer []byte) []byte {
	tag := "1"
	if _, rest, ok := strings.Cut(string(offer), "a=crypto:"); ok {
		tag, _, _ = strings.Cut(rest, " ")
	}
	return []byte(strings.Replace(string(deskSDP(1, "sendrecv")), "a=crypto:1 ", "a=crypto:"+tag+" ", 1))
}

// wall is a call over the trunk, both ends in the test's hands, and what the SBC has seen of it.
type wall struct {
	t      *testing.T
	r      *rig
	inbox  chan event
	before []event // came before somebody waited for it
	desk   *end
	line   *end

	mu      sync.Mutex
	seen    []string
	private []string // Call-IDs and tags of the inside
}

func (w *wall) tap(_ bool, m *raw.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, m.Text())
}

func (w *wall) wait(want func(event) bool) *raw.Message {
	w.t.Helper()
	for i, ev := range w.before {
		if want(ev) {
			w.before = slices.Delete(w.before, i, i+1)
			return ev.m
		}
	}
	var heard []string
	for timeout := time.After(30 * time.Second); ; {
		select {
		case ev := <-w.inbox:
			if ev.m == nil {
				continue
			}
			if want(ev) {
				return ev.m
			}
			w.before = append(w.before, ev)
			heard = append(heard, ev.at.user+": "+ev.m.Start)
		case <-timeout:
			w.t.Fatalf("it did not come; what came: %q", heard)
		}
	}
}

// dial calls from the desk; the dialog hides nothing.
func (w *wall) dial(target string, body []byte, lines ...string) *raw.Dialog {
	d := raw.NewDialog(w.desk.conn(), "sip:1000@"+rigDomain, "sip:"+target+"@"+rigDomain)
	d.From = "\"Mallory Inside\" " + d.From
	d.CallID += "@desk-7.inside.example"
	d.Contact = `"Mallory Inside" <sip:1000-00115e4abbcc@desk-7.inside.example:5061;transport=tls>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-00115e4abbcc>"`
	w.private = append(w.private, d.CallID, raw.Param(d.From, "tag"))
	w.desk.write(d.Request("INVITE", body, append(lines, chatter...)...))
	return d
}

// ring calls a number from outside.
func (w *wall) ring(number string) *raw.Dialog {
	d := raw.NewDialog(w.line.conn(), "sip:"+w.line.user+"@"+rigTrunk.String(), "sip:"+number+"@"+rigTrunk.String())
	w.r.sbc.owns(d.CallID, w.line)
	w.line.write(d.Request("INVITE", stormSDP(w.line, 1, "sendrecv", "0 101")))
	return d
}

// pick answers an INVITE at either end.
func (w *wall) pick(e *end, inv *raw.Message, status int, reason string, body []byte, lines ...string) *raw.Dialog {
	tag := raw.Word()
	contact := fmt.Sprintf("Contact: <sip:%s@%s;transport=tls>", e.user, e.conn().Local())
	if e == w.desk {
		contact = "Contact: <sip:1000-00115e4abbcc@desk-7.inside.example;transport=tls>"
		w.private = append(w.private, inv.Get("Call-ID"), tag, raw.Param(inv.Get("From"), "tag"))
		lines = append(lines, chatter...)
	}
	if status >= 200 {
		e.settle(inv.Get("Call-ID"))
	}
	e.write(inv.Reply(status, reason, tag, body, append(lines, contact)...))
	return raw.Accepted(e.conn(), inv, tag, e.user)
}

// up is an answered call: the desk's dialog and the line's.
func (w *wall) up(outward bool) (desk, line *raw.Dialog) {
	w.t.Helper()
	if outward {
		desk = w.dial("912176660000", deskSDP(1, "sendrecv"))
		inv := w.wait(request(w.line, "INVITE"))
		line = w.pick(w.line, inv, 200, "OK", answerSDP(w.line, inv.Body, "sendrecv"))
		res := w.wait(response(w.desk, "INVITE", 200, 299))
		desk.Confirm(res)
		w.desk.write(desk.Ack(res, nil))
		w.wait(request(w.line, "ACK"))
		return desk, line
	}
	line = w.ring("+12175551000")
	inv := w.wait(request(w.desk, "INVITE"))
	desk = w.pick(w.desk, inv, 200, "OK", deskAnswer(inv.Body))
	res := w.wait(response(w.line, "INVITE", 200, 299))
	line.Confirm(res)
	w.line.write(line.Ack(res, nil))
	w.wait(request(w.desk, "ACK"))
	return desk, line
}

func (w *wall) hangUp(e *end, d *raw.Dialog) {
	w.t.Helper()
	other := w.line
	if e == w.line {
		other = w.desk
	}
	e.write(d.Request("BYE", nil, chatter...))
	w.wait(request(other, "BYE"))
}

// TestTopologyHiding: a dozen kinds of calls, and nothing of the inside on the trunk leg as the SBC decrypts it.
func TestTopologyHiding(t *testing.T) {
	kinds := []struct {
		name string
		call func(w *wall)
	}{
		{"out", func(w *wall) {
			desk, _ := w.up(true)
			w.hangUp(w.desk, desk)
		}},
		{"in", func(w *wall) {
			desk, _ := w.up(false)
			w.hangUp(w.desk, desk)
		}},
		{"private", func(w *wall) {
			d := w.dial("912176660000", deskSDP(1, "sendrecv"), "Privacy: id;header;user", "P-Asserted-Identity: \"Mallory Inside\" <sip:1000@branch.example>")
			inv := w.wait(request(w.line, "INVITE"))
			if !strings.Contains(inv.Get("From"), "anonymous") {
				w.t.Errorf("a private caller's From: %s", inv.Get("From"))
			}
			w.pick(w.line, inv, 486, "Busy Here", nil)
			w.desk.write(d.Ack(w.wait(response(w.desk, "INVITE", 300, 699)), nil))
		}},
		{"early media", func(w *wall) {
			d := w.dial("912176660000", deskSDP(1, "sendrecv"))
			inv := w.wait(request(w.line, "INVITE"))
			w.pick(w.line, inv, 183, "Session Progress", answerSDP(w.line, inv.Body, "sendrecv"))
			w.wait(response(w.desk, "INVITE", 180, 199))
			w.desk.write(d.Cancel(chatter...))
			w.wait(request(w.line, "CANCEL"))
			w.desk.write(d.Ack(w.wait(response(w.desk, "INVITE", 300, 699)), nil))
		}},
		{"early media of a phone", func(w *wall) {
			line := w.ring("+12175551000")
			inv := w.wait(request(w.desk, "INVITE"))
			w.pick(w.desk, inv, 183, "Nightjar Progress", deskAnswer(inv.Body))
			w.wait(response(w.line, "INVITE", 180, 199))
			w.line.write(line.Cancel())
			w.wait(request(w.desk, "CANCEL"))
			w.wait(response(w.line, "INVITE", 300, 699))
		}},
		{"hold by the phone", func(w *wall) {
			desk, line := w.up(true)
			w.desk.write(desk.Request("INVITE", deskSDP(2, "sendonly"), chatter...))
			inv := w.wait(request(w.line, "INVITE"))
			w.line.settle(line.CallID)
			w.line.write(inv.Reply(200, "OK", "", answerSDP(w.line, inv.Body, "recvonly"), "Contact: "+line.Contact))
			res := w.wait(response(w.desk, "INVITE", 200, 299))
			w.desk.write(desk.Ack(res, nil))
			w.hangUp(w.desk, desk)
		}},
		{"hold by the SBC, refused by the phone with a word too many", func(w *wall) {
			desk, line := w.up(false)
			w.line.write(line.Request("INVITE", stormSDP(w.line, 2, "sendonly", "0 101")))
			inv := w.wait(request(w.desk, "INVITE"))
			w.desk.settle(desk.CallID)
			w.desk.write(inv.Reply(488, "Not in Room 13 of desk-7.inside.example", "", nil, chatter...))
			w.line.write(line.Ack(w.wait(response(w.line, "INVITE", 300, 699)), nil))
			w.hangUp(w.line, line)
		}},
		{"late offer", func(w *wall) {
			d := w.dial("912176660000", nil)
			inv := w.wait(request(w.line, "INVITE"))
			if len(inv.Body) == 0 {
				w.t.Error("no early offer to the SBC")
			}
			w.pick(w.line, inv, 200, "OK", answerSDP(w.line, inv.Body, "sendrecv"))
			res := w.wait(response(w.desk, "INVITE", 200, 299))
			d.Confirm(res)
			w.desk.write(d.Ack(res, deskAnswer(res.Body)))
			w.hangUp(w.desk, d)
		}},
		{"forwarded outside", func(w *wall) {
			line := w.ring("+12175551002")
			inv := w.wait(request(w.line, "INVITE"))
			w.pick(w.line, inv, 486, "Busy Here", nil)
			w.line.write(line.Ack(w.wait(response(w.line, "INVITE", 300, 699)), nil))
		}},
		{"refused with a word too many", func(w *wall) {
			for _, status := range []int{400, 404, 480, 486, 488, 500, 503, 603, 302} {
				line := w.ring("+12175551000")
				w.pick(w.desk, w.wait(request(w.desk, "INVITE")), status, "Nightjar of Room 13 \"(192.168.77.5)\"", nil)
				w.line.write(line.Ack(w.wait(response(w.line, "INVITE", 300, 699)), nil))
			}
		}},
		{"nobody there", func(w *wall) {
			line := w.ring("+12175551001")
			w.line.write(line.Ack(w.wait(response(w.line, "INVITE", 300, 699)), nil))
		}},
		{"several bodies", func(w *wall) {
			body := "--nightjar\r\nContent-Type: application/sdp\r\n\r\n" + string(deskSDP(1, "sendrecv")) + "\r\n--nightjar\r\nContent-Type: application/pidf+xml\r\n\r\n<room>Room 7</room>\r\n--nightjar--\r\n"
			d := w.dial("912176660000", []byte(body), "Content-Type: multipart/mixed;boundary=nightjar")
			ev := w.wait(func(ev event) bool { // refused, or taken apart
				return response(w.desk, "INVITE", 300, 699)(ev) || request(w.line, "INVITE")(ev)
			})
			if ev.Status() != 0 {
				w.desk.write(d.Ack(ev, nil))
				return
			}
			w.pick(w.line, ev, 486, "Busy Here", nil)
			w.desk.write(d.Ack(w.wait(response(w.desk, "INVITE", 300, 699)), nil))
		}},
		{"requests within the dialog", func(w *wall) {
			desk, _ := w.up(true)
			for _, m := range []string{"INFO", "OPTIONS", "MESSAGE", "NOTIFY", "SUBSCRIBE", "UPDATE"} {
				w.desk.write(desk.Request(m, []byte("nightjar"), append([]string{"Content-Type: text/plain"}, chatter...)...))
				w.wait(response(w.desk, m, 200, 699))
			}
			w.hangUp(w.desk, desk)
		}},
		{"hung up outside", func(w *wall) {
			_, line := w.up(true)
			w.hangUp(w.line, line)
		}},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			w := &wall{t: t, inbox: make(chan event, 256)}
			w.r = newRig(t, rigOptions{net: loopback{}, users: 3, timers: stack.Timers{T1: 100 * time.Millisecond, B: 30 * time.Second}, tap: w.tap, change: func(d *site.Document) {
				d.Users[2].Forward.Always = "+12176660000"
				for i := range d.Users {
					d.Users[i].Name = fmt.Sprintf("Person %d", i) // goes outside with the number, as it should
				}
			}})
			w.line = w.r.sbc.line("+12176660000", w.inbox)
			w.desk = w.r.newEnd("1000", deskAddr, w.inbox)
			stop := w.r.run()
			defer stop()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := w.desk.register(ctx); err != nil {
				t.Fatal(err)
			}
			defer w.desk.drop()
			for !w.r.trunks.Up("sbc") && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			k.call(w)
			w.mu.Lock()
			defer w.mu.Unlock()
			invites := 0
			for _, text := range w.seen {
				if strings.Contains(text, "INVITE") {
					invites++
				}
				lower := strings.ToLower(text)
				for _, s := range append(secrets, w.private...) {
					if i := strings.Index(lower, strings.ToLower(s)); i >= 0 {
						t.Errorf("%q reached the SBC in\n%s", s, text)
						break
					}
				}
			}
			if invites == 0 && k.name != "several bodies" {
				t.Error("the SBC has seen nothing of a call")
			}
		})
	}
}
