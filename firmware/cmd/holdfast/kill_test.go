package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/raw"
	"holdfast/firmware/lab/ua"
	"holdfast/sip/site"
)

// startBranch runs a branch around the real program, which the test's binary is, until the test ends.
func startBranch(t *testing.T) *branch.Branch {
	t.Helper()
	t.Setenv(asProgram, "1")
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := branch.Start(t.TempDir(), binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			t.Logf("the box's last words:\n%s", b.Box.LastWords(60))
		}
	})
	return b
}

// cutOff is a branch without its cloud, whose phones are the test's.
func cutOff(t *testing.T) *branch.Branch {
	t.Helper()
	b := startBranch(t)
	b.SwitchOff()
	b.Box.Kill()
	// A registration shall not expire while a slow machine thinks.
	if err := errors.Join(patient(filepath.Join(b.Dir, "site.json")), b.CutCloud(), b.Box.Start()); err != nil {
		t.Fatal(err)
	}
	serves(t, b)
	return b
}

func patient(file string) error {
	return rewrite(file, func(d *site.Document) { d.Options.MaxExpires = 600 })
}

func serves(t *testing.T, b *branch.Branch) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 2*patience)
	defer done()
	if _, _, err := b.Box.WaitMode(ctx, "resilience"); err != nil {
		t.Fatal(err)
	}
}

// nextLife kills the box and starts it again, as its supervisor does, and waits until it takes connections.
func nextLife(t *testing.T, b *branch.Branch, witness *desk) {
	t.Helper()
	b.Box.Kill()
	began := time.Now()
	if err := b.Box.Start(); err != nil {
		t.Fatal(err)
	}
	for witness.connect() != nil {
		if time.Since(began) > patience {
			t.Fatalf("the box does not come back:\n%s", b.Box.LastWords(20))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("back %v after the kill", time.Since(began).Round(time.Millisecond))
	serves(t, b)
}

// TestKilled kills the real program during an outage, at several moments of calls: no registration is lost that was acknowledged,
// and nobody is left in a call that is none.
func TestKilled(t *testing.T) {
	b := cutOff(t)
	alice, bob, carol, dave := newDesk(t, b, "1001", 1), newDesk(t, b, "1002", 2), newDesk(t, b, "1003", 3), newDesk(t, b, "1004", 4)
	witness := newDesk(t, b, "1006", 6)
	all := []*desk{alice, bob, carol, dave}
	for _, d := range all {
		d.come()
	}
	// known fails for a phone of which the box knows nothing any more. Nobody has come back yet.
	known := func(t *testing.T) {
		t.Helper()
		for _, d := range all {
			away := *d
			away.inbox = make(chan *raw.Message, 1000)
			if err := away.connect(); err != nil {
				t.Fatal(err)
			}
			list, err := away.ask("")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(list, " "), d.instance) {
				t.Errorf("%s was registered, and is not any more: %q", d.person.Extension, list)
			}
			away.peer.Close()
		}
	}
	ended := func(t *testing.T, d *desk, c *raw.Dialog) {
		t.Helper()
		d.come()
		bye := d.request("BYE", c.CallID)
		if raw.Param(bye.Get("To"), "tag") != raw.Param(c.From, "tag") || raw.Param(bye.Get("From"), "tag") != raw.Param(c.To, "tag") {
			t.Errorf("%s got a BYE of another dialog: %s %s", d.person.Extension, bye.Get("From"), bye.Get("To"))
		}
	}

	step := func(name string, do func(*testing.T)) {
		if !t.Failed() { // each begins where the one before has ended
			t.Run(name, func(t *testing.T) {
				for _, d := range all {
					d.t = t
				}
				do(t)
			})
		}
	}

	step("calls are up", func(t *testing.T) {
		ca, cb := talk(alice, bob)
		cc := carol.dial(branch.DialledOut)
		carol.progress(cc, 200)
		outside, err := b.SBC.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		carol.peer.Write(cc.Ack(&raw.Message{Start: "SIP/2.0 200 OK", Headers: []raw.Header{{Name: "To", Value: cc.To}}}, nil))
		nextLife(t, b, witness)
		known(t)
		// The PSTN is told before any phone is back.
		for end := time.Now().Add(patience); !b.SBC.Heard("BYE", outside.ID()); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the trunk's call was not hung up")
			}
		}
		ended(t, alice, ca)
		ended(t, bob, cb)
		ended(t, carol, cc)
	})

	step("a call for a phone that is not back yet", func(t *testing.T) {
		nextLife(t, b, witness)
		ctx, done := context.WithTimeout(t.Context(), patience)
		defer done()
		call, err := b.SBC.CallIn(ctx, branch.PSTNCaller, dave.person.BYOC, ua.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for {
			if st, err := b.Box.Status(ctx); err == nil && st.Calls == 1 || ctx.Err() != nil {
				break // it is there, and waits
			}
		}
		dave.come()
		invite, cd := dave.ringing()
		dave.answer(invite, cd)
		if err := call.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		dave.request("ACK", cd.CallID)
		dave.peer.Write(cd.Request("BYE", nil))
		if err := call.WaitEnd(ctx); err != nil {
			t.Error(err)
		}
		for _, d := range all[:3] {
			d.come()
		}
	})

	step("a phone rings", func(t *testing.T) {
		alice.dial("1002")
		bob.ringing()
		nextLife(t, b, witness)
		known(t)
		alice.come()
		bob.come()
		ca, cb := talk(alice, bob) // nothing of the call before is in the way
		alice.peer.Write(ca.Request("BYE", nil))
		bob.request("BYE", cb.CallID)
	})

	step("the answer is on its way", func(t *testing.T) {
		ca := alice.dial("1002")
		invite, cb := bob.ringing()
		bob.answer(invite, cb)
		alice.progress(ca, 200)
		nextLife(t, b, witness) // before the caller's ACK
		known(t)
		ended(t, alice, ca)
		ended(t, bob, cb)
	})

	step("during a transfer", func(t *testing.T) {
		carol.come()
		ca, cb := talk(alice, bob)
		alice.peer.Write(ca.Request("REFER", nil, "Refer-To: <sip:1003@"+branch.Domain+">"))
		carol.ringing()
		nextLife(t, b, witness)
		known(t)
		ended(t, alice, ca)
		ended(t, bob, cb)
	})

	step("while phones register", func(t *testing.T) {
		for range 3 {
			// Each time a phone that nobody has seen before registers again and again; what was acknowledged last counts.
			n := 100 + rand.IntN(100)
			d := newDesk(t, b, "1005", n)
			acknowledged := make(chan bool, 1000)
			stopped := make(chan struct{})
			if err := d.connect(); err != nil {
				t.Fatal(err)
			}
			go func() {
				defer close(stopped)
				for {
					if _, err := d.ask(d.contact()); err != nil {
						return
					}
					acknowledged <- true
				}
			}()
			for range 1 + rand.IntN(5) {
				select {
				case <-acknowledged:
				case <-stopped:
					t.Fatal("a phone cannot register")
				}
			}
			b.Box.Kill()
			d.peer.Close()
			if err := b.Box.Start(); err != nil {
				t.Fatal(err)
			}
			serves(t, b)
			fresh := newDesk(t, b, "1005", 99)
			if err := fresh.connect(); err != nil {
				t.Fatal(err)
			}
			list, err := fresh.ask("")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(list, " "), d.instance) {
				t.Errorf("an acknowledged registration is lost: %q", list)
			}
			<-stopped
		}
	})
}
