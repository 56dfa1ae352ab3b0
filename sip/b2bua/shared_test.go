package b2bua

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

func TestSharedKeys(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b, caller, callee := shared(t, w)
	_, legs := w.media.last()
	if x, y := legs[0].stream, legs[1].stream; !bytes.Equal(x.Send.Key, y.Recv.Key) || !bytes.Equal(y.Send.Key, x.Recv.Key) ||
		!bytes.Equal(x.Recv.Key, a.key.Key) || !bytes.Equal(y.Recv.Key, b.key.Key) {
		t.Errorf("caller's leg %+v, callee's %+v", x, y)
	}
	// A refresh that repeats everything changes nothing, and is nobody else's business.
	caller.within(sip.INVITE, a.repeats(sdp.SendRecv, nil)).wait(200)
	caller.ackChange()
	callee.within(sip.UPDATE, nil).wait(200)
	w.sharing(true, true)
	callee.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
}

// TestSharedKeysOtherSuite: the phone that is called is offered the box's other suites besides, and may take one.
func TestSharedKeysOtherSuite(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b := w.owner("1001"), w.owner("1002")
	b.key, _ = sdp.NewKey(sdp.AES256GCM, rand.Reader)
	caller := a.calls("1002")
	callee, offered := b.accepts(b.incoming(sip.INVITE))
	if len(offered.Crypto) != len(sdp.DefaultSuites()) || !sameKey(offered.Crypto[0], a.key) {
		t.Errorf("offered %v", offered.Crypto)
	}
	a.fresh(described(t, caller.up(nil)), b)
	w.sharing(false, false)
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestKeysAreNotShared: whatever is more than a plain call between two phones gets keys of the box's own.
func TestKeysAreNotShared(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*site.Document)
		do     func(w *world, a *owner) (*outgoing, *sdp.Description) // makes the call, tells what the callee was offered
	}{
		"switched off": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			w.agent.o.SharedKeys = false
			b := w.owner("1002")
			o := a.calls("1002")
			_, d := b.accepts(b.incoming(sip.INVITE))
			return o, d
		}},
		"two phones ring": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			b, other := w.owner("1002"), w.owner("1002")
			o := a.calls("1002")
			in := other.incoming(sip.INVITE)
			in.Reply(180, "Ringing")
			other.fresh(described(w.t, in.Request()), a)
			_, d := b.accepts(b.incoming(sip.INVITE))
			other.cancelled().Reply(487, "Request Terminated")
			return o, d
		}},
		"the second target": {func(d *site.Document) { d.Users[1].Forward.Busy = "1003" }, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			b, x := w.owner("1002"), w.owner("1003")
			o := a.calls("1002")
			in := b.incoming(sip.INVITE)
			if !sameKey(described(w.t, in.Request()).Crypto[0], a.key) {
				w.t.Error("the first one was not offered the caller's key")
			}
			in.Reply(486, "Busy Here")
			_, d := x.accepts(x.incoming(sip.INVITE))
			return o, d
		}},
		"towards a trunk": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			x := own(w.sbc("sbc1"))
			o := a.calls("912175550142")
			_, d := x.accepts(x.incoming(sip.INVITE))
			return o, d
		}},
		"emergency": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			x := own(w.sbc("sbc1"))
			o := a.calls("911")
			_, d := x.accepts(x.incoming(sip.INVITE))
			return o, d
		}},
		"from a trunk": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			x, b := own(w.sbc("sbc1")), w.owner("1002")
			a.key = x.key
			o := x.send(x.request(sip.INVITE, "+13125550177", "+12175551002", x.says(sdp.SendRecv, nil)))
			_, d := b.accepts(b.incoming(sip.INVITE))
			return o, d
		}},
		"a key with an MKI": {nil, func(w *world, a *owner) (*outgoing, *sdp.Description) {
			b := w.owner("1002")
			a.key.MKI = []byte{1}
			o := a.calls("1002")
			_, d := b.accepts(b.incoming(sip.INVITE))
			return o, d
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sharingWorld(t, tt.change)
			a := w.owner("1001")
			o, offered := tt.do(w, a)
			a.fresh(offered)
			o.up(nil)
			o.within(sip.UPDATE, nil).wait(200)
			w.sharing(false, false)
			o.within(sip.BYE, nil).wait(200)
			w.ended()
		})
	}
}

