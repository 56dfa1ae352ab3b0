package access

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/digest"
	"holdfast/sip/site"
)

func TestChallenge(t *testing.T) {
	p := newDoor(t).phone("1001")
	c := values(p.want(p.ask("REGISTER", contact), 401), "WWW-Authenticate")
	if len(c) != 2 || !strings.Contains(c[0], "algorithm=SHA-256,") || !strings.Contains(c[1], "algorithm=MD5,") {
		t.Fatalf("challenges %q, want SHA-256 before MD5", c)
	}
	for _, v := range c {
		if !strings.Contains(v, `realm="`+domain+`"`) || !strings.Contains(v, `qop="auth"`) || strings.Contains(v, "stale") {
			t.Errorf("challenge %q", v)
		}
	}
}

// TestChallengeOfTheSite: an algorithm that some user has no HA1 value for is not offered.
func TestChallengeOfTheSite(t *testing.T) {
	d := newDoor(t)
	doc := *d.site.Doc()
	doc.Users = doc.Users[:2] // Alice with both, Bob with MD5
	d.set(func(d *door) { d.site = load(t, doc) })
	p := d.phone("4711")
	if c := values(p.want(p.ask("REGISTER", contact), 401), "WWW-Authenticate"); len(c) != 1 || !strings.Contains(c[0], "algorithm=MD5,") {
		t.Errorf("challenges %q", c)
	}
}

// TestWhoComesIn: who proves what, and what it gets. Each case has a connection of its own.
func TestWhoComesIn(t *testing.T) {
	d := newDoor(t)
	for name, c := range map[string]struct {
		aor    string
		l      login
		status int
	}{
		"SHA-256":                        {"1001", sha("1001", "secret-a"), 200},
		"MD5":                            {"1001", md("1001", "secret-a"), 200},
		"MD5 only":                       {"1002", md("1002", "secret-b"), 200},
		"SHA-256 only":                   {"1003", sha("1003", "secret-c"), 200},
		"long extension":                 {"8011001", sha("1001", "secret-a"), 200},
		"carrier number":                 {"+12175551001", sha("1001", "secret-a"), 200},
		"SHA-256 for who has MD5":        {"1002", sha("1002", "secret-b"), 401},
		"MD5 for who has SHA-256":        {"1003", md("1003", "secret-c"), 401},
		"wrong password":                 {"1001", sha("1001", "secret-b"), 401},
		"no password":                    {"1001", sha("1001", ""), 401},
		"other user's name and password": {"1001", sha("1002", "secret-b"), 401},
		"other user's password":          {"1001", md("1001", "secret-b"), 401},
		"unknown user":                   {"4711", sha("4711", "secret-a"), 401},
		"known user for an unknown one":  {"4711", sha("1001", "secret-a"), 401},
		"nobody":                         {"%00", sha("1001", "secret-a"), 401},
	} {
		p := d.phone(c.aor)
		if res := p.register(c.l, contact); res.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, c.status)
		}
		p.Close()
	}
	if n := d.Totals(); n.Registered.Load() != 6 || n.Failed.Load() != 9 {
		t.Errorf("%d registered, %d failed", n.Registered.Load(), n.Failed.Load())
	}
}

// TestStrangersLearnNothing: whoever does not prove who he is gets the same answers, byte for byte but for what is drawn
// at random or sent back.
func TestStrangersLearnNothing(t *testing.T) {
	d := newDoor(t)
	random := regexp.MustCompile(`nonce="[^"]*"|branch=[^;\s]*|tag=[a-z0-9]{16}|rport=\d+|Call-ID: \S+`)
	plain := func(p *phone, res *sip.Response) string {
		return strings.ReplaceAll(random.ReplaceAllString(res.String(), "*"), p.user, "USER")
	}
	var want [2]string
	for i, c := range []struct {
		name, aor string
		l         login
	}{
		{"wrong password", "1001", sha("1001", "wrong")},
		{"unknown user", "4711", sha("4711", "wrong")},
		{"unknown user, somebody's password", "4711", sha("1001", "secret-a")},
		{"other user's password", "1001", sha("1002", "secret-b")},
		{"algorithm that the user has not", "1002", sha("1002", "secret-b")},
	} {
		for _, method := range []string{"REGISTER", "INVITE"} {
			p := d.phone(c.aor)
			first := p.ask(method, contact)
			p.want(first, 401)
			second := p.ask(method, p.authorization(method, first, c.l), contact)
			k := 0
			if method == "INVITE" {
				k = 1
			}
			got := plain(p, first) + plain(p, second)
			if i == 0 {
				want[k] = got
			} else if got != want[k] {
				t.Errorf("%s, %s:\n%s\nwant\n%s", method, c.name, got, want[k])
			}
			if p.want(second, 401); len(values(second, "WWW-Authenticate")) != 2 {
				t.Errorf("%s: no new challenge", c.name)
			}
		}
	}
}

