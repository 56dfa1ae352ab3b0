package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/sip/registrar"
)

// here is a phone that has proven to be Alice's.
func (d *door) here() *phone {
	d.t.Helper()
	p := d.phone("1001")
	p.want(p.proving("OPTIONS", sha("1001", "secret-a")), 200)
	return p
}

func (d *door) bindings(user string) []registrar.Binding {
	return d.o.Registrar.Bindings(time.Now(), user)
}

func TestRegister(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	res := p.want(p.register(sha("1001", "secret-a"), contact, "Expires: 120", "User-Agent: Phone/1.0"), 200)
	if got := contacts(res); len(got) != 1 || got[0] != "<sip:1001@10.0.0.9:5061;transport=tls>;expires=120" {
		t.Errorf("contacts %q", got)
	}
	if _, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", values(res, "Date")[0]); err != nil {
		t.Error(err)
	}
	b := d.bindings("alice")
	if len(b) != 1 || !b[0].Reachable() || b[0].UserAgent != "Phone/1.0" || b[0].Source.String() != p.LocalAddr().String() {
		t.Fatalf("bindings %+v", b)
	}
	if c, ok := d.stack.Conn(uint64(b[0].Flow)); !ok || c.Remote() != b[0].Source {
		t.Error("the binding's flow is not the phone's connection")
	}
	if !slices.Equal(d.counts, []int{1}) {
		t.Errorf("told of %v bindings", d.counts)
	}
}

// TestBindings: a sequence of REGISTERs on one connection, each with what is there afterwards.
func TestBindings(t *testing.T) {
	const a, b, c = "<sip:a@10.0.0.9>", "<sip:b@10.0.0.9>", "<sip:c@10.0.0.9>"
	type step struct {
		lines  string // separated by |
		status int
		want   string // contacts of the 200, sorted, separated by spaces
	}
	for name, steps := range map[string][]step{
		"fetch":                  {{"", 200, ""}, {"Contact: " + a, 200, a + ";expires=600"}, {"", 200, a + ";expires=600"}},
		"several at once":        {{"Contact: " + a + ", " + b + ";expires=90|Contact: " + c + "|Expires: 100", 200, a + ";expires=100 " + b + ";expires=90 " + c + ";expires=100"}},
		"compact form":           {{"m: " + a, 200, a + ";expires=600"}},
		"display name":           {{`Contact: "Alice \"A\", home" ` + a, 200, a + ";expires=600"}},
		"one after the other":    {{"Contact: " + a, 200, a + ";expires=600"}, {"Contact: " + b, 200, a + ";expires=600 " + b + ";expires=600"}},
		"refresh":                {{"Contact: " + a, 200, a + ";expires=600"}, {"Contact: " + a + ";expires=60", 200, a + ";expires=60"}},
		"unregister one":         {{"Contact: " + a + "|Contact: " + b, 200, a + ";expires=600 " + b + ";expires=600"}, {"Contact: " + a + ";expires=0", 200, b + ";expires=600"}},
		"unregister by header":   {{"Contact: " + a, 200, a + ";expires=600"}, {"Contact: " + a + "|Expires: 0", 200, ""}},
		"unregister what is not": {{"Contact: " + a + ";expires=0", 200, ""}},
		"star":                   {{"Contact: " + a + "|Contact: " + b, 200, a + ";expires=600 " + b + ";expires=600"}, {"Contact: *|Expires: 0", 200, ""}},
		"star without Expires":   {{"Contact: " + a, 200, a + ";expires=600"}, {"Contact: *", 400, ""}, {"", 200, a + ";expires=600"}},
		"star that stays":        {{"Contact: *|Expires: 60", 400, ""}},
		"star and another":       {{"Contact: *|Contact: " + a + "|Expires: 0", 400, ""}},
		"star as a host":         {{"Contact: " + a, 200, a + ";expires=600"}, {"Contact: <sip:a@*>|Expires: 0", 400, ""}, {"Contact: <sip:*>|Expires: 0", 400, ""}, {"", 200, a + ";expires=600"}},
		"too long is cut":        {{"Contact: " + a + ";expires=86400", 200, a + ";expires=600"}, {"Contact: " + b + "|Expires: 4294967295", 200, a + ";expires=600 " + b + ";expires=600"}},
		"malformed expiry":       {{"Contact: " + a + ";expires=soon", 200, a + ";expires=600"}, {"Contact: " + a + "|Expires: -5", 200, a + ";expires=600"}, {"Contact: " + a + "|Expires: 99999999999999999999", 200, a + ";expires=600"}},
		"own expiry wins":        {{"Contact: " + a + ";expires=90|Expires: 0", 200, a + ";expires=90"}},
		"q":                      {{"Contact: " + a + ";q=0.5|Contact: " + b + ";q=0|Contact: " + c + ";q=1.0", 200, a + ";expires=600;q=0.500 " + b + ";expires=600;q=0.000 " + c + ";expires=600"}},
		"nonsense for q":         {{"Contact: " + a + ";q=NaN|Contact: " + b + ";q=high|Contact: " + c + ";q=1e-9", 200, a + ";expires=600;q=0.000 " + b + ";expires=600 " + c + ";expires=600;q=0.000"}},
		"too many":               {{"Contact: " + a + "|Contact: " + b, 200, a + ";expires=600 " + b + ";expires=600"}, {"Contact: " + c + "|Contact: <sip:d@10.0.0.9>", 403, ""}, {"", 200, a + ";expires=600 " + b + ";expires=600"}},
		"far too many":           {{strings.Repeat("Contact: "+a+"|", maxContacts+1), 400, ""}},
		"old CSeq":               {{"Contact: " + a, 200, a + ";expires=600"}, {"rewind", 500, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t)
			p := d.here()
			for i, s := range steps {
				if s.lines == "rewind" {
					p.cseq -= 2
					s.lines = "Contact: " + a
				}
				var lines []string
				if s.lines != "" {
					lines = strings.Split(strings.TrimSuffix(s.lines, "|"), "|")
				}
				res := p.ask("REGISTER", lines...)
				if got := strings.Join(contacts(res), " "); res.StatusCode != s.status || got != s.want {
					t.Errorf("step %d: %d %s\nwant    %d %s", i, res.StatusCode, got, s.status, s.want)
				}
			}
		})
	}
}

