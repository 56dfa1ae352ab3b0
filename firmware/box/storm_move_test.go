package box

import (
	"fmt"
	"net/url"

	"holdfast/firmware/lab/raw"
)

// What moves a call to other parties, with an abort at each step. w.p.step says at which; the last steps are none: all goes well.

// mover says who hands whom on: a phone, never the trunk.
func (w *worker) mover() (one, other *end, first, second *raw.Dialog) {
	if w.p.kind == in || w.p.kind == inside && w.p.callee {
		return w.to, w.from, w.callee, w.caller
	}
	return w.from, w.to, w.caller, w.callee
}

// moved is the call from its ACK on, for the fates that move it.
func (w *worker) moved() bool {
	one, other, first, second := w.mover()
	switch w.p.fate {
	case transferred:
		one.write(first.Request("REFER", nil, "Refer-To: <sip:"+w.c.user+"@"+rigDomain+">"))
		w.handedOn(one, other, first, second)
	case consulted:
		own := w.consult(one)
		if own == nil {
			break
		}
		replaces := own.CallID + ";to-tag=" + raw.Param(own.To, "tag") + ";from-tag=" + raw.Param(own.From, "tag")
		one.write(first.Request("REFER", nil, "Refer-To: <sip:"+w.c.user+"@"+rigDomain+"?Replaces="+url.QueryEscape(replaces)+">"))
		w.joined(one, other, first, second)
		one.write(own.Request("BYE", nil))
	case parked:
		place := fmt.Sprintf("*5%d", w.n)
		one.write(first.Request("REFER", nil, "Refer-To: <sip:"+place+"@"+rigDomain+">"))
		w.fetched(one, other, first, second, place)
	}
	// However far it has come: everybody hangs up.
	w.rest(w.p.pause)
	one.write(first.Request("BYE", nil))
	other.write(second.Request("BYE", nil))
	if w.third != nil {
		w.c.write(w.third.Request("BYE", nil))
	}
	return w.over()
}

// handedOn is a blind transfer from its REFER on.
func (w *worker) handedOn(one, other *end, first, second *raw.Dialog) {
	switch w.p.step {
	case 0:
		one.drop()
		return
	case 1:
		other.write(second.Request("BYE", nil))
		return
	case 2:
		one.write(first.Request("BYE", nil)) // the transferor does not wait
	}
	if _, ok := w.next(request(w.c, "INVITE")); !ok {
		return
	}
	inv := w.c.settle(w.third.CallID)
	if inv == nil {
		return
	}
	tag := raw.Param(w.third.From, "tag")
	switch w.p.step {
	case 3:
		w.c.drop()
		return
	case 4:
		w.c.write(inv.Reply(486, "Busy Here", tag, nil))
		return
	case 5:
		w.c.write(inv.Reply(180, "Ringing", tag, nil, "Contact: "+w.third.Contact))
		w.rest(w.p.pause)
		other.write(second.Request("BYE", nil))
		w.rest(w.p.pause)
	}
	w.c.write(inv.Reply(200, "OK", tag, answerSDP(w.c, inv.Body, "sendrecv"), "Contact: "+w.third.Contact))
	if w.p.step == 6 {
		w.c.drop()
		return
	}
	w.next(request(w.c, "ACK"))
	w.reoffered(other, second)
}

// reoffered answers the box's re-INVITE, in one way or another.
func (w *worker) reoffered(e *end, d *raw.Dialog) {
	ev, ok := w.next(request(e, "INVITE"))
	if !ok {
		return
	}
	inv := e.settle(d.CallID)
	switch {
	case inv == nil:
	case w.p.step == 7: // never
	case w.p.step == 8:
		ev.from.Write(inv.Reply(488, "Not Acceptable Here", "", nil))
	default:
		ev.from.Write(inv.Reply(200, "OK", "", answerSDP(e, inv.Body, "sendrecv"), "Contact: "+d.Contact))
		w.next(request(e, "ACK"))
	}
}

// consult is the transferor's second call, to the third phone; nil: it did not come about.
func (w *worker) consult(one *end) *raw.Dialog {
	peer := one.conn()
	if peer == nil {
		return nil
	}
	own := raw.NewDialog(peer, "sip:"+one.user+"@"+rigDomain, "sip:"+w.c.user+"@"+rigDomain)
	own.Hops = w.caller.Hops
	w.own = own
	one.write(own.Request("INVITE", stormSDP(one, 1, "sendrecv", "0 101")))
	if _, ok := w.next(request(w.c, "INVITE")); !ok {
		return nil
	}
	inv := w.c.settle(w.third.CallID)
	if inv == nil {
		return nil
	}
	tag := raw.Param(w.third.From, "tag")
	if w.p.step == 0 { // it still rings when the transferor hands on
		w.c.write(inv.Reply(180, "Ringing", tag, nil, "Contact: "+w.third.Contact))
		ev, ok := w.next(func(ev event) bool { return ev.m.Get("Call-ID") == own.CallID && ev.m.Status() == 180 })
		if !ok {
			return nil
		}
		own.Confirm(ev.m)
		return own
	}
	w.c.write(inv.Reply(200, "OK", tag, answerSDP(w.c, inv.Body, "sendrecv"), "Contact: "+w.third.Contact))
	ev, ok := w.next(func(ev event) bool {
		return ev.m.Get("Call-ID") == own.CallID && ev.m.Method() == "INVITE" && ev.m.Status() >= 200
	})
	if !ok || ev.m.Status() >= 300 {
		return nil
	}
	own.Confirm(ev.m)
	one.write(own.Ack(ev.m, nil))
	if w.p.step != 1 { // else both calls are not through yet
		w.next(request(w.c, "ACK"))
	}
	return own
}

