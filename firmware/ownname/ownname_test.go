package ownname

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

var address = netip.MustParseAddr("10.0.0.5")

func mine(name string) bool { return name == "box.branch.example" }

func ask(t testing.TB, name string, kind dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	if change != nil {
		change(&m)
	}
	q, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAnswer(t *testing.T) {
	edns := func(m *dnsmessage.Message) {
		m.Additionals = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeOPT, Class: 1232}, Body: &dnsmessage.OPTResource{}}}
	}
	for name, c := range map[string]struct {
		question []byte
		code     dnsmessage.RCode
		answers  int
		none     bool
	}{
		"the box":          {question: ask(t, "box.branch.example.", dnsmessage.TypeA, nil), answers: 1},
		"in other letters": {question: ask(t, "BOX.Branch.example.", dnsmessage.TypeA, nil), answers: 1},
		"any type":         {question: ask(t, "box.branch.example.", dnsmessage.TypeALL, nil), answers: 1},
		"with EDNS":        {question: ask(t, "box.branch.example.", dnsmessage.TypeA, edns), answers: 1},
		"IPv6":             {question: ask(t, "box.branch.example.", dnsmessage.TypeAAAA, nil)},
		"below the box":    {question: ask(t, "x.box.branch.example.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeRefused},
		"above the box":    {question: ask(t, "branch.example.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeRefused},
		"somebody else":    {question: ask(t, "phones.example.com.", dnsmessage.TypeA, nil), code: dnsmessage.RCodeRefused},
		"the root":         {question: ask(t, ".", dnsmessage.TypeNS, nil), code: dnsmessage.RCodeRefused},
		"another class":    {question: ask(t, "box.branch.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), code: dnsmessage.RCodeRefused},
		"an update":        {question: ask(t, "box.branch.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }), code: dnsmessage.RCodeNotImplemented},
		"two questions":    {question: ask(t, "box.branch.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), code: dnsmessage.RCodeFormatError},
		"no question":      {question: ask(t, "box.branch.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), code: dnsmessage.RCodeFormatError},
		"an answer":        {question: ask(t, "box.branch.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }), none: true},
		"noise":            {question: []byte("x"), none: true},
		"too much":         {question: make([]byte, largestQuestion+1), none: true},
	} {
		reply := Answer(c.question, mine, address)
		if c.none {
			if reply != nil {
				t.Errorf("%s: answered", name)
			}
			continue
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.ID != 7 || !m.Response || !m.RecursionDesired || m.RecursionAvailable || m.RCode != c.code || len(m.Answers) != c.answers || m.Authoritative != (c.code == 0) {
			t.Errorf("%s: %+v", name, m)
		}
		if c.answers == 1 && m.Answers[0].Body.(*dnsmessage.AResource).A != address.As4() {
			t.Errorf("%s: %+v", name, m.Answers)
		}
		if c.code == 0 && c.answers == 0 && (len(m.Authorities) != 1 || m.Authorities[0].Header.Type != dnsmessage.TypeSOA) {
			t.Errorf("%s: nobody can remember that: %+v", name, m)
		}
	}
}

// The standard library's resolver, which is somebody else's, finds the box through it.
func TestServe(t *testing.T) {
	l, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.LocalAddr().(*net.UDPAddr).AddrPort()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := Listen(ctx, at); err == nil {
		t.Error("a taken port is no fault")
	}
	l.Close()
	conn, err := Listen(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, conn, mine, address) }()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp4", at.String())
	}}
	look, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	var got []netip.Addr
	for look.Err() == nil && len(got) == 0 {
		got, err = r.LookupNetIP(look, "ip", "box.branch.example.")
	}
	if len(got) != 1 || got[0].Unmap() != address {
		t.Errorf("%v %v", got, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(ask(f, "box.branch.example.", dnsmessage.TypeA, nil))
	f.Add(ask(f, "x.", dnsmessage.TypeAAAA, nil))
	f.Fuzz(func(t *testing.T, question []byte) {
		reply := Answer(question, mine, address)
		if reply == nil {
			return
		}
		// Nobody gets much more than he sent: names twice, and what belongs to a record.
		if len(reply) > 2*len(question)+60 {
			t.Errorf("%d bytes for %d", len(reply), len(question))
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil || !m.Response {
			t.Errorf("%v %+v", err, m.Header)
		}
	})
}