func TestTooBrief(t *testing.T) {
	p := newDoor(t).here()
	for _, lines := range [][]string{{contact + ";expires=59"}, {contact, "Expires: 1"}, {contact + ";expires=60", "Contact: <sip:b@10.0.0.9>;expires=30"}} {
		res := p.want(p.ask("REGISTER", lines...), 423)
		if v := values(res, "Min-Expires"); len(v) != 1 || v[0] != "60" {
			t.Errorf("Min-Expires %q", v)
		}
	}
	if got := contacts(p.want(p.ask("REGISTER"), 200)); len(got) > 0 {
		t.Errorf("a refused REGISTER left %q", got)
	}
}

// TestHostileContacts: what cannot be called, or would break a message that it stands in, is refused, and nothing stays.
func TestHostileContacts(t *testing.T) {
	d := newDoor(t)
	for _, c := range []string{
		"<tel:+12175551001>", "<mailto:a@b.example>", "<sip:>", "<sip:a@>", "<sip:a b@10.0.0.9>",
		"sip:a>b@10.0.0.9", "sip:a@10.0.0.9>", "<sip:a<b@10.0.0.9>", "<sip:a\x00b@10.0.0.9>", "<sip:a\x7f@10.0.0.9>", "<sip:\xc3\xa9@10.0.0.9>",
		`<sip:a"b@10.0.0.9>`, "<sip:a@10.0.0.9;x=\x1b[2J>", "<sip:a@10.0.0.9;x=a b>", "<sip:" + strings.Repeat("a", 600) + "@10.0.0.9>",
		"<http://10.0.0.9/>", "<sip:a@ho]st>",
	} {
		p := d.here()
		if res := p.ask("REGISTER", "Contact: "+c); res.StatusCode != 400 {
			t.Errorf("Contact: %.60q: %d, want 400", c, res.StatusCode)
		}
		p.Close()
	}
	for _, c := range []string{"<sip:a@[2001:db8::1>", "<sip:a@[2001:db8:::1]>", "<sip:a@[fe80::1%25eth0]>", "<sip:a@[10.0.0.9]>", "<sip:a@[]>"} {
		p := d.here()
		if res := p.ask("REGISTER", "Contact: "+c); res.StatusCode != 400 {
			t.Errorf("Contact: %s: %d, want 400", c, res.StatusCode)
		}
		p.Close()
	}
	if b := d.bindings("alice"); len(b) > 0 {
		t.Errorf("bindings %+v", b)
	}
}