// joined is an attended transfer from its REFER on.
func (w *worker) joined(one, other *end, first, second *raw.Dialog) {
	switch w.p.step {
	case 2:
		one.drop()
		return
	case 3:
		w.c.drop()
		return
	case 4:
		other.write(second.Request("BYE", nil))
	case 5:
		w.c.write(w.third.Request("BYE", nil))
	case 6:
		one.write(first.Request("BYE", nil))
		one.write(w.own.Request("BYE", nil))
	}
	w.reoffered(w.c, w.third)
	w.reoffered(other, second)
}

// fetched is a parked call: the third phone fetches it, or nobody does.
func (w *worker) fetched(one, other *end, first, second *raw.Dialog, place string) {
	switch w.p.step {
	case 0:
		other.write(second.Request("BYE", nil))
	case 1:
		one.drop()
	case 2:
		return
	}
	if _, ok := w.next(request(one, "BYE")); !ok && w.p.step > 2 {
		return // it was refused: the re-INVITE of something else is under way
	}
	w.takes(place, other, second)
}

// takes makes the third phone dial a feature code.
func (w *worker) takes(code string, stays *end, d *raw.Dialog) {
	peer := w.c.conn()
	if peer == nil {
		return
	}
	t := raw.NewDialog(peer, "sip:"+w.c.user+"@"+rigDomain, "sip:"+code+"@"+rigDomain)
	t.Hops = w.caller.Hops
	w.third = t
	body := stormSDP(w.c, 1, "sendrecv", "0 101")
	if w.p.late {
		body = nil
	}
	w.c.write(t.Request("INVITE", body))
	switch w.p.step {
	case 3:
		w.c.drop()
		return
	case 4:
		w.rest(w.p.pause)
		w.c.write(t.Cancel())
	case 5:
		if d != nil {
			stays.write(d.Request("BYE", nil))
		} else {
			w.from.write(w.caller.Cancel())
		}
	}
	if d != nil && body != nil {
		w.reoffered(stays, d)
	}
	ev, ok := w.next(func(ev event) bool {
		return ev.m.Get("Call-ID") == t.CallID && ev.m.Method() == "INVITE" && ev.m.Status() >= 200
	})
	if !ok {
		return
	}
	var answer []byte
	if ev.m.Status() < 300 {
		t.Confirm(ev.m)
		if body == nil && w.p.step != 6 {
			answer = answerSDP(w.c, ev.m.Body, "sendrecv")
		}
		if w.p.step == 9 && body == nil { // never
			return
		}
	}
	w.c.write(t.Ack(ev.m, answer))
	if d != nil && body == nil && ev.m.Status() < 300 {
		w.reoffered(stays, d)
	}
}

// pickUp is a call that a third phone picks up while it rings.
func (w *worker) pickUp() bool {
	w.takes("*8"+w.to.user, w.to, nil)
	ev, ok := w.next(response(w.from, "INVITE", 200, 699))
	if ok && ev.m.Status() < 300 {
		w.caller.Confirm(ev.m)
		ev.from.Write(w.caller.Ack(ev.m, nil))
	} else if !ok {
		w.from.write(w.caller.Cancel())
	}
	w.rest(w.p.pause)
	w.from.write(w.caller.Request("BYE", nil))
	if w.third != nil {
		w.c.write(w.third.Request("BYE", nil))
	}
	return w.over()
}

// acknowledged is a call whose caller wants reliable provisional responses, from the first of them on.
func (w *worker) acknowledged(ev event, answer []byte) bool {
	rack := fmt.Sprintf("RAck: %s %s", ev.m.Get("RSeq"), w.caller.Invite())
	early := *w.caller
	early.Confirm(ev.m)
	prack := func(line string) {
		w.from.write(early.Request("PRACK", nil, line))
		w.caller.Seq = early.Seq
	}
	switch w.p.step {
	case 0: // no PRACK at all
		w.from.write(w.caller.Cancel())
		return w.over()
	case 1:
		prack("RAck: 77 77 INVITE")
	case 2:
		prack(rack)
		w.from.drop()
		return w.over()
	case 3:
		w.reply(200, "OK", answer) // it overtakes the PRACK
		prack(rack)
		return w.answered()
	case 4:
		prack(rack)
		prack(rack)
	default:
		prack(rack)
	}
	w.reply(200, "OK", answer)
	return w.answered()
}
