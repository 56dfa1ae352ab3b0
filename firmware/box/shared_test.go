package box

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
	"holdfast/sip/stack"
)

// desk is a lab phone at the rig: other people's SIP and SRTP code.
type desk struct {
	*phone.Phone
	hz   float64
	call *ua.Call
}

func (r *rig) desk(ctx context.Context, n int, hz float64) *desk {
	r.t.Helper()
	cfg := phone.Config{
		Local: netip.AddrFrom4([4]byte{127, 0, 96, byte(1 + n)}), Roots: r.authority.Pool(), Timeout: 5 * time.Second,
		Servers:  []phone.Server{{Name: "box", Addr: r.stack.Addr(stack.Access), TLSName: "box.branch.example"}},
		Instance: "urn:uuid:00000000-0000-4000-8000-00000000" + extension(n), Probe: time.Minute,
		UA: ua.Config{User: extension(n), Domain: rigDomain, Password: rigSecret, UserAgent: "Lab phone",
			Voice: voice.Config{Codecs: []string{"pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}, Hz: hz}},
	}
	p := phone.New(cfg)
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	r.t.Cleanup(func() { <-done })
	r.until("the phone is registered", func() error {
		if p.Conn() == nil {
			return fmt.Errorf("%s is nowhere", extension(n))
		}
		return nil
	})
	return &desk{Phone: p, hz: hz}
}

// until waits for something to become true.
func (r *rig) until(what string, ok func() error) {
	r.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s: %v", what, err)
		}
	}
}

// hears waits until the phone hears the other's tone, for a second without a packet that is not authentic.
func (r *rig) hears(d, from *desk) {
	r.t.Helper()
	d.call.Media().Listen()
	r.until(d.User()+" hears "+from.User(), func() error {
		h := d.call.Media().Heard()
		if h.Failed > 0 { // from before the last change of keys, or worse: then it goes on
			d.call.Media().Listen()
		}
		if h.Failed > 0 || h.Packets < 60 || math.Abs(h.Hz-from.hz) > 10 || h.Share < 0.9 || h.Sources != 1 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
}

// named waits for a report that the phone hears, and says whether it carries a phone's own name: a report that the box makes does not.
func (r *rig) named(d *desk) (ofPhone bool) {
	r.t.Helper()
	d.call.Media().Listen()
	r.until(d.User()+" hears a report", func() error {
		h := d.call.Media().Heard()
		if len(h.CNAMEs) == 0 {
			return fmt.Errorf("%+v", h)
		}
		ofPhone = slices.ContainsFunc(h.CNAMEs, func(name string) bool { return strings.Contains(name, "127.0.96.") })
		return nil
	})
	return ofPhone
}

// TestSharedKeysEndToEnd: two phones of other people's make talk through the box, each with the other's key, until one holds the other:
// then the box has something to say, under keys of its own.
func TestSharedKeysEndToEnd(t *testing.T) {
	r := newRig(t, rigOptions{net: loopback{}, users: 3, shared: true})
	stop := r.run()
	defer stop()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	a, b := r.desk(ctx, 0, 400), r.desk(ctx, 1, 700)

	var err error
	if a.call, err = a.Dial(extension(1), ua.DialOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := a.call.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	b.call = <-b.Incoming()
	offered, err := voice.ParseDescription(b.call.Invite().Body())
	if err != nil {
		t.Fatal(err)
	}
	if key := a.call.Media().Keys()[0]; string(offered.Crypto[0].Key) != string(key) {
		t.Fatal("the phone was not offered the other's key")
	}
	r.hears(b, a)
	r.hears(a, b)
	if !r.named(a) || !r.named(b) {
		t.Error("the reports are not the phones' own")
	}
	a.call.Media().Listen()
	if err := b.call.Media().Dial("1#"); err != nil {
		t.Fatal(err)
	}
	r.until("digits", func() error {
		if h := a.call.Media().Heard(); h.Digits != "1#" {
			return fmt.Errorf("%q", h.Digits)
		}
		return nil
	})

	if err := a.call.Hold(ctx); err != nil {
		t.Fatal(err)
	}
	b.call.Media().Listen()
	r.until("music", func() error {
		h := b.call.Media().Heard()
		if h.Failed > 0 { // as in hears: one of the other phone's that was still on its way when the keys changed
			b.call.Media().Listen()
		}
		if h.Packets < 50 || h.Failed > 0 || math.Abs(h.Hz-a.hz) < 10 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	})
	if err := a.call.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	r.hears(b, a)
	r.hears(a, b)
	if r.named(a) || r.named(b) {
		t.Error("after the hold the reports are still the phones' own")
	}
	if n := r.relay.Counts().Drops["forged"]; n > 0 {
		t.Errorf("%d packets of the phones were not authentic", n)
	}
	if err := a.call.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	<-b.call.Ended()
	for _, d := range []*desk{a, b} {
		if p := d.Problems(); len(p) > 0 {
			t.Errorf("%s: %q", d.User(), p)
		}
	}
}