// TestSharedKeysWithAnMKI: the phone that was called names its key in each packet, which the caller could not be told: that direction is
// sealed anew. The other is not.
func TestSharedKeysWithAnMKI(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b := w.owner("1001"), w.owner("1002")
	b.key.MKI = []byte{7}
	caller := a.calls("1002")
	callee, _ := b.accepts(b.incoming(sip.INVITE))
	a.fresh(described(t, caller.up(nil)), b)
	w.sharing(false, true)
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestSharedKeysOtherNumbers: what one sends would mean nothing to the other. The phone, which has only the caller's key, gets another.
func TestSharedKeysOtherNumbers(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		w := sharingWorld(t, nil)
		a, b := w.owner("1001"), w.owner("1002")
		caller := a.calls("1002")
		ev := ev8
		ev.Type = 97
		callee, _ := b.accepts(b.incoming(sip.INVITE), pcmu, ev)
		a.fresh(described(t, caller.up(nil)), b)
		if refuses {
			b.incoming(sip.INVITE).Reply(488, "Not Acceptable Here")
			a.bye() // better than a phone that hears nothing
			callee.u.bye()
			if r := w.ended(); r.Cause != causeNoKey {
				t.Errorf("cause %q", r.Cause)
			}
			continue
		}
		_, d := b.accepts(b.incoming(sip.INVITE), pcmu, ev)
		b.fresh(d, a)
		w.sharing(false, false)
		caller.within(sip.BYE, nil).wait(200)
		callee.u.bye()
		w.ended()
	}
}

// TestSharedKeysHold: the hold brings both phones keys of the box's own, and then there is music.
func TestSharedKeysHold(t *testing.T) {
	for _, by := range []string{"caller", "callee"} {
		t.Run(by, func(t *testing.T) {
			w := sharingWorld(t, nil)
			a, b, caller, callee := shared(t, w)
			holds, held, dlg, music := a, b, caller, 1
			if by == "callee" {
				holds, held, dlg, music = b, a, callee, 0
			}
			change := dlg.within(sip.INVITE, holds.says(sdp.SendOnly, nil))
			held.rekeyed(holds)
			holds.fresh(described(t, change.wait(200)), held)
			dlg.ackChange()
			w.sharing(false, false)
			change = dlg.within(sip.INVITE, holds.says(sdp.Inactive, nil))
			held.rekeyed(holds)
			change.wait(200)
			dlg.ackChange()
			if _, legs := w.media.last(); !slices.Contains(legs[music].plays, HoldMusic) {
				t.Errorf("heard %v", legs[music].plays)
			}
			caller.within(sip.BYE, nil).wait(200)
			b.bye()
			w.ended()
		})
	}
}

// TestSharedKeysChange: a phone that changes its key, or asks for an offer: the other one learns of it.
func TestSharedKeysChange(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b, caller, callee := shared(t, w)
	a.key, _ = sdp.NewKey(sdp.AES128SHA80, rand.Reader)
	change := caller.within(sip.INVITE, a.says(sdp.SendRecv, nil))
	b.rekeyed(a)
	a.fresh(described(t, change.wait(200)), b)
	caller.ackChange()
	w.sharing(false, false)
	callee.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()

	w = sharingWorld(t, nil)
	a, b, caller, _ = shared(t, w)
	change = caller.within(sip.INVITE, nil)
	d := described(t, change.wait(200))
	a.fresh(d, b)
	a.key, _ = sdp.NewKey(sdp.AES128SHA80, rand.Reader)
	ack := caller.dlg.numbered(sip.ACK, caller.dlg.localSeq, a.conn)
	setSDP(ack, a.says(sdp.SendRecv, d))
	a.conn.Write(ack)
	b.rekeyed(a)
	w.sharing(false, false)
	caller.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}