// TestSameWork: what is computed for a stranger is what is computed for a user; allocations are a fair stand-in for time
// that does not flicker.
func TestSameWork(t *testing.T) {
	st := document(t, "secret-a")
	d := digest.New(digest.Options{Realm: domain})
	p := &phone{t: t, host: domain}
	challenges := d.Challenges(epoch, false, nil)
	work := func(l login, user *site.User) float64 {
		_, nonce, _ := strings.Cut(challenges[0], `nonce="`)
		nonce, _, _ = strings.Cut(nonce, `"`)
		cred, err := digest.Parse(strings.TrimPrefix(p.credentials("REGISTER", nonce, l), "Authorization: "))
		if err != nil {
			t.Fatal(err)
		}
		if verify(d, epoch, "REGISTER", "sip:"+domain, cred, user).OK {
			t.Fatalf("%v proved who it is", l)
		}
		return testing.AllocsPerRun(100, func() { verify(d, epoch, "REGISTER", "sip:"+domain, cred, user) })
	}
	alice, _ := st.UserByID("alice")
	bob, _ := st.UserByID("bob")
	wrong := work(sha("1001", "wrong!"), alice)
	for name, got := range map[string]float64{
		"unknown user":          work(sha("4711", "wrong!"), nil),
		"other user's password": work(sha("1003", "secret-c"), alice),
		"no such algorithm":     work(sha("1002", "secret-b"), bob),
	} {
		if got != wrong {
			t.Errorf("%s: %v allocations, a wrong password %v", name, got, wrong)
		}
	}
}

func TestForeignDomain(t *testing.T) {
	d := newDoor(t)
	for host, status := range map[string]int{
		domain: 401, "BRANCH.example.com": 401, "old.cloud.example.com": 401, "127.0.0.1": 401,
		"other.example.com": 404, "127.0.0.2": 404, "branch.example.com.evil.test": 404,
	} {
		for _, method := range []string{"REGISTER", "INVITE"} {
			p := d.phone("1001")
			p.host = host
			if res := p.ask(method, contact); res.StatusCode != status {
				t.Errorf("%s at %s: %d, want %d", method, host, res.StatusCode, status)
			}
		}
	}
}

// TestProvenConnection: who has proven it on this connection is not asked again, but nobody else is believed there, and
// the same phone is asked on another.
func TestProvenConnection(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	p.want(p.register(sha("1001", "secret-a"), contact), 200)
	p.want(p.ask("REGISTER", contact), 200)
	if res := p.want(p.ask("INVITE"), 200); res.Reason != "alice" {
		t.Errorf("INVITE comes from %q", res.Reason)
	}
	p.user = "+12175551001" // another form of the same user
	p.want(p.ask("INVITE"), 200)
	p.user = "1002"
	p.want(p.ask("INVITE"), 401)
	p.want(p.ask("REGISTER", contact), 401)
	p.user = "4711"
	p.want(p.ask("INVITE"), 401)

	other := d.phone("1001")
	other.want(other.ask("INVITE"), 401)
	other.want(other.proving("INVITE", md("1001", "secret-a")), 200)

	// A gateway has several users on one connection.
	p.user = "1002"
	p.want(p.proving("INVITE", md("1002", "secret-b")), 200)
	p.user = "1001"
	p.want(p.ask("INVITE"), 200)
	p.user = "1002"
	p.want(p.ask("INVITE"), 200)

	// A password that changes ends the trust; one that did not does not.
	d.set(func(d *door) { d.site = document(t, "new-secret") })
	p.want(p.ask("INVITE"), 200)
	p.user = "1001"
	p.want(p.ask("INVITE"), 401)
	p.want(p.proving("REGISTER", sha("1001", "secret-a"), contact), 401)
	p.want(p.proving("REGISTER", sha("1001", "new-secret"), contact), 200)
	p.want(p.ask("INVITE"), 200)
}

