package sbc_test

import (
	"context"
	"crypto/tls"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/ca"
	"holdfast/firmware/lab/sbc"
	"holdfast/firmware/lab/ua"
	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

var (
	here  = netip.MustParseAddr("127.0.0.1")
	audio = voice.Config{IP: here, Codecs: []string{"pcmu"}, Suites: []string{"AES_CM_128_HMAC_SHA1_80"}, Hz: 500}
)

const (
	answers = "+12175550100"
	early   = "+12175550101"
	drops   = "+12175550102"
	number  = "+12175551001"
)

// start runs an SBC and gives the authority that it trusts.
func start(t *testing.T) (*sbc.SBC, *ca.Authority) {
	t.Helper()
	authority, err := ca.New("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Leaf([]string{"sbc.test"}, here)
	if err != nil {
		t.Fatal(err)
	}
	v := audio
	v.Hz = 900
	s, err := sbc.Start(sbc.Config{Listen: netip.AddrPortFrom(here, 0), Certificate: cert, Roots: authority.Pool(),
		BoxName: "box.test", Domain: "sbc.test", Voice: v, Subscribers: map[string]ua.Behaviour{
			answers: {}, early: {Early: true, RingFor: time.Second}, drops: {HangUpAfter: 50 * time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, authority
}

func dial(t *testing.T, s *sbc.SBC, roots, issuer *ca.Authority, name string, a *ua.Agent) (*wire.Conn, error) {
	t.Helper()
	cfg := &tls.Config{RootCAs: roots.Pool(), ServerName: "sbc.test"}
	if name != "" {
		cert, err := issuer.Leaf([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	c, err := wire.Dial(ctx, here, s.Addr(), cfg, a.Handle, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(c.Close)
	go c.Run()
	req := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: "sbc.test"})
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", Host: "box.test"}, Params: sip.NewParams()}
	from.Params.Add("tag", "x")
	id, hops := sip.CallIDHeader("options-1"), sip.MaxForwardsHeader(70)
	for _, h := range []sip.Header{from, &sip.ToHeader{Address: req.Recipient, Params: sip.NewParams()}, &id, &hops,
		&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS}} {
		req.AppendHeader(h)
	}
	req.SetBody(nil)
	if _, err := c.Do(ctx, req); err != nil { // with TLS 1.3 a refused certificate shows on the first read
		return nil, err
	}
	return c, nil
}

func TestWhoMayConnect(t *testing.T) {
	s, good := start(t)
	foreign, err := ca.New("foreign")
	if err != nil {
		t.Fatal(err)
	}
	a := ua.New(ua.Config{})
	for _, c := range []struct {
		name   string
		issuer *ca.Authority
		leaf   string
		ok     bool
	}{
		{"the box", good, "box.test", true},
		{"no certificate", good, "", false},
		{"another name", good, "intruder.test", false},
		{"a foreign authority", foreign, "box.test", false},
	} {
		if _, err := dial(t, s, good, c.issuer, c.leaf, a); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if s.Options() != 1 {
		t.Errorf("%d OPTIONS, want 1", s.Options())
	}
	for until := time.Now().Add(time.Minute); len(s.Refused()) < 3 && time.Now().Before(until); { // the SBC notes it after the other side has heard
		time.Sleep(time.Millisecond)
	}
	if got := s.Refused(); len(got) != 3 {
		t.Errorf("refused %q, want 3", got)
	}
}

// box is an agent that stands in for the box.
func box(t *testing.T, s *sbc.SBC, authority *ca.Authority, headers ...sip.Header) func(to string, o ua.DialOptions) *ua.Call {
	t.Helper()
	a := ua.New(ua.Config{User: "1001", Domain: "inside.test", UserAgent: "X", Voice: audio})
	t.Cleanup(a.Close)
	conn, err := dial(t, s, authority, authority, "box.test", a)
	if err != nil {
		t.Fatal(err)
	}
	return func(to string, o ua.DialOptions) *ua.Call {
		t.Helper()
		o.Headers = append(o.Headers, headers...)
		c, err := a.Dial(conn, to, o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func TestSubscribers(t *testing.T) {
	s, authority := start(t)
	call := box(t, s, authority)
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()

	c := call(early, ua.DialOptions{})
	for h := (voice.Heard{}); math.Abs(h.Hz-900) > 5; h = c.Media().Heard() {
		select {
		case <-c.Answered():
			t.Fatal("answered before any early media was heard")
		case <-ctx.Done():
			t.Fatalf("no early media: %+v", h)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	if c := call(drops, ua.DialOptions{}); c.WaitEnd(ctx) != nil || c.EndedBy() != "peer" {
		t.Errorf("ended by %q, want the SBC's BYE", c.EndedBy())
	}
	if c := call("+12175550999", ua.DialOptions{}); c.WaitEnd(ctx) != nil || c.Status() != 404 {
		t.Errorf("unknown number: %d, want 404", c.Status())
	}
}

func TestInspectFindsWhatIsWrong(t *testing.T) {
	s, authority := start(t)
	ctx, done := context.WithTimeout(context.Background(), 30*time.Second)
	defer done()
	check := func(name string, o ua.DialOptions, want ...string) {
		t.Helper()
		c := box(t, s, authority)(answers, o)
		seen, err := s.Fetch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.Wait(ctx)
		got := strings.Join(sbc.Inspect(seen, answers, number), "; ")
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q does not say %q", name, got, w)
			}
		}
		if len(want) == 0 && got != "" {
			t.Errorf("%s: %q, want nothing", name, got)
		}
	}
	pai := sip.NewHeader("P-Asserted-Identity", "<sip:"+number+"@box.test>")
	check("good", ua.DialOptions{From: number, Headers: []sip.Header{pai}})
	check("no identity", ua.DialOptions{}, `From user is "1001"`, `P-Asserted-Identity user is ""`)
	check("late offer", ua.DialOptions{From: number, NoOffer: true, Headers: []sip.Header{pai}}, "offer must be early")
	check("a route", ua.DialOptions{From: number, Headers: []sip.Header{pai, sip.NewHeader("Record-Route", "<sip:10.0.0.1;lr>")}}, "Record-Route comes through")
	if got := s.Leaks([]string{"inside.test", "10.9.9.9"}, [][]byte{{1, 2, 3, 4, 5, 6}}); len(got) != 1 || !strings.Contains(got[0], "inside.test") {
		t.Errorf("leaks %q, want inside.test only", got)
	}
}