// TestSharedKeysTransfer: blind, attended, and by a transferor that leaves first.
func TestSharedKeysTransfer(t *testing.T) {
	t.Run("blind", func(t *testing.T) {
		w := sharingWorld(t, nil)
		a, b, caller, callee := shared(t, w)
		x := w.owner("1003")
		caller.refer("sip:1003@lsp.test").wait(202)
		in := x.incoming(sip.INVITE)
		w.sharing(true, true, false)
		_, d := x.accepts(in)
		x.fresh(d, a, b)
		b.rekeyed(a, x)
		a.story(true)
		w.sharing(false, false)
		callee.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
	t.Run("attended", func(t *testing.T) {
		w := sharingWorld(t, nil)
		a, b, caller, callee := shared(t, w)
		x := w.owner("1003")
		second := a.calls("1003")
		third, offered := x.accepts(x.incoming(sip.INVITE))
		second.up(nil)
		second.within(sip.UPDATE, nil).wait(200)
		if !sameKey(offered.Crypto[0], a.key) {
			t.Error("the second call is as plain as the first")
		}
		caller.refer("<sip:1003@lsp.test?Replaces=" + replacesOf(second, true) + ">").wait(202)
		x.rekeyed(a, b)
		b.rekeyed(a, x)
		a.gone(2)
		w.ended()
		w.linkedLegs(false, false)
		callee.within(sip.BYE, nil).wait(200)
		third.u.bye()
		w.ended()
	})
	t.Run("transferor leaves", func(t *testing.T) {
		w := sharingWorld(t, nil)
		a, b, caller, callee := shared(t, w)
		x := w.owner("1003")
		caller.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
		in := x.incoming(sip.INVITE)
		caller.within(sip.BYE, nil).wait(200)
		b.rekeyed(a)
		w.hears(1, RingBack)
		x.accepts(in)
		b.rekeyed(a, x)
		callee.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
}

// TestSharedKeysPark: the parked party hears music as soon as it has a key for that.
func TestSharedKeysPark(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b, caller, callee := shared(t, w)
	x := w.owner("1003")
	caller.refer("sip:*57@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	a.bye()
	b.rekeyed(a)
	w.hears(1, HoldMusic)
	fetch := x.calls("*57")
	b.rekeyed(a, x)
	x.fresh(described(t, fetch.up(nil)), a, b)
	w.sharing(false, false)
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestSharedKeysTaken: the same user's other phone takes the call over.
func TestSharedKeysTaken(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b, caller, callee := shared(t, w)
	x := w.owner("1001")
	req := x.request(sip.INVITE, "1001", "1002", x.says(sdp.SendRecv, nil))
	req.AppendHeader(sip.NewHeader("Replaces", caller.dlg.callID+";to-tag="+caller.dlg.remote.tag+";from-tag="+caller.dlg.local.tag))
	takes := x.send(req)
	b.rekeyed(a, x)
	x.fresh(described(t, takes.up(nil)), a, b)
	a.bye()
	w.sharing(false, false)
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestSharedKeysEarly: the exchange is complete with early media; when another takes the call the caller has a new answer.
func TestSharedKeysEarly(t *testing.T) {
	early := func(w *world) (a, b *owner, caller *outgoing, in *stack.ServerTx) {
		a, b = w.owner("1001"), w.owner("1002")
		caller = a.calls("1002")
		in = b.incoming(sip.INVITE)
		res := in.Response(183, "Session Progress")
		setSDP(res, b.says(sdp.SendRecv, described(w.t, in.Request())))
		in.Respond(res)
		if d := described(w.t, caller.wait(183)); !sameKey(d.Crypto[0], b.key) {
			w.t.Error("the caller has another key than the phone's")
		}
		w.sharing(true, true)
		return a, b, caller, in
	}
	t.Run("answered", func(t *testing.T) {
		w := sharingWorld(t, nil)
		_, b, caller, in := early(w)
		res := in.Response(200, "OK")
		setSDP(res, b.repeats(sdp.SendRecv, described(t, in.Request())))
		in.Respond(res)
		b.acked()
		if d := described(t, caller.up(nil)); !sameKey(d.Crypto[0], b.key) {
			t.Error("the caller has another key than the phone's")
		}
		caller.within(sip.UPDATE, nil).wait(200)
		w.sharing(true, true)
		caller.within(sip.BYE, nil).wait(200)
		b.bye()
		w.ended()
	})
	t.Run("picked up", func(t *testing.T) {
		w := sharingWorld(t, nil)
		a, b, caller, in := early(w)
		x := w.owner("1003")
		pick := x.calls("*81002")
		b.cancelled()
		in.Reply(487, "Request Terminated")
		x.fresh(described(t, pick.up(nil)), a, b)
		a.fresh(described(t, caller.up(nil)), x, b)
		caller.within(sip.UPDATE, nil).wait(200)
		w.sharing(false, false)
		caller.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
	t.Run("refused", func(t *testing.T) {
		w := sharingWorld(t, func(d *site.Document) { d.Users[1].Forward.Busy = "1003" })
		x := w.owner("1003")
		a, b, caller, in := early(w)
		in.Reply(486, "Busy Here")
		_, d := x.accepts(x.incoming(sip.INVITE))
		x.fresh(d, a, b)
		a.fresh(described(t, caller.up(nil)), x, b)
		w.sharing(false, false)
		caller.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
}

// TestSharedKeysAway: the phone that is held is away for a moment; music begins when it is back.
func TestSharedKeysAway(t *testing.T) {
	w := sharingWorld(t, nil)
	a, b, caller, callee := shared(t, w)
	b.conn.Close()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		if l := w.agent.find(callee.dlg.callID, callee.dlg.remote.tag); l != nil && l.conn.Closed() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the box does not notice")
		}
	}
	change := caller.within(sip.INVITE, a.says(sdp.SendOnly, nil))
	a.fresh(described(t, change.wait(200)), b)
	caller.ackChange()
	w.sharing(false, true)
	w.mu.Lock()
	w.bindings["u1002"] = []registrar.Binding{}
	w.mu.Unlock()
	back := &owner{ua: w.phone("1002"), key: b.key, version: b.version}
	back.rekeyed(a)
	w.hears(1, HoldMusic)
	w.sharing(false, false)
	caller.within(sip.BYE, nil).wait(200)
	back.bye()
	w.ended()
}
