package box

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/sip/b2bua"
	"holdfast/sip/elin"
	"holdfast/sip/site"
)

func TestPinsSurvive(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	p := openPins(dir, log)
	now := time.Now()
	at := elin.Place{Trunk: "sbc-a", ELINs: []string{"+12175559000"}, Main: "+12175551000"}
	p.table.Pin(now, at, elin.Caller{User: "u204", Number: "2204", Display: "Guest", CallID: "c1"})
	p.table.Pin(now, elin.Place{Trunk: "sbc-b", Main: "+12175551000"}, elin.Caller{Source: "10.0.0.71", CallID: "c2", Test: true})
	p.save()
	if err := os.WriteFile(filepath.Join(dir, "pins.new"), []byte("torn"), 0o600); err != nil { // killed in the next save
		t.Fatal(err)
	}
	again := openPins(dir, log)
	got := map[string]string{}
	for _, x := range again.list() {
		got[x.ELIN] = x.Caller
		if !x.Running {
			t.Errorf("%+v", x)
		}
	}
	if got["+12175559000"] != "Guest, 2204" || got["+12175551000"] != "unknown phone at 10.0.0.71" || len(got) != 2 {
		t.Errorf("%v", got)
	}
	again.table.Reconcile(now, func(string) bool { return false })
	again.save()
	if list := openPins(dir, log).list(); len(list) != 2 || list[0].Running || list[0].Expires.Sub(now) < elin.Window-time.Minute {
		t.Errorf("%+v", list)
	}
	if err := os.WriteFile(filepath.Join(dir, "pins"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if list := openPins(dir, log).list(); list == nil || len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestEmergencySteps: what a call says of itself is what its record says; a step of a call that nobody began is no harm.
func TestEmergencySteps(t *testing.T) {
	b, stop := emergencyBox(t, t.TempDir(), nil)
	defer stop()
	at := time.Now().UTC().Round(0)
	alice, _ := b.site.Load().UserByID("alice")
	for _, e := range []b2bua.EmergencyEvent{
		{Call: "c1", Kind: b2bua.Recognised, At: at, Facts: &b2bua.EmergencyFacts{Dialled: "9911", Number: "911", User: alice, Device: "d", Source: "10.0.0.71",
			Place: site.Place{Zone: &site.Zone{ID: "z", Name: "Second floor"}}}},
		{Call: "c1", Kind: b2bua.InviteLeaves, At: at, Trunk: "sbc-a", ELIN: "+12175559000", Address: "100 Main St"},
		{Call: "c1", Kind: b2bua.TrunkFailed, At: at, Trunk: "sbc-a", Status: 503},
		{Call: "c1", Kind: b2bua.CallAnswered, At: at, Trunk: "sbc-b"},
		{Call: "c1", Kind: b2bua.CallEnded, At: at, Text: "hangup", How: "caller"},
		{Call: "c1", Kind: b2bua.CallbackBegan, At: at, ELIN: "+12175559000"},
		{Call: "gone", Kind: b2bua.CallbackBegan, At: at},
	} {
		b.emergencyStep(e)
	}
	e, ok := b.journal.Get("c1")
	if !ok || e.Caller != (emergency.Caller{User: "alice", Name: "Alice", Number: "1001", Device: "d", Source: "10.0.0.71"}) || e.Place != "Second floor" ||
		e.Address != "100 Main St" || e.ELIN != "+12175559000" || e.Trunk != "sbc-b" || !e.Answered.Equal(at) || e.EndCause != "hangup" || e.Callbacks != 1 {
		t.Errorf("%+v", e)
	}
	// The two packages name the steps alike.
	for ours, theirs := range map[emergency.Kind]b2bua.EmergencyKind{
		emergency.Recognised: b2bua.Recognised, emergency.Invite: b2bua.InviteLeaves, emergency.TrunkFailed: b2bua.TrunkFailed, emergency.NoTrunk: b2bua.NoTrunk,
		emergency.Desk: b2bua.DeskRings, emergency.Answered: b2bua.CallAnswered, emergency.Ended: b2bua.CallEnded, emergency.Callback: b2bua.CallbackBegan,
		emergency.CallbackAnswered: b2bua.CallbackAnswered, emergency.CallbackEnded: b2bua.CallbackEnded, emergency.Alarm: b2bua.AlarmRaised,
	} {
		if string(ours) != string(theirs) {
			t.Errorf("%s is %s", ours, theirs)
		}
	}
}

// TestPinsAreSavedTogether: whoever waited for a save finds its pin in the copy, however many came at once.
func TestPinsAreSavedTogether(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	p := openPins(dir, log)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			id := fmt.Sprint("c", i)
			p.table.Pin(time.Now(), elin.Place{Trunk: "t", ELINs: []string{"+12175559000"}}, elin.Caller{User: id, CallID: id})
			p.save()
			data, err := os.ReadFile(filepath.Join(dir, "pins"))
			if err != nil || !strings.Contains(string(data), `"`+id+`"`) {
				t.Errorf("%s is not in the copy: %v", id, err)
			}
		})
	}
	all.Wait()
	if n := len(openPins(dir, log).list()); n != 50 {
		t.Errorf("%d pins", n)
	}
}
