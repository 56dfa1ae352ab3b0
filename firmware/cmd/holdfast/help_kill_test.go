package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/raw"
	"holdfast/firmware/lab/ua"
)

// helpScene is an emergency call in the hands of the test.
type helpScene struct {
	t      *testing.T
	b      *branch.Branch
	box    *control.Client
	caller *desk
	call   *raw.Dialog
	psap   *ua.Call
}

// record is the newest record of an emergency call.
func (s *helpScene) record() emergency.Emergency {
	s.t.Helper()
	return s.until("a record", func(emergency.Emergency) bool { return true })
}

// until waits for something about the newest record.
func (s *helpScene) until(what string, ok func(emergency.Emergency) bool) emergency.Emergency {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		list, err := s.box.EmergencyLog(s.t.Context(), 1)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(list) == 1 && ok(list[0]) {
			return list[0]
		}
		if time.Now().After(end) {
			text, _ := json.Marshal(list)
			s.t.Fatalf("in vain: %s; the record is %s", what, text)
		}
	}
}

func has(kind emergency.Kind, how string) func(emergency.Emergency) bool {
	return func(e emergency.Emergency) bool {
		return slices.ContainsFunc(e.Steps, func(s emergency.Step) bool { return s.Kind == kind && s.How == how })
	}
}

func (s *helpScene) ctx() context.Context {
	ctx, done := context.WithTimeout(s.t.Context(), patience)
	s.t.Cleanup(done)
	return ctx
}

