package b2bua

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// TestDialogsAreKept while they are up, and only then.
func TestDialogsAreKept(t *testing.T) {
	w := newWorld(t, nil)
	a, sbc := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142", pcmu)
	in := sbc.incoming(sip.INVITE)
	if n := len(w.dialogs()); n != 0 {
		t.Errorf("%d dialogs before the answer", n)
	}
	sbc.answer(in, pcmu)
	o.up(nil)
	sbc.acked()
	o.within(sip.UPDATE, nil).wait(200)
	list := w.dialogs()
	if len(list) != 2 {
		t.Fatalf("kept %+v", list)
	}
	o.within(sip.BYE, nil).wait(200)
	sbc.bye()
	w.ended()
	if n := len(w.dialogs()); n != 0 {
		t.Errorf("%d dialogs after the end", n)
	}

	// The program's next life: another agent, which knows the call from the store alone.
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var saved []SavedDialog
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	for _, d := range saved {
		w.Keep(d.Key, d)
	}
	w.mu.Lock()
	here := w.bindings["u1001"]
	w.bindings["u1001"] = nil // the phone has no connection yet
	w.mu.Unlock()
	w.agent.Restore(append(saved, SavedDialog{Key: "torn", CallID: "x", Local: "not a uri"}, SavedDialog{Key: "old", CallID: "x", Local: "sip:a@b", Remote: "sip:a@b", Target: "sip:a@b", Since: time.Now().Add(-48 * time.Hour)}))
	bye := sbc.incoming(sip.BYE)
	sameDialog(t, bye, in.Request().CallID().Value(), in.Request().CSeq().SeqNo)
	bye.Reply(200, "OK")
	select {
	case tx := <-a.requests:
		t.Fatalf("the phone got %s before it was back", tx.Request().Method)
	case <-time.After(20 * time.Millisecond):
	}
	w.mu.Lock()
	w.bindings["u1001"] = here
	w.mu.Unlock()
	w.agent.PhoneBack("u1001")
	bye = a.incoming(sip.BYE)
	sameDialog(t, bye, o.dlg.callID, 0)
	if tag, _ := bye.Request().To().Params.Get("tag"); tag != o.dlg.local.tag {
		t.Errorf("To tag %q", tag)
	}
	bye.Reply(200, "OK")
	w.agent.PhoneBack("u1001") // once is enough
	select {
	case tx := <-a.requests:
		t.Errorf("another %s", tx.Request().Method)
	case <-time.After(20 * time.Millisecond):
	}
	o.within(sip.BYE, nil).wait(481) // the dialog itself is gone
}

func sameDialog(t *testing.T, bye *stack.ServerTx, callID string, after uint32) {
	t.Helper()
	if bye.Request().CallID().Value() != callID || bye.Request().CSeq().SeqNo <= after {
		t.Errorf("BYE of another dialog:\n%s", bye.Request())
	}
}

// TestRestoreWaitsForTrunk: the SBC is not there at first.
func TestRestoreWaitsForTrunk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	d := SavedDialog{Key: "k", Trunk: "sbc1", CallID: "c", Local: "sip:a@b", LocalTag: "l", Remote: "sip:x@y", RemoteTag: "r", Target: "sip:x@127.0.0.1", Since: time.Now()}
	w.Keep("k", d)
	w.agent.Restore([]SavedDialog{d})
	time.Sleep(20 * time.Millisecond)
	w.sbc("sbc1").bye()
}

// restored makes 1002 a phone of a restored binding, that registered so long ago and has no connection.
func (w *world) restored(ago time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bindings["u1002"] = []registrar.Binding{{AOR: "u1002", Contact: registrar.Contact{URI: "sip:1002@127.0.0.1:1;transport=tls", Q: 1}, Registered: time.Now().Add(-ago)}}
}

func noTrunks(d *site.Document) { d.Trunks = []site.Trunk{} }

// TestCallToRestoredBindingEnds: nobody waits for the phone for ever.
func TestCallToRestoredBindingEnds(t *testing.T) {
	p := patient()
	p.phone = 300 * time.Millisecond
	w := newWorldAt(t, p, noTrunks)
	a := w.phone("1001")
	w.restored(time.Minute)
	began := time.Now()
	a.call("1002").wait(480)
	if waited := time.Since(began); waited < p.phone {
		t.Errorf("waited %v", waited)
	}
	w.ended()
}

// TestCallToRestoredBinding waits for the phone, but not for phones that only lost their connection.
func TestCallToRestoredBinding(t *testing.T) {
	w := newWorld(t, noTrunks)
	a := w.phone("1001")
	w.restored(time.Minute)
	o := a.call("1002")
	cancelled := a.call("1002")
	w.until(func() bool { w.agent.mu.Lock(); defer w.agent.mu.Unlock(); return len(w.agent.waits["u1002"]) == 2 })
	cancelled.wait(100)
	cancelled.tx.Cancel()
	cancelled.wait(487)
	w.ended()
	w.mu.Lock()
	w.bindings["u1002"] = nil
	w.mu.Unlock()
	b := w.phone("1002")
	w.agent.PhoneBack("u1002")
	b.answer(b.incoming(sip.INVITE))
	o.up(nil)
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()

	w.restored(0)
	a.call("1002").wait(480) // at once: that it waits would be longer than this test does
	w.ended()
}
