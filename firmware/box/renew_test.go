package box

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"holdfast/firmware/lab/raw"
	"holdfast/sip/b2bua"
	"holdfast/sip/site"
)

// TestHelpOverANewConnection: the connection to the only SBC is dead and nobody has noticed: it swallows the INVITE of a call for help.
// The PSAP gets it over a new one, the security desk does not ring, and the caller only waits a moment longer.
func TestHelpOverANewConnection(t *testing.T) {
	r := newRig(t, rigOptions{net: loopback{}, users: 2, patience: 1500 * time.Millisecond, change: func(d *site.Document) {
		d.Trunks[0].OptionsInterval = 3600 // the keepalive does not find out
		d.Emergency.ELINs = []site.ELIN{{Trunk: "sbc", Number: "+12175550911"}}
		d.Emergency.Security = []string{extension(1), "+13125550199"}
	}})
	calls := make(chan event, 100)
	r.sbc.line("911", calls)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stop := r.run()
	defer stop()
	eventually(t, "the trunk is up", func() bool { return r.trunks.Up("sbc") })
	a, desk := r.newEnd(extension(0), netip.MustParseAddr("127.0.96.1"), make(chan event, 100)), r.newEnd(extension(1), netip.MustParseAddr("127.0.96.2"), make(chan event, 100))
	for _, e := range []*end{a, desk} {
		if err := e.register(ctx); err != nil {
			t.Fatal(err)
		}
		defer e.drop()
	}
	dead := r.sbc.current()
	r.sbc.mu.Lock()
	r.sbc.deaf = map[*raw.Peer]bool{dead: true}
	r.sbc.mu.Unlock()

	answered := make(chan int, 1)
	go func() { answered <- a.talk(ctx, "911") }()
	for called := false; !called; {
		select {
		case ev := <-calls:
			if called = ev.m != nil && ev.m.Method() == "INVITE"; called {
				if ev.from == dead {
					t.Error("it came over the dead connection")
				}
				ev.at.settle(ev.m.Get("Call-ID"))
				ev.from.Write(ev.m.Reply(200, "OK", raw.Word(), answerSDP(ev.at, ev.m.Body, "sendrecv"), fmt.Sprintf("Contact: <sip:911@%s;transport=tls>", ev.from.Local())))
			}
		case <-ctx.Done():
			t.Fatal("the PSAP is not called")
		}
	}
	if status := <-answered; status != 200 {
		t.Errorf("the caller gets %d", status)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tried := 0
	for _, e := range r.help {
		switch e.Kind {
		case b2bua.InviteLeaves:
			tried++
		case b2bua.NoTrunk, b2bua.DeskRings:
			t.Errorf("%+v", e)
		}
	}
	if tried != 2 {
		t.Errorf("%d INVITEs", tried)
	}
}