// fetch takes the call at the PSAP.
func (s *helpScene) fetch() {
	s.t.Helper()
	for ctx := s.ctx(); ; {
		c, err := s.b.SBC.Fetch(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if c.Invite().Recipient.User == branch.Emergency { // else it is the security desk's number
			s.psap = c
			return
		}
	}
}

func (s *helpScene) ack() {
	s.caller.peer.Write(s.call.Ack(&raw.Message{Start: "SIP/2.0 200 OK", Headers: []raw.Header{{Name: "To", Value: s.call.To}}}, nil))
}

// TestKilledDuringHelp kills the real program with SIGKILL at each step of an emergency call. In its next life the record is
// there, and the pin wherever a number was shown; the front desk rings until somebody acknowledges; a call that was up is
// re-invited on both sides and goes on; one that was not is cancelled at the PSAP, and the security desk rings.
func TestKilledDuringHelp(t *testing.T) {
	b := cutOff(t)
	box := control.NewClient(filepath.Join(b.Dir, "run", "holdfast.sock"))
	witness := newDesk(t, b, "1006", 206)
	front := newDesk(t, b, branch.FrontDesk, 202)
	front.come()
	n := byte(210)
	for _, step := range []struct {
		name    string
		until   func(*helpScene) // where the kill falls
		up      bool             // the call is taken up again
		either  bool             // or not: that depends on who is quicker, and the record says which
		pinned  bool
		ringing bool // the PSAP lets it ring
	}{
		{name: "the caller's INVITE is written", until: func(s *helpScene) {}, ringing: true},
		{name: "the record is begun", until: func(s *helpScene) { s.until("a record", func(e emergency.Emergency) bool { return e.Open() }) }, ringing: true},
		{name: "the INVITE is at the PSAP", until: func(s *helpScene) { s.fetch() }, pinned: true, ringing: true},
		{name: "it rings", until: func(s *helpScene) { s.fetch(); s.caller.progress(s.call, 180) }, pinned: true, ringing: true},
		{name: "the notice rings", until: func(s *helpScene) { s.fetch(); front.t = s.t; front.request("INVITE", "") }, pinned: true, ringing: true},
		{name: "the PSAP has answered", until: func(s *helpScene) { s.fetch(); s.psap.Wait(s.ctx()) }, pinned: true, either: true},
		{name: "the caller has its answer", until: func(s *helpScene) { s.fetch(); s.caller.progress(s.call, 200) }, pinned: true, up: true},
		{name: "the call is up", until: func(s *helpScene) {
			s.fetch()
			s.caller.progress(s.call, 200)
			s.ack()
			s.until("the answer", func(e emergency.Emergency) bool { return !e.Answered.IsZero() })
		}, pinned: true, up: true},
		{name: "a second kill while it is taken up", until: func(s *helpScene) {
			s.fetch()
			s.caller.progress(s.call, 200)
			s.ack()
			nextLife(s.t, s.b, witness) // the phone is not back yet
		}, pinned: true, up: true},
		{name: "the caller has hung up", until: func(s *helpScene) {
			s.fetch()
			s.caller.progress(s.call, 200)
			s.ack()
			s.caller.peer.Write(s.call.Request("BYE", nil))
			s.until("the end", func(e emergency.Emergency) bool { return !e.Open() })
		}, pinned: true},
	} {
		t.Run(step.name, func(t *testing.T) {
			front.t = t
			front.come()
			if n++; n == 255 {
				t.Fatal("no more addresses")
			}
			s := &helpScene{t: t, b: b, box: box, caller: newDesk(t, b, "1005", int(n))}
			b.SBC.Behave(branch.Emergency, ua.Behaviour{RingFor: 10 * time.Millisecond, Never: step.ringing})
			for len(b.SBC.Incoming()) > 0 {
				<-b.SBC.Incoming()
			}
			before, err := box.EmergencyLog(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			s.caller.come()
			s.call = s.caller.dial(branch.Emergency)
			step.until(s)
			b.Box.Kill()
			if err := b.Box.Start(); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(patience); witness.connect() != nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the box does not come back")
				}
			}
			after, err := box.EmergencyLog(t.Context(), 1000)
			for end := time.Now().Add(patience); err != nil; after, err = box.EmergencyLog(t.Context(), 1000) { // its socket opens last
				if time.Now().After(end) {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			if step.name == "the caller's INVITE is written" && len(after) == len(before) {
				return // the kill was quicker than the box: then there was no call
			}
			if len(after) != len(before)+1 {
				t.Fatalf("%d records, were %d", len(after), len(before))
			}
			id := after[len(after)-1].ID
			s.pin(step.pinned)
			over := step.name == "the caller has hung up"
			switch {
			case over:
			case step.up, step.either && has(emergency.Restart, "taken up again")(after[len(after)-1]):
				s.goesOn()
			default:
				s.wasCut()
			}
			// The notice is there until somebody acknowledges.
			front.come()
			front.request("INVITE", "")
			if msg, err := box.Acknowledge(t.Context(), control.AckOrder{By: "Maria", How: emergency.ByCommand}); err != nil {
				t.Errorf("%s, %v", msg, err)
			}
			if e := s.record(); e.ID != id || e.Acknowledged == nil {
				t.Errorf("%+v", e)
			}
		})
	}
}

// pin checks that the number shown leads to the caller.
func (s *helpScene) pin(want bool) {
	s.t.Helper()
	pins, err := s.box.Pins(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	found := slices.ContainsFunc(pins, func(p control.Pin) bool { return p.ELIN == branch.ELIN && strings.Contains(p.Caller, "1005") })
	if want && !found {
		s.t.Errorf("no pin: %+v", pins)
	}
}

// goesOn: both sides are re-invited in their dialogs, with new media, and hear each other; a BYE ends it.
func (s *helpScene) goesOn() {
	s.t.Helper()
	s.until("the program says what it does", has(emergency.Restart, "taken up again"))
	s.caller.come()
	again := s.caller.request("INVITE", s.call.CallID)
	if raw.Param(again.Get("To"), "tag") != raw.Param(s.call.From, "tag") {
		s.t.Errorf("re-INVITE in another dialog:\n%s", again.Text())
	}
	body := s.caller.sdp()
	if _, rest, ok := strings.Cut(string(again.Body), "a=crypto:"); ok {
		tag, _, _ := strings.Cut(rest, " ")
		body = bytes.Replace(body, []byte("a=crypto:1 "), []byte("a=crypto:"+tag+" "), 1)
	}
	s.caller.peer.Write(again.Reply(200, "OK", "", body, "Contact: "+s.caller.contact()))
	s.caller.request("ACK", s.call.CallID)
	s.until("both parties are connected", func(e emergency.Emergency) bool {
		return slices.ContainsFunc(e.Steps, func(x emergency.Step) bool { return strings.Contains(x.Text, "connected again") })
	})
	if e := s.record(); !e.Open() {
		s.t.Errorf("%+v", e)
	}
	if by := s.psap.EndedBy(); by != "" {
		s.t.Fatalf("the PSAP's call ended: %s", by)
	}
	s.call.Peer, s.call.Seq, s.call.To = s.caller.peer, 100, again.Get("From")
	s.caller.peer.Write(s.call.Request("BYE", nil))
	if err := s.psap.WaitEnd(s.ctx()); err != nil || s.psap.EndedBy() != "peer" {
		s.t.Errorf("%v, ended by %q", err, s.psap.EndedBy())
	}
	s.until("the end", func(e emergency.Emergency) bool { return !e.Open() && e.EndCause == "hangup" })
}

// wasCut: nothing is left at the PSAP, and people are told.
func (s *helpScene) wasCut() {
	s.t.Helper()
	e := s.until("the end", func(e emergency.Emergency) bool { return !e.Open() && has(emergency.Restart, "")(e) })
	if s.psap != nil {
		if err := s.psap.WaitEnd(s.ctx()); err != nil {
			s.t.Error(err)
		}
	}
	if !has(emergency.Recognised, "")(e) {
		s.t.Errorf("%+v", e)
	}
	s.until("the security desk", func(e emergency.Emergency) bool { return has(emergency.Desk, "")(e) })
}
