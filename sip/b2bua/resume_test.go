package b2bua

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// crash lets the program's last life end as a kill does: nobody is told, and the next knows what was saved.
func (w *world) crash() []SavedDialog {
	w.t.Helper()
	text, err := json.Marshal(w.dialogs())
	if err != nil {
		w.t.Fatal(err)
	}
	dead := w.agent
	w.mu.Lock()
	w.life.over = true
	w.mu.Unlock()
	w.begin()
	w.t.Cleanup(dead.Stop)
	var saved []SavedDialog
	if err := json.Unmarshal(text, &saved); err != nil {
		w.t.Fatal(err)
	}
	return saved
}

// away takes the user's phones' connections out of sight; the function returned brings them back.
func (w *world) away(user string) (back func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	here := w.bindings[user]
	w.bindings[user] = nil
	return func() {
		w.mu.Lock()
		w.bindings[user] = here
		w.mu.Unlock()
		w.agent.PhoneBack(user)
	}
}

// accept answers a re-INVITE of the box.
func (u *ua) accepts(tx *stack.ServerTx, o *outgoing) {
	u.w.t.Helper()
	if id := tx.Request().CallID().Value(); id != o.dlg.callID {
		u.w.t.Errorf("re-INVITE in %s, not in %s", id, o.dlg.callID)
	}
	u.answer(tx, pcmu)
	u.acked()
}

// TestResume: after a crash both sides of an emergency call are re-invited, and the call goes on.
func TestResume(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", opus, pcmu)
	in := x.incoming(sip.INVITE)
	psap := x.answer(in, pcmu)
	o.up(nil)
	x.acked()
	id := w.onlyCall().id
	saved := w.crash()
	if len(saved) != 2 {
		t.Fatalf("saved %+v", saved)
	}
	back := w.away("u1001")
	if got := w.agent.Restore(saved); !slices.Equal(got, []string{id}) {
		t.Fatalf("taken up: %v", got)
	}
	again := x.incoming(sip.INVITE) // at once
	if again.Request().CSeq().SeqNo <= in.Request().CSeq().SeqNo {
		t.Errorf("CSeq %d", again.Request().CSeq().SeqNo)
	}
	x.accepts(again, psap)
	back()
	a.accepts(a.incoming(sip.INVITE), o)
	w.until(func() bool { return slices.Contains(w.kinds(id), CallRestored) })
	s, legs := w.media.last()
	if len(legs) != 2 || len(s.links) != 1 || legs[0].stream.Audio.Type != 0 || !legs[1].stream.ToPeer {
		t.Errorf("media %+v", legs)
	}
	o.dlg.localSeq++ // as if it had said something meanwhile
	o.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(403)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	if r := w.ended(); r.ID != id || r.Cause != causeBye || r.Status != 200 || !r.Emergency || r.Dialled != "911" {
		t.Errorf("%+v", r)
	}
	if k := w.kinds(id); k[len(k)-1] != CallEnded || len(w.cut) > 0 {
		t.Errorf("%v, cut %v", k, w.cut)
	}
}

// TestResumeOfACallback: the PSAP's way back is taken up as well.
func TestResumeOfACallback(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, shown := w.callHelp(a, x)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	help := w.ended().ID
	cb := x.call(shown, pcmu)
	phone := a.answer(a.incoming(sip.INVITE), pcmu)
	cb.up(nil)
	a.acked()
	w.agent.Restore(w.crash())
	x.accepts(x.incoming(sip.INVITE), cb)
	a.accepts(a.incoming(sip.INVITE), phone)
	w.until(func() bool { return slices.Contains(w.kinds(help), CallRestored) })
	cb.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
	if k := w.kinds(help); k[len(k)-1] != CallbackEnded {
		t.Errorf("%v", k)
	}
}