func TestNonceIsNotTakenTwice(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	first := p.ask("INVITE")
	line := p.authorization("INVITE", first, sha("1001", "secret-a"))
	p.want(p.ask("INVITE", line), 200)

	thief := d.phone("1001") // heard the line elsewhere
	res := thief.want(thief.ask("INVITE", line), 401)
	if c := values(res, "WWW-Authenticate"); len(c) != 2 || !strings.Contains(c[0], "stale=true") {
		t.Errorf("challenges %q, want stale", c)
	}
	if n := d.Totals().Failed.Load(); n != 0 {
		t.Errorf("%d failures counted: the password was right", n)
	}
}

// TestManyUsersOnAConnection: what a connection can claim is bounded, and the last who proved it is always known.
func TestManyUsersOnAConnection(t *testing.T) {
	id := &identity{users: map[string]string{}}
	for n := range maxUsersPerFlow {
		id.users[fmt.Sprint(n)] = "x"
	}
	next := id.with(&site.User{ID: "new"})
	if _, ok := next.users["new"]; !ok || len(next.users) != maxUsersPerFlow || len(id.users) != maxUsersPerFlow {
		t.Errorf("%d users, new one %v", len(next.users), ok)
	}
	var none *identity
	if next := none.with(&site.User{ID: "a"}); len(next.users) != 1 {
		t.Errorf("%d users", len(next.users))
	}
}

// TestCredentialsAmongOthers: a phone sends what it has for several realms along; garbage does no harm.
func TestCredentialsAmongOthers(t *testing.T) {
	d := newDoor(t)
	for name, around := range map[string][2][]string{
		"another realm before": {{`Authorization: Digest username="a", realm="cloud", nonce="n", uri="sip:x", response="r"`}, nil},
		"garbage before":       {{"Authorization: Basic QWxhZGRpbjpvcGVu", "Authorization: Digest", "Authorization: "}, nil},
		"garbage after":        {nil, []string{`Authorization: Digest username="` + strings.Repeat("x", 5000)}},
	} {
		p := d.phone("1001")
		first := p.ask("REGISTER", contact)
		lines := append(append(around[0], p.authorization("REGISTER", first, sha("1001", "secret-a"))), around[1]...)
		if res := p.ask("REGISTER", append(lines, contact)...); res.StatusCode != 200 {
			t.Errorf("%s: %d", name, res.StatusCode)
		}
	}
	p := d.phone("1001")
	p.want(p.ask("REGISTER", `Authorization: Digest username="a", realm="cloud", nonce="n", uri="sip:x", response="r"`), 401)
	proxy := strings.Replace(p.authorization("REGISTER", p.ask("REGISTER"), sha("1001", "secret-a")), "Authorization", "Proxy-Authorization", 1)
	p.want(p.ask("REGISTER", proxy), 200)
}

// TestFailuresAreSlowed on the wire: the answers come later and later, in the end all the same.
func TestFailuresAreSlowed(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	line := p.authorization("INVITE", p.ask("INVITE"), sha("1001", "wrong"))
	for range failuresFree {
		p.want(p.ask("INVITE", line), 401)
	}
	began := time.Now()
	p.want(p.ask("INVITE", line), 401)
	if took := time.Since(began); took < failureStep {
		t.Errorf("failure %d answered after %v", failuresFree+1, took)
	}
	// The right password still works, and at once: nobody is locked out.
	began = time.Now()
	p.want(p.proving("INVITE", sha("1001", "secret-a")), 200)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the right password took %v", took)
	}
}

// TestKnownForHelp: who calls for help is whoever the connection has proven, even with the number withheld; nobody is asked.
func TestKnownForHelp(t *testing.T) {
	d := newDoor(t)
	p := d.phone("1001")
	known := func(want string) {
		t.Helper()
		if got := p.ask("MESSAGE").Reason; got != want {
			t.Errorf("From %s: %q; want %q", p.user, got, want)
		}
	}
	known("stranger")
	p.want(p.register(sha("1001", "secret-a"), contact), 200)
	for _, from := range []string{"1001", "+12175551001", "anonymous", "1002"} {
		p.user = from
		known("alice")
	}
	p.user = "1002"
	p.want(p.proving("INVITE", md("1002", "secret-b")), 200)
	known("bob")
	p.user = "anonymous" // one of two: it could be either
	known("stranger")

	p = d.phone("1001")
	p.want(p.register(sha("1001", "secret-a"), contact), 200)
	d.set(func(d *door) { d.site = document(t, "new-secret") })
	p.user = "anonymous"
	known("stranger")
}
