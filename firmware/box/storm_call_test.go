package box

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/lab/raw"
)

// worker plays both parties of one call after the other.
type worker struct {
	r       *rig
	n       int
	inbox   chan event
	a, b, c *end // phones
	line    *end // the worker's number behind the SBC
	patient time.Duration

	// Of the call that runs.
	p      plan
	from   *end
	to     *end
	caller *raw.Dialog
	callee *raw.Dialog
	third  *raw.Dialog  // of the phone that the call goes to next
	own    *raw.Dialog  // the transferor's second call
	invite *raw.Message // as the callee got it
	tag    string
	heard  []string // what both parties saw, for the comparison of two runs
	before []event  // heard before somebody waited for it
	count  int      // calls so far
}

func newWorker(r *rig, n int, patient time.Duration) *worker {
	w := &worker{r: r, n: n, inbox: make(chan event, 256), patient: patient}
	// No two at the same distance, and far from each other.
	addr := func(k int) (a [4]byte) { i := 4*n + k; return [4]byte{127, 0, byte(71 + i/200), byte(1 + i%200)} }
	w.a = r.newEnd(extension(3*n), netipFrom(addr(0)), w.inbox)
	w.b = r.newEnd(extension(3*n+1), netipFrom(addr(1)), w.inbox)
	w.c = r.newEnd(extension(3*n+2), netipFrom(addr(2)), w.inbox)
	w.line = r.sbc.line(fmt.Sprintf("+1217666%04d", n), w.inbox)
	return w
}