// TestResumeFails: whatever goes wrong, the PSAP's side gets BYE, somebody is told, and the phone's side ends when it is back.
func TestResumeFails(t *testing.T) {
	for name, fail := range map[string]func(w *world, x *ua, o *outgoing){
		"the phone does not come back": func(w *world, x *ua, psap *outgoing) { x.accepts(x.incoming(sip.INVITE), psap) },
		"the PSAP knows no such call":  func(w *world, x *ua, _ *outgoing) { x.incoming(sip.INVITE).Reply(481, "No Such Call") },
		"the PSAP takes no offer":      func(w *world, x *ua, _ *outgoing) { x.incoming(sip.INVITE).Reply(488, "No") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hastyIf(name == "the phone does not come back"), helpful)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.call("911", pcmu)
			psap := x.answer(x.incoming(sip.INVITE), pcmu)
			o.up(nil)
			x.acked()
			id := w.onlyCall().id
			saved := w.crash()
			back := w.away("u1001")
			w.agent.Restore(saved)
			fail(w, x, psap)
			x.bye()
			if r := w.ended(); r.Cause != causeCut {
				t.Errorf("%+v", r)
			}
			w.until(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return slices.Equal(w.cut, []string{id}) })
			for _, k := range []EmergencyKind{AlarmRaised, CallRestored, CallEnded} {
				if !slices.Contains(w.kinds(id), k) {
					t.Errorf("no %s in %v", k, w.kinds(id))
				}
			}
			back()
			a.bye()
			w.until(func() bool { return len(w.dialogs()) == 0 })
		})
	}
}

// TestPSAPHangsUpMeanwhile: a call that is being taken up again ends as any other.
func TestPSAPHangsUpMeanwhile(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	psap := x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	saved := w.crash()
	back := w.away("u1001")
	w.agent.Restore(saved)
	x.accepts(x.incoming(sip.INVITE), psap)
	psap.within(sip.BYE, nil).wait(200)
	if r := w.ended(); r.Cause != causeBye || len(w.cut) > 0 {
		t.Errorf("%+v", r)
	}
	back()
	a.bye()
}

// TestCrashBeforeTheAnswer: the INVITE of the last life is cancelled, and hung up should the PSAP have taken it.
func TestCrashBeforeTheAnswer(t *testing.T) {
	for name, ring := range map[string]bool{"ringing": true, "not a word yet": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, helpful)
			x := w.sbc("sbc1")
			box, _ := w.trunks.Open("sbc1")
			d := dialog{callID: stack.NewCallID(), local: party{uri: sip.Uri{Scheme: "sip", User: siteELIN, Host: "127.0.0.1"}, tag: stack.NewTag()},
				remote: party{uri: sip.Uri{Scheme: "sip", User: "911", Host: "127.0.0.1"}}, target: sip.Uri{Scheme: "sip", User: "911", Host: "127.0.0.1"},
				contact: contactFor(box)}
			invite := d.request(sip.INVITE, box)
			setSDP(invite, offer(pcmu))
			box.Write(invite) // by the life before: no transaction of this one knows of it
			in := x.incoming(sip.INVITE)
			s := SavedDialog{Key: d.key(), Trunk: "sbc1", CallID: d.callID, Local: d.local.uri.String(), LocalTag: d.local.tag, Remote: d.remote.uri.String(),
				Target: d.target.String(), Seq: d.localSeq, Emergency: true, Since: time.Now(), Help: &SavedHelp{Call: "1-abc", ForHelp: true}}
			s.Help.Branch, _ = invite.Via().Params.Get("branch")
			if ring {
				in.Reply(180, "Ringing")
				s.RemoteTag = in.Tag()
			}
			w.Keep(s.Key, s)
			if got := w.agent.Restore([]SavedDialog{s}); len(got) != 0 {
				t.Errorf("taken up: %v", got)
			}
			if x.cancelled() != in {
				t.Error("another INVITE is cancelled")
			}
			if ring {
				x.bye()
			}
			ok := in.Response(200, "OK") // it crosses the CANCEL
			ok.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "psap", Host: "127.0.0.1"}})
			x.conn.Write(ok)
			if ack := x.acked(); ack.CSeq().SeqNo != in.Request().CSeq().SeqNo {
				t.Errorf("ACK %s", ack.CSeq())
			}
			x.bye()
			w.until(func() bool { return len(w.dialogs()) == 0 })
			ok.To().Params.Remove("tag")
			x.conn.Write(ok) // what makes no dialog is left alone
			ok.ReplaceHeader(sip.HeaderClone(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.UPDATE}))
			x.conn.Write(ok)
		})
	}
}

