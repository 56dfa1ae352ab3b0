package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/ua"
	"holdfast/sip/site"
)

// TestDocumentDuringHelp: a new document takes the trunk away under an emergency call, and the caller's user. The PSAP's side and
// the caller's still hear each other hang up.
func TestDocumentDuringHelp(t *testing.T) {
	b := cutOff(t)
	s := &helpScene{t: t, b: b, box: control.NewClient(filepath.Join(b.Dir, "run", "holdfast.sock"))}
	b.SBC.Behave(branch.Emergency, ua.Behaviour{RingFor: 10 * time.Millisecond})
	s.caller = newDesk(t, b, "1005", 210)
	s.caller.come()
	s.call = s.caller.dial(branch.Emergency)
	s.fetch()
	s.caller.progress(s.call, 200)
	s.ack()
	s.until("the answer", func(e emergency.Emergency) bool { return !e.Answered.IsZero() })
	drop := func(d *site.Document) {
		d.Trunks = slices.DeleteFunc(d.Trunks, func(t site.Trunk) bool { return t.ID == "sbc" })
		d.Emergency.ELINs = slices.DeleteFunc(d.Emergency.ELINs, func(e site.ELIN) bool { return e.Trunk == "sbc" })
		d.Users = slices.DeleteFunc(d.Users, func(u site.User) bool { return u.Extension == "1005" })
	}
	if err := rewrite(filepath.Join(b.Dir, "site.json"), drop); err != nil {
		t.Fatal(err)
	}
	if msg, err := s.box.Fetch(t.Context(), true); err != nil {
		t.Fatal(msg, err)
	}
	if st, err := s.box.Status(t.Context()); err != nil || len(st.Trunks) != 1 {
		t.Fatalf("the document is not in force: %v, %+v", err, st.Trunks)
	}
	ctx, done := context.WithTimeout(t.Context(), patience)
	defer done()
	if err := s.psap.HangUp(ctx); err != nil {
		t.Errorf("the PSAP's BYE: %v", err)
	}
	s.caller.request("BYE", s.call.CallID)
	s.until("the end", func(e emergency.Emergency) bool { return !e.Open() && e.EndCause == "hangup" })
}

// rewrite changes a site document, which becomes a newer one.
func rewrite(file string, change func(*site.Document)) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var doc site.Document
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	doc.Serial++
	change(&doc)
	if data, err = json.Marshal(doc); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