// TestIPv6Contact: a phone with both kinds of address may name itself by the other one: it is reached over its connection.
func TestIPv6Contact(t *testing.T) {
	for _, c := range []string{"<sip:a@[2001:db8::1]>", "<sip:a@[2001:db8::1]:5061;transport=tls>", "<sip:[::1]>"} {
		d := newDoor(t)
		p := d.here()
		res := p.want(p.ask("REGISTER", "Contact: "+c), 200)
		if got := contacts(res); len(got) != 1 || got[0] != c+";expires=600" {
			t.Errorf("contacts %q, want %q", got, c)
		}
		if b := d.bindings("alice"); len(b) != 1 || b[0].Flow == 0 {
			t.Errorf("bindings %+v", b)
		}
	}
}

// TestHostileParameters: a Contact that is fine with parameters that are not; they are left out.
func TestHostileParameters(t *testing.T) {
	for _, params := range []string{
		`;+sip.instance="<urn:uuid:` + strings.Repeat("a", 300) + `>";reg-id=1`, `;+sip.instance="a\"b";reg-id=1`, `;+sip.instance=;reg-id=1`,
		";reg-id=1", ";reg-id=-1", ";reg-id=x", ";reg-id=99999999999999999999", ";;;", ";=", ";=x", ";expires", ";q", ";x=\x1b[2J",
	} {
		p := newDoor(t).here()
		res := p.want(p.ask("REGISTER", "Contact: <sip:a@10.0.0.9>"+params, "Supported: outbound"), 200)
		if got := contacts(res); len(got) != 1 || got[0] != "<sip:a@10.0.0.9>;expires=600" {
			t.Errorf("%.60q: contacts %q", params, got)
		}
		if r := values(res, "Require"); len(r) > 0 {
			t.Errorf("%.60q: Require %q", params, r)
		}
	}
}

func TestHostileHeaders(t *testing.T) {
	p := newDoor(t).here()
	res := p.want(p.ask("REGISTER", contact, "User-Agent: "+strings.Repeat("x", 5000)+"\x00\xff", "Expires:", "Supported: ,,outbound", "Date: tomorrow"), 200)
	if got := contacts(res); len(got) != 1 {
		t.Errorf("contacts %q", got)
	}
	p.want(p.ask("REGISTER", "Contact: "), 400)
	p.want(p.ask("REGISTER", `Contact: "open <sip:a@10.0.0.9>`), 400)
	p.call = strings.Repeat("c", 600)
	p.want(p.ask("REGISTER", contact), 400)
}

const outbound = `Contact: <sip:1001@10.0.0.9:5061>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=%d`

