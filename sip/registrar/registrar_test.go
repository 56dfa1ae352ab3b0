package registrar

import (
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	t0     = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	source = netip.MustParseAddrPort("10.0.0.9:40000")
)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

func contact(uri string) Contact { return Contact{URI: uri, Expires: -1, Q: 1} }

// reg is a REGISTER of alice's with no Expires header.
func reg(callID string, cseq uint32, flow Flow, c ...Contact) Request {
	return Request{AOR: "alice", CallID: callID, CSeq: cseq, Flow: flow, Contacts: c, Expires: -1, Source: source, UserAgent: "phone/1"}
}

func must(t *testing.T, r *Registrar, now time.Time, q Request) []Binding {
	t.Helper()
	list, err := r.Register(now, q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return list
}

// uris of a list, an unreachable one in brackets.
func uris(list []Binding) string {
	var s []string
	for _, b := range list {
		u := b.URI
		if !b.Reachable() {
			u = "(" + u + ")"
		}
		s = append(s, u)
	}
	return strings.Join(s, " ")
}

func TestLifetimes(t *testing.T) {
	for _, c := range []struct {
		contact, header int
		granted         int
	}{{-1, -1, 300}, {-1, 120, 120}, {90, 120, 90}, {60, -1, 60}, {3600, -1, 600}, {-1, 7200, 600}, {-1, 1<<31 - 1, 600}, {0, 120, 0}, {-1, 0, 0}, {120, 0, 120}} {
		r := New(Options{Default: 5 * time.Minute})
		q := reg("c", 1, 1, Contact{URI: "sip:a", Expires: c.contact})
		q.Expires = c.header
		list := must(t, r, t0, q)
		if c.granted == 0 && len(list) == 0 {
			continue
		}
		if len(list) != 1 || !list[0].Expires.Equal(at(c.granted)) || !list[0].Registered.Equal(t0) {
			t.Errorf("%+v: %+v", c, list)
		}
		if got := uris(r.Bindings(at(c.granted-1), "alice")); got != "sip:a" {
			t.Errorf("%+v: before its end: %q", c, got)
		}
		if got := r.Bindings(at(c.granted), "alice"); len(got) != 0 {
			t.Errorf("%+v: at its end: %+v", c, got)
		}
	}
}

func TestRefused(t *testing.T) {
	long := strings.Repeat("x", maxField+1)
	for name, c := range map[string]struct {
		spoil func(*Request)
		want  error
	}{
		"star with contacts":     {func(q *Request) { q.Star, q.Expires = true, 0 }, ErrBadStar},
		"star without expires":   {func(q *Request) { q.Star, q.Contacts = true, nil }, ErrBadStar},
		"star with expires 60":   {func(q *Request) { q.Star, q.Contacts, q.Expires = true, nil, 60 }, ErrBadStar},
		"star out of order":      {func(q *Request) { q.Star, q.Contacts, q.Expires, q.CSeq = true, nil, 0, 5 }, ErrOutOfOrder},
		"no AOR":                 {func(q *Request) { q.AOR = "" }, ErrTooLong},
		"long AOR":               {func(q *Request) { q.AOR = long }, ErrTooLong},
		"no Call-ID":             {func(q *Request) { q.CallID = "" }, ErrTooLong},
		"long Call-ID":           {func(q *Request) { q.CallID = long }, ErrTooLong},
		"no URI":                 {func(q *Request) { q.Contacts[1].URI = "" }, ErrTooLong},
		"long URI":               {func(q *Request) { q.Contacts[1].URI = long }, ErrTooLong},
		"long instance":          {func(q *Request) { q.Contacts[1].Instance = long }, ErrTooLong},
		"same CSeq":              {func(q *Request) { q.CSeq = 5 }, ErrOutOfOrder},
		"lower CSeq":             {func(q *Request) { q.CSeq = 4 }, ErrOutOfOrder},
		"lower CSeq, to remove":  {func(q *Request) { q.CSeq, q.Expires = 4, 0 }, ErrOutOfOrder},
		"too many contacts":      {func(q *Request) { q.Contacts = append(q.Contacts, contact("sip:c")) }, ErrTooManyContacts},
		"far too many contacts":  {func(q *Request) { q.Contacts = make([]Contact, 9); fill(q.Contacts) }, ErrTooManyContacts},
		"full":                   {func(q *Request) { q.AOR = "carol" }, ErrFull},
		"second contact brief":   {func(q *Request) { q.Contacts[1].Expires = 59 }, &TooBriefError{time.Minute}},
		"header brief":           {func(q *Request) { q.Expires = 1 }, &TooBriefError{time.Minute}},
		"removal with brief one": {func(q *Request) { q.Contacts[0].Expires, q.Contacts[1].Expires = 0, 10 }, &TooBriefError{time.Minute}},
	} {
		r := New(Options{MaxContacts: 2, MaxBindings: 3})
		must(t, r, t0, reg("c", 5, 1, contact("sip:a")))
		bob := reg("b", 1, 2, contact("sip:a"))
		bob.AOR = "bob"
		must(t, r, t0, bob)
		before, generation := r.Bindings(t0, "alice"), r.Generation()
		q := reg("c", 6, 1, contact("sip:a"), contact("sip:b"))
		c.spoil(&q)
		list, err := r.Register(at(1), q)
		var brief *TooBriefError
		if want, ok := c.want.(*TooBriefError); ok {
			if !errors.As(err, &brief) || brief.Min != want.Min || !strings.Contains(err.Error(), "1m0s") {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if list != nil || r.Generation() != generation || !reflect.DeepEqual(r.Bindings(t0, "alice"), before) {
			t.Errorf("%s: something changed", name)
		}
	}
}

func fill(list []Contact) {
	for i := range list {
		list[i] = contact("sip:" + strings.Repeat("z", i+1))
	}
}

func TestReplace(t *testing.T) {
	inst := func(uri, instance string, id int) Contact { return Contact{uri, instance, id, -1, 1} }
	for _, c := range []struct {
		name        string
		first, then Contact
		want        string
	}{
		{"same address", contact("sip:a"), contact("sip:a"), "sip:a"},
		{"another address", contact("sip:a"), contact("sip:b"), "sip:b sip:a"},
		{"same instance and flow number", inst("sip:a", "<urn:1>", 1), inst("sip:b", "<urn:1>", 1), "sip:b"},
		{"same instance, no flow number", inst("sip:a", "<urn:1>", 0), inst("sip:b", "<urn:1>", 0), "sip:b"},
		{"second flow", inst("sip:a", "<urn:1>", 1), inst("sip:a", "<urn:1>", 2), "sip:a sip:a"},
		{"another instance", inst("sip:a", "<urn:1>", 1), inst("sip:a", "<urn:2>", 1), "sip:a sip:a"},
		{"instance learnt later", contact("sip:a"), inst("sip:a", "<urn:1>", 1), "sip:a"},
		{"instance lost", inst("sip:a", "<urn:1>", 1), contact("sip:a"), "sip:a"},
	} {
		r := New(Options{})
		must(t, r, t0, reg("c", 1, 1, c.first))
		if got := uris(must(t, r, at(1), reg("c", 2, 2, c.then))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	r := New(Options{})
	list := must(t, r, t0, reg("c", 1, 1, contact("sip:a"), contact("sip:a"), inst("sip:b", "<urn:1>", 1), inst("sip:c", "<urn:1>", 1)))
	if uris(list) != "sip:a sip:c" {
		t.Errorf("twice in one request: %q", uris(list))
	}
	both := must(t, r, at(1), reg("d", 1, 1, contact("sip:b"), inst("sip:a", "<urn:1>", 1)))
	if uris(both) != "sip:a sip:b" { // the last contact is the same as two bindings
		t.Errorf("one for two: %q", uris(both))
	}
}

func TestOrderAndQuery(t *testing.T) {
	r := New(Options{})
	q := func(uri string, q float64) Contact { return Contact{URI: uri, Expires: -1, Q: q} }
	must(t, r, t0, reg("1", 1, 1, q("sip:low", 0.1), q("sip:lost", 1)))
	must(t, r, at(1), reg("2", 1, 2, q("sip:old", 0.5)))
	must(t, r, at(2), reg("3", 1, 2, q("sip:new", 0.5), q("sip:over", 7)))
	r.FlowGone(1)
	must(t, r, at(3), reg("1", 2, 3, q("sip:low", -3)))
	if got := uris(must(t, r, at(3), reg("9", 9, 9))); got != "sip:over sip:new sip:old sip:low (sip:lost)" {
		t.Errorf("%q", got)
	}
	if got := must(t, r, at(3), Request{AOR: "nobody", CallID: "x", Expires: 0}); got != nil {
		t.Errorf("%+v", got)
	}
	two := []Binding{{Contact: Contact{URI: "a", Instance: "1"}}, {Contact: Contact{URI: "b", Instance: "1", RegID: 2}}, {Contact: Contact{URI: "c"}}, {Contact: Contact{URI: "d"}}}
	if got := uris(Targets(two)); got != "(a) (c) (d)" {
		t.Errorf("targets %q", got)
	}
}

func TestRemoval(t *testing.T) {
	r := New(Options{})
	must(t, r, t0, reg("c", 1, 1, contact("sip:a"), contact("sip:b")))
	if got := uris(must(t, r, t0, reg("c", 2, 1, Contact{URI: "sip:a", Expires: 0}))); got != "sip:b" {
		t.Errorf("%q", got)
	}
	generation := r.Generation()
	if got := uris(must(t, r, t0, reg("c", 3, 1, Contact{URI: "sip:gone", Expires: 0}))); got != "sip:b" || r.Generation() != generation {
		t.Errorf("removing what is not there: %q", got)
	}
	star := reg("c", 4, 1)
	star.Star, star.Expires = true, 0
	if got := must(t, r, t0, star); len(got) != 0 {
		t.Errorf("star: %+v", got)
	}
	if len(r.table.users)+len(r.table.flows)+len(r.table.expiry) != 0 {
		t.Errorf("left over: %+v", r.table)
	}
}

func TestFlows(t *testing.T) {
	r := New(Options{MaxContacts: 3})
	must(t, r, t0, reg("c", 7, 1, contact("sip:a"), contact("sip:b")))
	must(t, r, t0, reg("c", 8, 2, contact("sip:a"))) // moved to another connection
	if got := uris(r.FlowGone(1)); got != "(sip:b)" {
		t.Errorf("gone %q", got)
	}
	if got := uris(r.Bindings(t0, "alice")); got != "sip:a (sip:b)" {
		t.Errorf("%q", got)
	}
	if r.FlowGone(1) != nil || r.FlowGone(0) != nil || r.FlowGone(77) != nil {
		t.Error("gone twice")
	}
	// A phone that counts from 1 again after a reboot, once its connection is known to be lost.
	if _, err := r.Register(at(1), reg("c", 1, 3, contact("sip:a"))); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("while its connection lives: %v", err)
	}
	r.FlowGone(2)
	if got := uris(must(t, r, at(1), reg("c", 1, 3, contact("sip:a")))); got != "sip:a (sip:b)" {
		t.Errorf("%q", got)
	}
	// Reconnecting without an instance, from a new port each time: the unreachable ones give way, the stalest first.
	must(t, r, at(2), reg("d", 1, 4, contact("sip:c")))
	if got := uris(must(t, r, at(3), reg("e", 1, 5, contact("sip:d")))); got != "sip:d sip:c sip:a" {
		t.Errorf("%q", got)
	}
	if _, err := r.Register(at(4), reg("f", 1, 6, contact("sip:e"))); !errors.Is(err, ErrTooManyContacts) {
		t.Errorf("all reachable: %v", err)
	}
	if c := r.Counts(at(4)); c != (Counts{1, 3, 0}) {
		t.Errorf("%+v", c)
	}
}

func TestExpire(t *testing.T) {
	r := New(Options{MaxContacts: 1, MaxBindings: 2})
	must(t, r, t0, reg("c", 5, 1, Contact{URI: "sip:a", Expires: 60}))
	bob := reg("b", 1, 2, Contact{URI: "sip:b", Expires: 120})
	bob.AOR = "bob"
	must(t, r, t0, bob)
	if got := r.Expire(at(59)); got != nil {
		t.Errorf("%+v", got)
	}
	if c := r.Counts(at(61)); c != (Counts{1, 1, 0}) {
		t.Errorf("%+v", c)
	}
	if got := r.All(at(61)); uris(got) != "sip:b" {
		t.Errorf("%+v", got)
	}
	// What has run out but is not removed yet stands in nobody's way.
	if got := uris(must(t, r, at(61), reg("c", 4, 3, contact("sip:a")))); got != "sip:a" {
		t.Errorf("%q", got)
	}
	if got := uris(r.Expire(at(120))); got != "sip:b" {
		t.Errorf("%q", got)
	}
	if got := uris(r.Expire(at(10000))); got != "sip:a" {
		t.Errorf("%q", got)
	}
	if len(r.table.users)+len(r.table.flows)+len(r.table.expiry) != 0 {
		t.Errorf("left over: %+v", r.table)
	}
}

// A binding that has run out does not judge the order of requests, even before Expire has come by.
func TestStarAfterExpiry(t *testing.T) {
	r := New(Options{})
	must(t, r, t0, reg("c", 5, 1, Contact{URI: "sip:a", Expires: 60}))
	star := reg("c", 4, 1)
	star.Star, star.Expires = true, 0
	if got := must(t, r, at(61), star); len(got) != 0 || len(r.table.expiry) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestRemoveAndClear(t *testing.T) {
	r := New(Options{})
	must(t, r, t0, reg("c", 1, 1, contact("sip:a"), contact("sip:b")))
	bob := reg("b", 1, 2, contact("sip:c"))
	bob.AOR = "bob"
	must(t, r, t0, bob)
	if got := r.Remove("alice"); len(got) != 2 || got[0].Flow != 1 || r.Remove("alice") != nil {
		t.Errorf("%+v", got)
	}
	if got := r.Clear(); uris(got) != "sip:c" || got[0].Flow != 2 || r.Counts(t0) != (Counts{}) || len(r.Clear()) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSnapshot(t *testing.T) {
	r := New(Options{})
	must(t, r, t0, reg("c", 5, 1, Contact{"sip:a", "<urn:1>", 1, 120, 0.5}, contact("sip:b")))
	file, err := json.Marshal(r.All(t0))
	if err != nil {
		t.Fatal(err)
	}
	var list []Binding
	if err := json.Unmarshal(file, &list); err != nil {
		t.Fatal(err)
	}
	again := New(Options{})
	if n := again.Restore(at(10), list); n != 2 {
		t.Fatalf("%d restored", n)
	}
	want := r.Bindings(at(10), "alice")
	for i := range want {
		want[i].Flow, want[i].Contact.Expires = 0, 0
	}
	if got := again.Bindings(at(10), "alice"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := again.Counts(at(10)); got != (Counts{1, 2, 2}) {
		t.Errorf("%+v", got)
	}
	if got := uris(must(t, again, at(11), reg("c", 6, 9, Contact{"sip:a2", "<urn:1>", 1, -1, 1}))); got != "sip:a2 (sip:b)" {
		t.Errorf("phone came back: %q", got)
	}
	generation := again.Generation()
	if n := again.Restore(at(12), list); n != 0 || again.Generation() != generation {
		t.Errorf("%d restored over what is here", n)
	}

	bad := []Binding{
		{AOR: "", Contact: Contact{URI: "sip:x"}, CallID: "c", Expires: at(100)},
		{AOR: "x", CallID: "c", Expires: at(100)},
		{AOR: "x", Contact: Contact{URI: "sip:x"}, CallID: "c", Expires: at(10)},
		{AOR: "x", Contact: Contact{URI: "sip:late"}, CallID: "c", Expires: at(1 << 20)},
		{AOR: "x", Contact: Contact{URI: "sip:more"}, CallID: "c", Expires: at(100)},
	}
	limited := New(Options{MaxContacts: 1})
	if n := limited.Restore(at(10), bad); n != 1 {
		t.Errorf("%d restored of a bad snapshot", n)
	}
	if got := limited.Expire(at(10 + 600)); uris(got) != "(sip:late)" {
		t.Errorf("a restored binding outlasts a fresh one: %+v", got)
	}
}

func TestLimit(t *testing.T) {
	r := New(Options{})
	must(t, r, t0, reg("c", 1, 1, contact("sip:a"), contact("sip:b")))
	r.Limit(10*time.Second, 20*time.Second, time.Hour, 1)
	if list := must(t, r, t0, reg("c", 2, 1, Contact{URI: "sip:a", Expires: 0})); uris(list) != "sip:b" || !list[0].Expires.Equal(at(600)) {
		t.Errorf("%+v", list)
	}
	if list := must(t, r, t0, reg("c", 3, 1, contact("sip:b"))); !list[0].Expires.Equal(at(20)) {
		t.Errorf("%+v", list)
	}
	if _, err := r.Register(t0, reg("d", 3, 1, contact("sip:c"))); !errors.Is(err, ErrTooManyContacts) {
		t.Error(err)
	}
}

func TestConcurrent(t *testing.T) {
	r := New(Options{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				q := reg("c", uint32(i+1), Flow(w+1), contact("sip:a"))
				q.AOR = string(rune('a' + w))
				if _, err := r.Register(t0, q); err != nil {
					t.Error(err)
				}
				r.FlowGone(Flow(w + 1))
				r.Bindings(t0, "a")
				r.All(t0)
				r.Counts(t0)
				r.Expire(t0)
				r.Generation()
			}
		})
	}
	wg.Wait()
	if c := r.Counts(t0); c != (Counts{4, 4, 4}) {
		t.Errorf("%+v", c)
	}
}