// TestEarlyDialogIsSaved before the INVITE leaves, and forgotten with it.
func TestEarlyDialogIsSaved(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	branch, _ := in.Request().Via().Params.Get("branch")
	if d := w.dialogs(); len(d) != 1 || d[0].Help == nil || d[0].Help.Branch != branch || d[0].Seq != in.Request().CSeq().SeqNo || d[0].RemoteTag != "" {
		t.Errorf("%+v", d)
	}
	in.Reply(180, "Ringing")
	o.wait(180)
	if d := w.dialogs(); len(d) != 1 || d[0].RemoteTag != in.Tag() {
		t.Errorf("%+v", d)
	}
	o.tx.Cancel()
	x.cancelled().Reply(487, "Request Terminated")
	o.wait(487)
	w.ended()
	w.until(func() bool { return len(w.dialogs()) == 0 })
}

// TestConnectionThatWasDead: the trunk's connection falls under the INVITE: the trunk gets it again over a new one, and
// what it may have made of the first is cancelled.
func TestConnectionThatWasDead(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	lost := x.incoming(sip.INVITE)
	again := w.sbc("sbc1") // the next connection
	x.conn.Close()
	var in *stack.ServerTx
	for in == nil {
		in = again.incoming(sip.INVITE)
	}
	if in.Request().CallID().Value() == lost.Request().CallID().Value() {
		t.Error("the same INVITE comes again")
	}
	again.answer(in, pcmu)
	o.up(nil)
	again.acked()
	o.within(sip.BYE, nil).wait(200)
	again.bye()
	w.ended()
}

// TestCallbackThatIsCut: the security desk hears of the emergency call that it answered.
func TestCallbackThatIsCut(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, shown := w.callHelp(a, x)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	help := w.ended().ID
	cb := x.call(shown, pcmu)
	a.answer(a.incoming(sip.INVITE), pcmu)
	cb.up(nil)
	a.acked()
	w.agent.Restore(w.crash())
	x.incoming(sip.INVITE).Reply(481, "No Such Call")
	x.bye()
	a.bye()
	w.ended()
	w.until(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return slices.Equal(w.cut, []string{help}) })
}

// TestRestoredCallsCount: a crash gives a caller no more of the reserve than it had.
func TestRestoredCallsCount(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	numbers := []string{"933", "911", "911", "911", "911"}
	for _, n := range numbers {
		o := a.call(n)
		x.answer(x.incoming(sip.INVITE))
		o.up(nil)
		x.acked()
	}
	saved := w.crash()
	back := w.away("u1001")
	if got := w.agent.Restore(saved); len(got) != len(numbers) {
		t.Fatalf("taken up: %v", got)
	}
	w.agent.mu.Lock()
	claim := 0
	for _, c := range w.agent.calls {
		if c.helpFrom == "user u1001" && !c.modest {
			claim++
		}
	}
	full := w.agent.claimed("user u1001")
	w.agent.mu.Unlock()
	if claim != claims || !full {
		t.Errorf("%d calls have a claim, want %d; more may: %v", claim, claims, !full)
	}
	for range numbers {
		x.answer(x.incoming(sip.INVITE), pcmu)
		x.acked()
	}
	back()
	for range numbers {
		a.answer(a.incoming(sip.INVITE), pcmu)
		a.acked()
	}
}
