package b2bua

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// resounds takes the box's question to go on with the sound, and answers it with a direction.
func (u *ua) resounds(dir sdp.Direction) {
	u.w.t.Helper()
	in := u.incoming(sip.INVITE)
	d, err := sdp.Parse(in.Request().Body())
	if err != nil || d.Direction != sdp.SendRecv || len(d.Codecs) == 0 {
		u.w.t.Fatalf("the phone is offered %v (%v), want sendrecv", d, err)
	}
	u.answersAs(in, dir)
	u.acked()
}

// answersAs answers a re-INVITE with a direction of its own.
func (u *ua) answersAs(in *stack.ServerTx, dir sdp.Direction) {
	u.w.t.Helper()
	body := answerTo(u.w.t, in.Request().Body(), pcmu)
	for _, d := range []sdp.Direction{sdp.SendRecv, sdp.RecvOnly} {
		body = bytes.Replace(body, []byte("a="+d.String()), []byte("a="+dir.String()), 1)
	}
	res := in.Response(200, "OK")
	setSDP(res, body)
	in.Respond(res)
}

// open fails unless both legs carry sound both ways.
func (w *world) open() {
	w.t.Helper()
	_, legs := w.media.last()
	for i, l := range legs {
		if !l.stream.ToPeer {
			w.t.Errorf("leg %d gets no sound: %+v", i, l.stream)
		}
	}
}

// TestHoldOfAnEmergencyCall: however the caller's phone asks for silence, it is refused and asked to go on, and the PSAP
// is told nothing.
func TestHoldOfAnEmergencyCall(t *testing.T) {
	for name, c := range map[string]struct {
		method sip.RequestMethod
		body   []byte
	}{
		"re-INVITE":           {sip.INVITE, directed(sdp.SendOnly, pcmu)},
		"inactive":            {sip.INVITE, directed(sdp.Inactive, pcmu)},
		"no more of us":       {sip.INVITE, directed(sdp.RecvOnly, pcmu)},
		"UPDATE":              {sip.UPDATE, directed(sdp.SendOnly, pcmu)},
		"with another codec":  {sip.INVITE, directed(sdp.SendOnly, sdp.Codec{Type: 9, Name: "G722", Clock: 8000, Channels: 1})},
		"as of RFC 2543":      {sip.INVITE, bytes.ReplaceAll(directed(sdp.SendRecv, pcmu), []byte("IP4 127.0.0.1"), []byte("IP4 0.0.0.0"))},
		"without an SRTP key": {sip.INVITE, withoutKey(directed(sdp.SendOnly, pcmu))},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.call("911", pcmu)
			psap := x.answer(x.incoming(sip.INVITE), pcmu)
			o.up(nil)
			x.acked()
			o.within(c.method, c.body).wait(403)
			a.resounds(sdp.SendRecv)
			w.open()
			psap.within(sip.OPTIONS, nil).wait(200)
			x.quiet()
			for _, e := range w.help {
				if e.Kind == AlarmRaised && e.Trunk == "" {
					t.Errorf("alarm: %s", e.Text)
				}
			}
			o.within(sip.BYE, nil).wait(200)
			x.bye()
			w.ended()
		})
	}
}

func withoutKey(body []byte) []byte {
	var out [][]byte
	for line := range bytes.Lines(body) {
		if !bytes.HasPrefix(line, []byte("a=crypto")) {
			out = append(out, line)
		}
	}
	return bytes.Join(out, nil)
}

// TestPhoneInsistsOnItsHold: a phone that stays silent until its user takes the call back is told of; the PSAP still
// learns nothing, whatever it asks meanwhile, and the way back needs nobody but the phone.
func TestPhoneInsistsOnItsHold(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	psap := x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	for range 2 { // the second is no second alarm
		o.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(403)
		a.resounds(sdp.SendOnly)
	}
	w.until(func() bool { return w.heardAlarm("put the call aside") == 1 })
	w.open()
	for i, offered := range []sdp.Direction{sdp.SendRecv, sdp.SendOnly, sdp.SendRecv} {
		change := psap.within(sip.INVITE, directed(offered, pcmu))
		if i > 0 { // the first changes nothing
			in := a.incoming(sip.INVITE)
			a.answersAs(in, sdp.Inactive)
			a.acked()
		}
		d, err := sdp.Parse(change.wait(200).Body())
		if err != nil || d.Direction != offered.Reverse() {
			t.Fatalf("the PSAP offered %v, and was answered %v (%v)", offered, d, err)
		}
		psap.ackChange()
	}
	w.open()
	change := o.within(sip.INVITE, directed(sdp.SendRecv, pcmu))
	if d, err := sdp.Parse(change.wait(200).Body()); err != nil || d.Direction != sdp.SendRecv {
		t.Errorf("the phone is back, and was answered %v (%v)", d, err)
	}
	o.ackChange()
	w.open()
	psap.within(sip.OPTIONS, nil).wait(200)
	x.quiet()
	if n := w.heardAlarm("put the call aside"); n != 1 {
		t.Errorf("%d alarms", n)
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// heardAlarm counts the alarms with a text.
func (w *world) heardAlarm(text string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.help {
		if e.Kind == AlarmRaised && strings.Contains(e.Text, text) {
			n++
		}
	}
	return n
}

// TestHoldIsAskedAgain: a phone that cannot answer yet (491) is asked again; one that refuses is told of.
func TestHoldIsAskedAgain(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	o.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(403)
	a.incoming(sip.INVITE).Reply(491, "Request Pending")
	a.resounds(sdp.SendRecv)
	if n := w.heardAlarm(""); n != w.heardAlarm("ELIN") {
		t.Errorf("%d alarms", n)
	}
	o.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(403)
	a.incoming(sip.INVITE).Reply(488, "Not Acceptable Here")
	w.until(func() bool { return w.heardAlarm("it answered 488") == 1 })
	w.open()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestHelpThatBeginsOnHold: a first offer that would not listen is no hold at the PSAP.
func TestHelpThatBeginsOnHold(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.send(a.request(sip.INVITE, "1001", "911", directed(sdp.SendOnly, pcmu)))
	in := x.incoming(sip.INVITE)
	if d, err := sdp.Parse(in.Request().Body()); err != nil || d.Direction != sdp.SendRecv {
		t.Errorf("the PSAP is offered %v (%v)", d, err)
	}
	x.answer(in, pcmu)
	if d, err := sdp.Parse(o.up(nil).Body()); err != nil || d.Direction != sdp.RecvOnly {
		t.Errorf("the phone is answered %v (%v)", d, err)
	}
	x.acked()
	w.open()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestOfferlessHoldOfAnEmergencyCall: neither does it in an ACK.
func TestOfferlessHoldOfAnEmergencyCall(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	ok := o.within(sip.INVITE, nil).wait(200)
	ack := o.dlg.numbered(sip.ACK, o.dlg.localSeq, a.conn)
	setSDP(ack, bytes.Replace(answerTo(t, ok.Body(), pcmu), []byte("a=sendrecv"), []byte("a=inactive"), 1))
	a.conn.Write(ack)
	a.resounds(sdp.SendRecv)
	w.open()
	x.quiet()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}