// stormSDP offers SRTP.
func stormSDP(e *end, version int, direction, codecs string) []byte {
	at := "127.0.70.9"
	if e.local.IsValid() {
		at = e.local.String()
	}
	lines := "m=audio 4000 RTP/SAVP " + codecs + "\r\nc=IN IP4 " + at + "\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
	if codecs == "77" {
		lines = "m=audio 4000 RTP/SAVP 77\r\nc=IN IP4 " + at + "\r\na=rtpmap:77 weird/44100\r\n"
	}
	return []byte(fmt.Sprintf("v=0\r\no=- 7 %d IN IP4 %s\r\ns=-\r\nt=0 0\r\n", version, at) + lines +
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=" + direction + "\r\n")
}

// answerSDP answers the last offer in m with its own suite and tag.
func answerSDP(e *end, offer []byte, direction string) []byte {
	tag := "1"
	if _, rest, ok := strings.Cut(string(offer), "a=crypto:"); ok {
		tag, _, _ = strings.Cut(rest, " ")
	}
	return []byte(strings.Replace(string(stormSDP(e, 1, direction, "0 101")), "a=crypto:1 ", "a=crypto:"+tag+" ", 1))
}

// next waits for something that want accepts. Losing a connection of either party, or a refusal to the caller, ends the
// wait: the call is over.
func (w *worker) next(want func(event) bool) (event, bool) {
	for i, ev := range w.before {
		if want(ev) {
			w.before = slices.Delete(w.before, i, i+1)
			return ev, true
		}
	}
	timer := time.NewTimer(w.patient)
	defer timer.Stop()
	for {
		select {
		case ev := <-w.inbox:
			switch {
			case ev.m == nil:
				if ev.at == w.from || ev.at == w.to {
					w.note(ev.at, "lost")
					return ev, false
				}
			case !w.ours(ev):
				w.stale(ev)
			case want(ev):
				w.hear(ev)
				return ev, true
			default:
				w.hear(ev)
				w.before = append(w.before, ev)
				if ev.at == w.from && ev.m.Status() >= 300 && ev.m.Get("CSeq") == "1 INVITE" {
					return ev, false
				}
			}
		case <-timer.C:
			w.heard = append(w.heard, "timeout")
			return event{}, false
		}
	}
}

// ours tells whether a message is of the call that runs.
func (w *worker) ours(ev event) bool {
	id := ev.m.Get("Call-ID")
	switch {
	case id == w.caller.CallID, w.callee != nil && id == w.callee.CallID, w.third != nil && id == w.third.CallID, w.own != nil && id == w.own.CallID:
		return true
	case w.third == nil && ev.at == w.c && ev.m.Status() == 0 && ev.m.Method() == "INVITE" && ev.m.Get("Max-Forwards") == fmt.Sprint(w.caller.Hops-1):
		w.third = raw.Accepted(ev.from, ev.m, raw.Word(), w.c.user)
		return true
	case w.callee == nil && ev.at == w.to && ev.m.Status() == 0 && ev.m.Method() == "INVITE" && ev.m.Get("Max-Forwards") == fmt.Sprint(w.caller.Hops-1):
		w.invite, w.tag = ev.m, raw.Word()
		w.callee = raw.Accepted(ev.from, ev.m, w.tag, w.to.user)
		return true
	}
	return false
}

// stale is of a call before: an INVITE still needs its answer.
func (w *worker) stale(ev event) {
	if ev.m.Status() == 0 && ev.m.Method() == "INVITE" {
		if m := ev.at.settle(ev.m.Get("Call-ID")); m != nil {
			ev.from.Write(m.Reply(480, "Too Late", raw.Word(), nil))
		}
	}
}

func (w *worker) hear(ev event) {
	m := ev.m
	if m.Status() > 100 {
		w.note(ev.at, fmt.Sprintf("%d %s", m.Status(), m.Method()))
	} else if m.Status() == 0 {
		w.note(ev.at, m.Method())
	}
	// What a phone acknowledges by itself.
	if ev.at == w.from && m.Status() >= 300 && m.Method() == "INVITE" {
		ev.from.Write(w.caller.Ack(m, nil))
	}
}

func (w *worker) note(e *end, what string) {
	side := "a"
	if e == w.to {
		side = "b"
	}
	w.heard = append(w.heard, side+" "+what)
}

func request(e *end, method string) func(event) bool {
	return func(ev event) bool { return ev.at == e && ev.m.Status() == 0 && ev.m.Method() == method }
}

func response(e *end, method string, from, to int) func(event) bool {
	return func(ev event) bool {
		s := ev.m.Status()
		return ev.at == e && ev.m.Method() == method && s >= from && s <= to
	}
}

// reply answers the INVITE at the callee.
func (w *worker) reply(status int, reason string, body []byte) {
	lines := []string{"Contact: " + w.callee.Contact}
	if status >= 200 {
		if w.to.settle(w.callee.CallID) == nil {
			return
		}
	}
	if status == 302 {
		lines = []string{"Contact: <sip:evil@203.0.113.9>"}
	}
	w.callee.Peer.Write(w.invite.Reply(status, reason, w.tag, body, lines...))
}

// call runs one plan; the result says how far it got.
func (w *worker) call(ctx context.Context, p plan) (done bool) {
	w.p, w.callee, w.invite, w.heard, w.before, w.third, w.own = p, nil, nil, nil, nil, nil, nil
	w.count++
	for len(w.inbox) > 0 {
		if ev := <-w.inbox; ev.m != nil {
			w.stale(ev)
		}
	}
	w.from, w.to = w.a, w.b
	target := w.b.user
	switch p.kind {
	case out:
		w.to, target = w.line, "91"+w.line.user[2:]
	case in:
		w.from, target = w.line, "+1217555"+w.b.user
	}
	for _, e := range []*end{w.a, w.b, w.c} {
		if (e == w.from || e == w.to || e == w.c && p.fate >= moves && p.fate != reliably) && e.conn() == nil {
			if err := e.register(ctx); err != nil {
				w.heard = append(w.heard, "cannot register: "+err.Error())
				return false
			}
		}
	}
	if p.kind != inside && !w.trunkThere(ctx) {
		w.heard = append(w.heard, "no trunk")
		return false
	}
	peer := w.from.conn()
	if peer == nil {
		return false
	}
	host := rigDomain
	if p.kind == in {
		host = rigTrunk.String()
	}
	w.caller = raw.NewDialog(peer, "sip:"+w.from.user+"@"+host, "sip:"+target+"@"+host)
	w.caller.Hops = 11 + w.count%50 // tells the callee which call an INVITE is of
	if w.from.trunk {
		w.r.sbc.owns(w.caller.CallID, w.from)
	}
	body := stormSDP(w.from, 1, "sendrecv", "0 101")
	if p.late {
		body = nil
	}
	lines := []string{"Allow: INVITE, ACK, BYE, CANCEL, UPDATE"}
	if p.fate == reliably && !p.late {
		lines = append(lines, "Require: 100rel")
	}
	w.from.write(w.caller.Request("INVITE", body, lines...))
	return w.early(body)
}

// trunkThere waits for the box's connection to the SBC.
func (w *worker) trunkThere(ctx context.Context) bool {
	for range 400 {
		if w.r.sbc.current() != nil && w.r.trunks.Up("sbc") {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

// early is the call until its answer.
func (w *worker) early(offer []byte) bool {
	p := w.p
	switch p.fate {
	case cancelAtOnce:
		w.rest(p.pause)
		w.from.write(w.caller.Cancel())
		return w.over()
	case dropAtOnce:
		w.rest(p.pause)
		w.from.drop()
		return w.over()
	case cancelAfterTrying, dropAfterTrying:
		if _, ok := w.next(response(w.from, "INVITE", 100, 199)); !ok {
			return false
		}
		w.rest(p.pause)
		if p.fate == dropAfterTrying {
			w.from.drop()
		} else {
			w.from.write(w.caller.Cancel())
		}
		return w.over()
	}
	if _, ok := w.next(request(w.to, "INVITE")); !ok {
		return false
	}
	answer := answerSDP(w.to, w.invite.Body, "sendrecv")
	switch p.fate {
	case calleeDropsAtOnce:
		w.to.drop()
		return w.over()
	case silentCallee:
		w.rest(5 * time.Millisecond)
		w.from.write(w.caller.Cancel())
		return w.over()
	}
	if p.early {
		w.reply(183, "Session Progress", answer)
	} else {
		w.reply(180, "Ringing", nil)
	}
	ev, ok := w.next(response(w.from, "INVITE", 180, 183))
	if !ok {
		return false
	}
	switch p.fate {
	case pickedUp:
		return w.pickUp()
	case reliably:
		if ev.m.Get("RSeq") != "" {
			return w.acknowledged(ev, answer)
		}
	case cancelRinging:
		w.from.write(w.caller.Cancel())
		return w.over()
	case dropRinging:
		w.from.drop()
		return w.over()
	case calleeDropsRinging:
		w.to.drop()
		return w.over()
	case rejected:
		w.reply(p.status, "No \"way\"", nil)
		return w.over()
	case cancelCrosses200, dropCrosses200:
		abort := func() {
			if p.fate == dropCrosses200 {
				w.from.drop()
			} else {
				w.from.write(w.caller.Cancel())
			}
		}
		if p.offset < 0 {
			abort()
			w.rest(-p.offset)
			w.reply(200, "OK", answer)
		} else {
			w.reply(200, "OK", answer)
			w.rest(p.offset)
			abort()
		}
		w.crossed()
		return w.over()
	case answerWithoutSDP:
		answer = nil
	case answerWithoutCodec:
		answer = stormSDP(w.to, 2, "sendrecv", "77")
	}
	w.reply(200, "OK", answer)
	switch p.fate {
	case calleeAnswersAndDrops:
		w.rest(p.pause)
		w.to.drop()
	case farAnswersTwice:
		w.callee.Peer.Write(w.invite.Reply(200, "OK", w.tag, answer, "Contact: "+w.callee.Contact))
		w.callee.Peer.Write(w.invite.Reply(200, "OK", raw.Word(), answer, "Contact: "+w.callee.Contact))
	}
	return w.answered()
}

// crossed takes what came of a CANCEL that met a 200: one of the two won.
func (w *worker) crossed() {
	if w.p.fate != cancelCrosses200 {
		return
	}
	ev, ok := w.next(response(w.from, "INVITE", 200, 699))
	if ok && ev.m.Status() < 300 { // the call stands: RFC 3261 §9.1 has the caller end it
		w.caller.Confirm(ev.m)
		ev.from.Write(w.caller.Ack(ev.m, nil))
		ev.from.Write(w.caller.Request("BYE", nil))
	}
}

// answered is the call from the caller's 200 on.
func (w *worker) answered() bool {
	p := w.p
	ev, ok := w.next(response(w.from, "INVITE", 200, 299))
	if !ok {
		return w.over()
	}
	w.caller.Confirm(ev.m)
	var body []byte
	if p.late {
		body = answerSDP(w.from, ev.m.Body, "sendrecv")
	}
	ack := w.caller.Ack(ev.m, body)
	switch p.fate {
	case noAck:
		return w.over() // the box gives up after 64*T1
	case byeBeforeAck:
		w.from.write(w.caller.Request("BYE", nil))
		w.rest(p.pause)
		w.from.write(ack)
		return w.over()
	case dropBeforeAck:
		w.from.drop()
		return w.over()
	}
	w.from.write(ack)
	if p.fate != calleeAnswersAndDrops {
		if _, ok := w.next(request(w.to, "ACK")); !ok {
			return w.over()
		}
	}
	return w.up()
}

// up is the call after its ACK.
func (w *worker) up() bool {
	p := w.p
	if p.fate == transferred || p.fate == consulted || p.fate == parked {
		return w.moved()
	}
	one, other, first, second := w.from, w.to, w.caller, w.callee
	if p.callee {
		one, other, first, second = other, one, second, first
	}
	if p.fate >= changeDropped && p.fate <= changeRefused || p.fate == lives {
		// Hold.
		held := request(other, "INVITE")
		for range 10 {
			one.write(first.Request("INVITE", stormSDP(one, 2, "sendonly", "0 101")))
			ev, ok := w.next(func(ev event) bool {
				return held(ev) || ev.at == one && ev.m.Status() == 491 && ev.m.Get("CSeq") == first.Invite()
			})
			if !ok {
				return w.over()
			}
			if held(ev) {
				break
			}
			one.write(first.Ack(ev.m, nil)) // the other party has not acknowledged yet: again a little later
			w.rest(20 * time.Millisecond)
		}
		inv := other.settle(second.CallID)
		switch {
		case inv == nil:
			return w.over()
		case p.fate == changeDropped:
			one.drop()
			return w.over()
		case p.fate == changeCalleeDrops:
			other.drop()
			return w.over()
		case p.fate == changeUnanswered: // its INVITE never gets an answer
		case p.fate == changeHangUp:
			w.rest(p.pause)
		case p.fate == changeRefused:
			other.write(inv.Reply(488, "Not Acceptable Here", "", nil))
		default:
			other.write(inv.Reply(200, "OK", "", answerSDP(other, inv.Body, "recvonly"), "Contact: "+second.Contact))
		}
		if p.fate == changeRefused || p.fate == lives {
			final := response(one, "INVITE", 200, 699)
			ev, ok := w.next(func(ev event) bool { return final(ev) && ev.m.Get("CSeq") == first.Invite() })
			if !ok && ev.m == nil {
				return w.over()
			}
			if ev.m.Status() < 300 || one != w.from {
				one.write(first.Ack(ev.m, nil))
			}
		}
	}
	switch p.fate {
	case glare:
		one.write(first.Request("INVITE", stormSDP(one, 2, "sendonly", "0 101")))
		other.write(second.Request("INVITE", stormSDP(other, 2, "inactive", "0 101")))
		w.rest(2 * time.Millisecond)
	case bothHangUp:
		one.write(first.Request("BYE", nil))
		w.rest(max(0, p.offset))
		other.write(second.Request("BYE", nil))
		return w.over()
	case hangUpAndDrop, noAnswerAtBye:
		if p.fate == noAnswerAtBye {
			other.drop()
			w.rest(p.pause)
		}
		one.write(first.Request("BYE", nil))
		if p.fate == hangUpAndDrop {
			one.drop()
		}
		return w.over()
	case forged:
		w.forge(one, first)
		w.forge(other, second)
	}
	one.write(first.Request("BYE", nil))
	bye, answer := request(other, "BYE"), response(one, "BYE", 200, 200)
	ev, ok := w.next(func(ev event) bool { return bye(ev) || answer(ev) })
	if ok && bye(ev) {
		_, ok = w.next(answer)
	} else if ok {
		_, ok = w.next(bye)
	}
	return ok
}

// forge sends what must not disturb the call: requests that name it wrongly, or ask for what no phone may.
func (w *worker) forge(e *end, d *raw.Dialog) {
	x := *d
	x.To = raw.Target(d.To)
	x.To = "<" + x.To + ">;tag=guess"
	// With a pause between: what comes at once may be handled in any order.
	const pause = 3 * time.Millisecond
	e.write(x.Request("BYE", nil))
	w.rest(pause)
	y := *d
	y.From = "<sip:x@y>;tag=guess"
	e.write(y.Request("BYE", nil))
	w.rest(pause)
	e.write(d.Request("OPTIONS", nil)) // from here on 0 is too low
	w.rest(pause)
	z := *d
	z.Seq = -1
	e.write(z.Request("BYE", nil)) // CSeq 0
	w.rest(pause)
	e.write(d.Request("WHATEVER", nil))
	w.rest(pause)
}

// over waits for the call's end as far as the parties can see it: the caller has a final answer or nobody is left.
func (w *worker) over() bool {
	if w.p.fate == lives {
		return false // it did not end here by plan
	}
	for _, e := range []*end{w.from, w.to} {
		if p := e.conn(); p == nil {
			return true
		}
	}
	w.rest(3 * time.Millisecond)
	for len(w.inbox) > 0 {
		ev := <-w.inbox
		switch {
		case ev.m == nil:
		case w.ours(ev):
			w.hear(ev)
		default:
			w.stale(ev)
		}
	}
	return true
}

func (w *worker) rest(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}