// TestOutbound is RFC 5626: the phone is known by its instance, each of its flows by its reg-id.
func TestOutbound(t *testing.T) {
	d := newDoor(t)
	p := d.here()
	for _, supported := range []string{"Supported: path, outbound", "k: Outbound"} {
		res := p.want(p.ask("REGISTER", fmt.Sprintf(outbound, 1), supported), 200)
		if r := values(res, "Require"); len(r) != 1 || r[0] != "outbound" {
			t.Errorf("%s: Require %q", supported, r)
		}
	}
	res := p.want(p.ask("REGISTER", fmt.Sprintf(outbound, 1), "Supported: path"), 200)
	if r := values(res, "Require"); len(r) > 0 {
		t.Errorf("Require %q although the phone does not support it", r)
	}
	want := `<sip:1001@10.0.0.9:5061>;expires=600;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>";reg-id=1`
	if got := contacts(res); len(got) != 1 || got[0] != want {
		t.Errorf("contacts %q", got)
	}
	second := d.here()
	if got := contacts(second.want(second.ask("REGISTER", fmt.Sprintf(outbound, 2), "Supported: outbound"), 200)); len(got) != 2 {
		t.Errorf("two flows: %q", got)
	}
	again := d.here() // the phone's first flow, over a new connection
	if got := contacts(again.want(again.ask("REGISTER", fmt.Sprintf(outbound, 1), "Supported: outbound"), 200)); len(got) != 2 {
		t.Errorf("the same flow again: %q", got)
	}
	// A phone that only asks, over a connection that holds no flow of its own, gets no promise.
	other := d.here()
	if r := values(other.want(other.ask("REGISTER", "Supported: outbound"), 200), "Require"); len(r) > 0 {
		t.Errorf("Require %q for a query", r)
	}
}

func TestGate(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	p.want(p.register(sha("1001", "secret-a"), contact), 200)
	for wait, header := range map[time.Duration]string{5 * time.Second: "5", 0: "1", 1500 * time.Millisecond: "1", time.Minute: "60"} {
		d.set(func(d *door) { d.gate, d.refused = Gate{RetryAfter: wait}, nil })
		res := p.want(p.ask("REGISTER", contact), 503) // also who is known here: the phone has to go home
		if v := values(res, "Retry-After"); len(v) != 1 || v[0] != header {
			t.Errorf("Retry-After %q for %v", v, wait)
		}
		if !slices.Equal(d.refused, []string{"1001 127.0.0.1"}) {
			t.Errorf("told of %q", d.refused)
		}
	}
	stranger := d.phone(strings.Repeat("9", 100))
	stranger.want(stranger.ask("REGISTER", contact), 503)
	d.set(func(d *door) {
		if last := d.refused[len(d.refused)-1]; last != strings.Repeat("9", 40)+" 127.0.0.1" {
			t.Errorf("told of %q", last)
		}
		d.gate = Gate{Open: true}
	})
	p.want(p.ask("REGISTER", contact), 200)
}

// TestGateForSome is a drill for named phones: they come in, others are told so only once they have proven who they are.
func TestGateForSome(t *testing.T) {
	d := newDoor(t)
	d.set(func(d *door) {
		d.gate = Gate{Open: true, Only: map[string]bool{"alice": true}, RetryAfter: 7 * time.Second}
	})
	for _, c := range []struct {
		aor    string
		l      login
		status int
	}{
		{"1001", sha("1001", "secret-a"), 200}, {"1001", sha("1001", "wrong"), 401},
		{"1002", md("1002", "secret-b"), 503}, {"1002", md("1002", "wrong"), 401}, {"4711", sha("4711", "x"), 401},
	} {
		p := d.phone(c.aor)
		if res := p.register(c.l, contact); res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", c.aor, res.StatusCode, c.status)
		} else if v := values(res, "Retry-After"); c.status == 503 && !slices.Equal(v, []string{"7"}) {
			t.Errorf("Retry-After %q", v)
		}
	}
	if b := d.bindings("bob"); len(b) > 0 || !slices.Equal(d.refused, []string{"1002 127.0.0.1"}) {
		t.Errorf("bindings %v, told of %q", b, d.refused)
	}
}

