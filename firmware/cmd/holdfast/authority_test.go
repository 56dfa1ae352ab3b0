package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/firmware/certs"
	"holdfast/firmware/control"
	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// The SBC's authority changes while a call runs over the trunk: the call goes on, a wrong authority is told at once and keeps new
// connections out, the right one lets them in again; by the program's own order and by a file that is replaced on the card.
func TestSBCsAuthorityWhileACallRuns(t *testing.T) {
	b := startBranch(t)
	ctx, done := context.WithTimeout(t.Context(), 4*patience)
	defer done()
	if err := b.CutCloud(); err != nil {
		t.Fatal(err)
	}
	serves(t, b)
	who := b.Person("1001")
	eventually(t, "the phone is here", func() bool { return who.Phone.Conn() != nil })
	var call *ua.Call
	eventually(t, "a call over the trunk", func() bool {
		var err error
		if call, err = who.Phone.Dial(branch.DialledOut, ua.DialOptions{}); err == nil {
			err = call.Wait(ctx)
		}
		return err == nil
	})
	far, err := b.SBC.Fetch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	talks := func(when string) {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Logf("%s: the phone hears %+v, the SBC %+v", when, call.Media().Heard(), far.Media().Heard())
			}
		}()
		for name, side := range map[string]*ua.Call{"the phone": call, "the SBC": far} {
			side.Media().Listen()
			eventually(t, when+": "+name+" hears", func() bool { h := side.Media().Heard(); return h.Packets > 25 && h.Failed == 0 })
		}
		select {
		case <-call.Ended():
			t.Fatalf("%s: the call has ended: %s", when, call.EndedBy())
		default:
		}
	}
	talks("before")

	client := control.NewClient(filepath.Join(b.Box.RunDir, control.SocketName))
	roots := filepath.Join(b.Dir, "roots.crt")
	right, err := os.ReadFile(roots)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ca.New("Another customer")
	if err != nil {
		t.Fatal(err)
	}
	wrongFile := filepath.Join(t.TempDir(), "wrong")
	if err := stranger.WriteRoots(wrongFile); err != nil {
		t.Fatal(err)
	}
	wrong, err := os.ReadFile(wrongFile)
	if err != nil {
		t.Fatal(err)
	}
	trunkIs := func(up bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("trunk up: %t", up), func() bool {
			s, err := client.Status(ctx)
			return err == nil && s.Trunks[0].Up == up && (up || strings.Contains(s.Trunks[0].Error, "unknown authority"))
		})
	}
	install := func(data []byte) string {
		t.Helper()
		msg, err := client.InstallCertificate(ctx, control.CertificateFile{Use: certs.SBC, PEM: string(data)})
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}

	if msg := install(wrong); !strings.Contains(msg, "must come from CN=Another customer") || !strings.Contains(msg, "But: a new connection to trunk ") || !strings.Contains(msg, "unknown authority") {
		t.Errorf("a wrong authority: %s", msg)
	}
	talks("with a wrong authority")
	trunkIs(true) // by the connection that is open
	if msg := install(right); strings.Contains(msg, "But: ") {
		t.Errorf("the right authority: %s", msg)
	}
	talks("with the right one again")

	// By hand, and then the SBC connects anew.
	if err := os.WriteFile(roots, wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file of the card", func() bool {
		list, err := client.Certificates(ctx)
		return err == nil && len(list) == 3 && list[2].Use == certs.SBC && list[2].Subject == "CN=Another customer"
	})
	talks("with the file of the card")
	if err := errors.Join(call.HangUp(ctx), far.WaitEnd(ctx)); err != nil {
		t.Error(err)
	}
	b.SBC.Cut()
	if err := b.SBC.Mend(); err != nil {
		t.Fatal(err)
	}
	trunkIs(false)
	// A file that is torn leaves what is in force, and is an alarm.
	if err := os.WriteFile(roots, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the alarm", func() bool {
		s, err := client.Status(ctx)
		return err == nil && strings.Contains(strings.Join(s.Alarms, "\n"), "certificates on the card cannot be used")
	})
	install(right)
	trunkIs(true)
	var notes script.Notes
	if err := demo.TalkOut(ctx, &notes, b, "1001"); err != nil {
		t.Error(err)
	}
	if s, err := client.Status(ctx); err != nil || strings.Contains(strings.Join(s.Alarms, "\n"), "on the card cannot be used") {
		t.Errorf("the alarm stays: %v %q", err, s.Alarms)
	}
}
