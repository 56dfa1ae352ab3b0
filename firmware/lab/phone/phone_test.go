package phone_test

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/cloud"
	"holdfast/firmware/lab/phone"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
)

const domain = "branch.example"

var passwords = map[string]string{"1001": "one", "1002": "two", "1003": "three"}

// patience of a test. Nothing in it is expected to take so long.
const patience = time.Minute

// town is two zones and the authority that both are certified by.
type town struct {
	authority *ca.Authority
	zones     []*cloud.Zone
	servers   []phone.Server
}

func newTown(t *testing.T) *town {
	t.Helper()
	authority, err := ca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	n := &town{authority: authority}
	for i := range 2 {
		name := fmt.Sprintf("zone%d", i+1)
		cert, err := authority.Leaf([]string{name + ".test"})
		if err != nil {
			t.Fatal(err)
		}
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(120 + i)}), 0)
		z, err := cloud.Start(cloud.Config{Name: name, SIP: at, HTTPS: at, Certificate: cert, Domain: domain, Passwords: passwords})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(z.Close)
		n.zones = append(n.zones, z)
		n.servers = append(n.servers, phone.Server{Name: name, Addr: z.SIP(), TLSName: name + ".test"})
	}
	return n
}

// start switches a phone on until the test ends; edit may change its settings.
func (n *town) start(t *testing.T, user string, edit func(*phone.Config)) *phone.Phone {
	t.Helper()
	cfg := phone.Config{
		Local: netip.MustParseAddr("127.0.0.1"), Servers: n.servers, Roots: n.authority.Pool(),
		Instance: "urn:uuid:00000000-0000-4000-8000-00000000" + user, Timeout: 5 * time.Second,
		Probe: 100 * time.Millisecond, Retry: 50 * time.Millisecond,
		UA: ua.Config{User: user, Domain: domain, Password: passwords[user], UserAgent: "Lab phone", Voice: voice.Config{
			Codecs: []string{"pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}, Hz: 400}},
	}
	if edit != nil {
		edit(&cfg)
	}
	p := phone.New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return p
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, done := context.WithTimeout(context.Background(), d)
	t.Cleanup(done)
	return ctx
}

func mustBeAt(t *testing.T, p *phone.Phone, server string) {
	t.Helper()
	if _, err := p.WaitAt(within(t, patience), server); err != nil {
		t.Fatal(err)
	}
}

func TestRegistersWithEitherAlgorithm(t *testing.T) {
	n := newTown(t)
	for _, c := range []struct {
		name, user, password string
		algorithms           []string
		ok                   bool
	}{
		{"knows both", "1001", "one", nil, true},
		{"knows MD5 only", "1002", "two", []string{"MD5"}, true},
		{"knows neither", "1002", "two", []string{"SHA-1"}, false},
		{"wrong password", "1003", "wrong", nil, false},
		{"unknown user", "9999", "one", nil, false},
	} {
		p := n.start(t, c.user, func(cfg *phone.Config) {
			cfg.UA.Password, cfg.UA.Algorithms = c.password, c.algorithms
		})
		if !c.ok {
			if at, err := p.WaitAt(within(t, 300*time.Millisecond), "zone1", "zone2"); err == nil {
				t.Errorf("%s: registered at %v", c.name, at)
			}
			continue
		}
		mustBeAt(t, p, "zone1")
		if !n.zones[0].Registered()[c.user] {
			t.Errorf("%s: zone 1 does not have the user", c.name)
		}
	}
}

func TestMovesOnAndGoesHome(t *testing.T) {
	for name, cut := range map[string]cloud.Cut{"refuse": cloud.Refuse, "blackhole": cloud.Blackhole} {
		t.Run(name, func(t *testing.T) {
			n := newTown(t)
			home := n.start(t, "1001", func(c *phone.Config) { c.Home = 100 * time.Millisecond })
			told := n.start(t, "1002", nil)
			mustBeAt(t, home, "zone1")
			mustBeAt(t, told, "zone1")
			if err := n.zones[0].Cut(cut); err != nil {
				t.Fatal(err)
			}
			mustBeAt(t, home, "zone2")
			mustBeAt(t, told, "zone2")
			if err := n.zones[0].Mend(); err != nil {
				t.Fatal(err)
			}
			mustBeAt(t, home, "zone1")
			if at, _ := told.Place(); at != "zone2" {
				t.Errorf("a phone that leaves only when told is at %q", at)
			}
		})
	}
}

func TestCallThroughTheZone(t *testing.T) {
	n := newTown(t)
	a := n.start(t, "1001", nil)
	b := n.start(t, "1002", func(c *phone.Config) {
		c.UA.Voice.Hz = 800
		c.UA.Incoming = func(*sip.Request) ua.Behaviour { return ua.Behaviour{RingFor: 50 * time.Millisecond} }
	})
	busy := n.start(t, "1003", func(c *phone.Config) {
		c.UA.Incoming = func(*sip.Request) ua.Behaviour { return ua.Behaviour{Reject: 486} }
	})
	mustBeAt(t, a, "zone1")
	mustBeAt(t, b, "zone1")
	mustBeAt(t, busy, "zone1")
	ctx := within(t, patience)

	call, err := a.Dial("1002", ua.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	other := <-b.Incoming()
	hears := func(c *ua.Call, hz float64) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			h := c.Media().Heard()
			if math.Abs(h.Hz-hz) <= 5 && h.Share > 0.9 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("want %v Hz, heard %+v", hz, h)
			}
		}
	}
	hears(call, 800)
	hears(other, 400)
	if err := call.Hold(ctx); err != nil {
		t.Fatal(err)
	}
	if !other.Held() {
		t.Error("the peer does not know that it is held")
	}
	for end := time.Now().Add(patience); ; { // what is in flight may still come
		other.Media().Listen()
		time.Sleep(200 * time.Millisecond)
		h := other.Media().Heard()
		if h.Packets == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the held side hears %+v", h)
		}
	}
	if err := call.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	hears(other, 400)
	if err := other.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := call.WaitEnd(ctx); err != nil || call.EndedBy() != "peer" {
		t.Errorf("ended by %q, %v", call.EndedBy(), err)
	}

	noOffer, err := a.Dial("1002", ua.DialOptions{NoOffer: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := noOffer.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	hears(noOffer, 800)
	if err := noOffer.HangUp(ctx); err != nil {
		t.Fatal(err)
	}

	for number, want := range map[string]int{"1003": 486, "1999": 480} {
		c, err := a.Dial(number, ua.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(ctx); err == nil || c.Status() != want {
			t.Errorf("call to %s: status %d, %v; want %d", number, c.Status(), err, want)
		}
	}
	for _, p := range []*phone.Phone{a, b, busy} {
		if got := p.Problems(); len(got) != 0 {
			t.Errorf("%s: %q", p.User(), got)
		}
	}
}

func TestCancelThroughTheZone(t *testing.T) {
	n := newTown(t)
	a := n.start(t, "1001", nil)
	b := n.start(t, "1002", func(c *phone.Config) {
		c.UA.Incoming = func(*sip.Request) ua.Behaviour { return ua.Behaviour{Never: true} }
	})
	mustBeAt(t, a, "zone1")
	mustBeAt(t, b, "zone1")
	ctx := within(t, patience)
	call, err := a.Dial("1002", ua.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := <-b.Incoming()
	if err := call.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := other.WaitEnd(ctx); err != nil {
		t.Fatal(err)
	}
	if call.Status() != 487 || call.EndedBy() != "cancelled" || other.EndedBy() != "cancelled" {
		t.Errorf("status %d, %q and %q", call.Status(), call.EndedBy(), other.EndedBy())
	}
	if p := append(a.Problems(), b.Problems()...); len(p) != 0 {
		t.Error(p)
	}
}

func TestLostLineEndsTheCall(t *testing.T) {
	n := newTown(t)
	a, b := n.start(t, "1001", nil), n.start(t, "1002", nil)
	mustBeAt(t, a, "zone1")
	mustBeAt(t, b, "zone1")
	ctx := within(t, patience)
	call, err := a.Dial("1002", ua.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.zones[0].Cut(cloud.Refuse); err != nil {
		t.Fatal(err)
	}
	if err := call.WaitEnd(ctx); err != nil || call.EndedBy() != "flow lost" {
		t.Errorf("ended by %q, %v", call.EndedBy(), err)
	}
}