// TestGateInCall: a phone that is in a call stays while it lasts, though the mode takes nobody in; it proves who it is
// like anybody.
func TestGateInCall(t *testing.T) {
	d := newDoor(t)
	for name, gate := range map[string]Gate{"closed": {}, "for somebody else": {Open: true, Only: map[string]bool{"bob": true}}} {
		d.set(func(d *door) { d.gate, d.inCall = gate, true })
		p := d.phone("1001")
		if res := p.register(sha("1001", "wrong"), contact); res.StatusCode != 401 {
			t.Errorf("%s, wrong password: %d", name, res.StatusCode)
		}
		res := p.register(sha("1001", "secret-a"), contact)
		if res.StatusCode != 200 {
			t.Errorf("%s: %d in a call", name, res.StatusCode)
		} else if c := res.GetHeader("Contact").Value(); !strings.Contains(c, "expires=60") && !strings.Contains(c, "expires=59") {
			t.Errorf("%s: it is to come back after the shortest time: %s", name, c)
		}
		d.set(func(d *door) { d.inCall = false })
		if res := p.ask("REGISTER", contact); res.StatusCode != 503 {
			t.Errorf("%s: %d after the call", name, res.StatusCode)
		}
	}
}

// TestPersist: a registration is acknowledged after it is saved, and a full disk keeps nobody from calling.
func TestPersist(t *testing.T) {
	d := newDoor(t)
	type call struct {
		user string
		n    int
	}
	saving, saved := make(chan call, 1), make(chan error, 1)
	d.set(func(d *door) {
		d.persist = func(user string, list []registrar.Binding) error {
			saving <- call{user, len(list)}
			return <-saved
		}
	})
	p := d.here()
	go func() {
		if c := <-saving; c != (call{"alice", 1}) {
			t.Errorf("saved %+v", c)
		}
		d.set(func(d *door) {
			if len(d.counts) > 0 {
				t.Error("acknowledged before it was saved")
			}
		})
		saved <- nil
	}()
	p.want(p.ask("REGISTER", contact), 200)
	saved <- errors.New("disk full")
	if got := contacts(p.want(p.ask("REGISTER", contact), 200)); len(got) != 1 {
		t.Errorf("contacts %q", got)
	}
	<-saving
	saved <- nil
	p.want(p.ask("REGISTER", "Contact: *", "Expires: 0"), 200)
	if c := <-saving; c != (call{"alice", 0}) {
		t.Errorf("saved %+v", c)
	}
}

// TestFull: the registrar's bound is a 503, for a while.
func TestFull(t *testing.T) {
	d := newDoor(t) // eight bindings
	for _, u := range []struct {
		ext string
		l   login
	}{{"1001", sha("1001", "secret-a")}, {"1002", md("1002", "secret-b")}} {
		p := d.phone(u.ext)
		p.want(p.register(u.l, "Contact: <sip:a@10.0.0.9>", "Contact: <sip:b@10.0.0.9>", "Contact: <sip:c@10.0.0.9>"), 200)
	}
	p := d.phone("1003")
	res := p.want(p.register(sha("1003", "secret-c"), "Contact: <sip:a@10.0.0.9>", "Contact: <sip:b@10.0.0.9>", "Contact: <sip:c@10.0.0.9>"), 503)
	if v := values(res, "Retry-After"); len(v) != 1 || v[0] != "30" {
		t.Errorf("Retry-After %q", v)
	}
}

// TestLostConnection: a binding whose connection is gone is unreachable, and the phone that comes back takes it over.
func TestLostConnection(t *testing.T) {
	d := newDoor(t)
	p := d.here()
	p.want(p.ask("REGISTER", contact), 200)
	p.Close()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if b := d.bindings("alice"); len(b) == 1 && !b[0].Reachable() {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the binding is still reachable")
		}
	}
	back := d.here()
	back.call, back.cseq = p.call, 0 // its CSeq starts anew after a reboot
	back.want(back.ask("REGISTER", contact), 200)
	if b := d.bindings("alice"); len(b) != 1 || !b[0].Reachable() {
		t.Errorf("bindings %+v", b)
	}
}
