package digest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// RFC 7616 §3.9.1 and RFC 2617 §3.5.
func TestVectors(t *testing.T) {
	c := Credentials{Username: "Mufasa", Realm: "http-auth@example.org", URI: "/dir/index.html", Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
		NC: "00000001", CNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", QOP: "auth"}
	for alg, want := range map[string]string{
		MD5:    "8ca523f5e9506fed4657c9700eebdbec",
		SHA256: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		c.Algorithm = alg
		if got := response(ha1Of(alg, c.Username, c.Realm, "Circle of Life"), "GET", c); got != want {
			t.Errorf("%s: %s", alg, got)
		}
	}
	c = Credentials{Username: "Mufasa", Realm: "testrealm@host.com", URI: "/dir/index.html", Nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
		NC: "00000001", CNonce: "0a4f113b", QOP: "auth", Algorithm: MD5}
	if got := response("939e7578ed9e3c518a452acee763bce9", "GET", c); got != "6629fae49393a05397450978507c4ef1" {
		t.Error(got)
	}
	if ha1Of(MD5, "Mufasa", "testrealm@host.com", "Circle Of Life") != "939e7578ed9e3c518a452acee763bce9" {
		t.Error("HA1")
	}
	if ha1Of("MD5-sess", "a", "b", "c") != "" {
		t.Error("HA1 for an unknown algorithm")
	}
}

// phone answers challenges as a client does.
type phone struct {
	user, realm, password string
}

func (p phone) answer(t *testing.T, challenge, method, uri string, nc uint32) Credentials {
	t.Helper()
	ch, err := Parse(challenge + `, username="-", uri="-", response="-"`)
	if err != nil {
		t.Fatalf("%s: %v", challenge, err)
	}
	c := Credentials{Username: p.user, Realm: ch.Realm, Nonce: ch.Nonce, URI: uri, Algorithm: ch.Algorithm, QOP: ch.QOP, NC: fmt.Sprintf("%08x", nc), CNonce: "c0ffee"}
	c.Response = response(ha1Of(c.Algorithm, p.user, p.realm, p.password), method, c)
	got, err := Parse(header(c))
	if err != nil || got != c {
		t.Fatalf("%+v became %+v: %v", c, got, err)
	}
	return got
}

func header(c Credentials) string {
	return fmt.Sprintf(`Digest username=%s, realm=%s, nonce=%s, uri=%s, response=%s, algorithm=%s, cnonce=%s, qop=%s, nc=%s`, quote(c.Username), quote(c.Realm),
		quote(c.Nonce), quote(c.URI), quote(c.Response), c.Algorithm, quote(c.CNonce), c.QOP, c.NC)
}

const realm = `bran"ch.example`

var (
	alice = phone{"alice", realm, "s3cret"}
	t0    = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
)

func aliceHA1() map[string]string {
	return map[string]string{SHA256: ha1Of(SHA256, "alice", realm, "s3cret"), MD5: ha1Of(MD5, "alice", realm, "s3cret")}
}

func server(max int) *Server {
	return New(Options{Realm: realm, Secret: [32]byte{1, 2, 3}, Lifetime: time.Minute, MaxNonces: max})
}

const uri1 = "sip:branch.example"

func TestChallenges(t *testing.T) {
	s := server(0)
	all := s.Challenges(t0, true, nil)
	if len(all) != 2 || !strings.Contains(all[0], "algorithm=SHA-256") || !strings.Contains(all[1], "algorithm=MD5") {
		t.Fatalf("%q", all)
	}
	nonces := map[string]bool{}
	for _, v := range all {
		if !strings.HasPrefix(v, `Digest realm="bran\"ch.example", nonce="`) || !strings.HasSuffix(v, `, qop="auth", stale=true`) {
			t.Errorf("%s", v)
		}
		nonces[alice.answer(t, v, "REGISTER", uri1, 1).Nonce] = true
	}
	if len(nonces) != 2 {
		t.Error("the nonces are the same")
	}
	if one := s.Challenges(t0, false, []string{MD5, "NULL"}); len(one) != 1 || strings.Contains(one[0], "stale") {
		t.Errorf("%q", one)
	}
}

func TestVerify(t *testing.T) {
	s := server(0)
	for i, alg := range []string{SHA256, MD5} {
		c := alice.answer(t, s.Challenges(t0, false, nil)[i], "REGISTER", uri1, 1)
		if c.Algorithm != alg {
			t.Fatal(c.Algorithm)
		}
		if r := s.Verify(t0.Add(time.Minute), "REGISTER", uri1, c, aliceHA1(), true); !r.OK || r.Stale {
			t.Errorf("%s: %+v", alg, r)
		}
	}
	upper := alice.answer(t, s.Challenges(t0, false, nil)[0], "INVITE", uri1, 0xabc)
	upper.NC = strings.ToUpper(upper.NC)
	upper.Response = strings.ToUpper(response(aliceHA1()[SHA256], "INVITE", upper))
	if r := s.Verify(t0, "INVITE", uri1, upper, aliceHA1(), true); !r.OK {
		t.Errorf("upper-case hex: %+v", r)
	}
}

func TestVerifyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Credentials)
		known bool
		stale bool
		resum bool // with a right response to what was spoilt
	}{
		"wrong response":        {func(c *Credentials) { c.Response = strings.Repeat("0", 64) }, true, false, false},
		"empty response":        {func(c *Credentials) { c.Response = "" }, true, false, false},
		"cut response":          {func(c *Credentials) { c.Response = c.Response[:32] }, true, false, false},
		"unknown user":          {func(c *Credentials) {}, false, false, false},
		"other method":          {func(c *Credentials) { c.Response = response(aliceHA1()[SHA256], "INVITE", *c) }, true, false, false},
		"no qop":                {func(c *Credentials) { c.QOP = "" }, true, false, true},
		"auth-int":              {func(c *Credentials) { c.QOP = "auth-int" }, true, false, true},
		"no cnonce":             {func(c *Credentials) { c.CNonce = "" }, true, false, true},
		"other realm":           {func(c *Credentials) { c.Realm = "cloud.example" }, true, false, true},
		"other uri":             {func(c *Credentials) { c.URI = "sip:other.example" }, true, false, true},
		"session algorithm":     {func(c *Credentials) { c.Algorithm = "SHA-256-sess" }, true, false, false},
		"nc zero":               {func(c *Credentials) { c.NC = "00000000" }, true, false, true},
		"nc short":              {func(c *Credentials) { c.NC = "1" }, true, false, true},
		"nc long":               {func(c *Credentials) { c.NC = "000000001" }, true, false, true},
		"nc signed":             {func(c *Credentials) { c.NC = "+0000001" }, true, false, true},
		"nc no number":          {func(c *Credentials) { c.NC = "0000000g" }, true, false, true},
		"another's nonce":       {func(c *Credentials) { c.Nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093" }, true, true, true},
		"forged nonce":          {func(c *Credentials) { c.Nonce = forge(c.Nonce) }, true, true, true},
		"respelt nonce":         {func(c *Credentials) { c.Nonce = respell(c.Nonce) }, true, true, true},
		"lengthened nonce":      {func(c *Credentials) { c.Nonce += "A" }, true, true, true},
		"forged nonce, no hash": {func(c *Credentials) { c.Nonce = forge(c.Nonce) }, true, false, false},
	} {
		s := server(0)
		cred := alice.answer(t, s.Challenges(t0, false, nil)[0], "REGISTER", uri1, 1)
		good := cred
		c.spoil(&cred)
		if c.resum {
			cred.Response = response(aliceHA1()[SHA256], "REGISTER", cred)
		}
		r := s.Verify(t0, "REGISTER", uri1, cred, aliceHA1(), c.known)
		if r.OK || r.Stale != c.stale || r.Reason == "" {
			t.Errorf("%s: %+v", name, r)
		}
		if len(s.replays.young) != 0 {
			t.Errorf("%s: something was kept", name)
		}
		if r := s.Verify(t0, "REGISTER", uri1, good, aliceHA1(), true); !r.OK {
			t.Errorf("%s: the right answer afterwards: %+v", name, r)
		}
	}
}

// A user without an HA1 for the algorithm, a stranger and a wrong password look the same.
func TestIndistinguishable(t *testing.T) {
	s := server(0)
	verify := func(p phone, ha1 map[string]string, known bool) Result {
		return s.Verify(t0, "REGISTER", uri1, p.answer(t, s.Challenges(t0, false, nil)[0], "REGISTER", uri1, 1), ha1, known)
	}
	want := verify(phone{"alice", realm, "guess"}, aliceHA1(), true)
	for name, got := range map[string]Result{
		"stranger":             verify(phone{"mallory", realm, "guess"}, nil, false),
		"stranger with an HA1": verify(alice, aliceHA1(), false),
		"no HA1":               verify(alice, map[string]string{MD5: aliceHA1()[MD5]}, true),
		"empty HA1":            verify(phone{"alice", realm, ""}, map[string]string{}, true),
	} {
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	a, b := s.decoy(Credentials{Algorithm: SHA256, Username: "mallory"}), s.decoy(Credentials{Algorithm: MD5, Username: "mallory"})
	if len(a) != 64 || len(b) != 32 || strings.HasPrefix(a, b) || a != s.decoy(Credentials{Algorithm: SHA256, Username: "mallory"}) {
		t.Errorf("decoys %s %s", a, b)
	}
}

func TestExpiryAndRestart(t *testing.T) {
	s := server(0)
	c := alice.answer(t, s.Challenges(t0, false, nil)[0], "REGISTER", uri1, 1)
	if r := s.Verify(t0.Add(time.Minute+1), "REGISTER", uri1, c, aliceHA1(), true); r.OK || !r.Stale {
		t.Errorf("expired: %+v", r)
	}
	if r := s.Verify(t0.Add(-time.Second), "REGISTER", uri1, c, aliceHA1(), true); r.OK || !r.Stale {
		t.Errorf("from the future: %+v", r)
	}
	other := New(Options{Realm: realm, Secret: [32]byte{9}})
	if r := other.Verify(t0, "REGISTER", uri1, c, aliceHA1(), true); r.OK || !r.Stale {
		t.Errorf("after a restart: %+v", r)
	}
}

func TestReplay(t *testing.T) {
	s := server(0)
	challenge := s.Challenges(t0, false, nil)[0]
	for _, step := range []struct {
		nc uint32
		ok bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {3, false}, {66, true}, {2, false}, {4, true}, {4, false}, {1000, true}, {66, false}, {936, false}, {937, true}, {0xffffffff, true}, {0xffffffff, false}, {0xfffffffe, true}} {
		r := s.Verify(t0, "INVITE", uri1, alice.answer(t, challenge, "INVITE", uri1, step.nc), aliceHA1(), true)
		if r.OK != step.ok || r.Stale == step.ok {
			t.Errorf("nc %d: %+v", step.nc, r)
		}
	}
}

// Whatever the order and however small the memory: no (nonce, nc) is taken twice, and a nonce fresh from the server is taken unless
// half the memory's worth of younger ones came before it.
func TestReplayMemory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := replays{half: 8}
	type key struct {
		number uint64
		nc     uint32
	}
	taken := map[key]bool{}
	refused := 0
	for newest := uint64(1); newest < 5000; newest++ {
		for range 3 {
			k := key{newest - rnd.Uint64N(min(newest, 40)), 1 + rnd.Uint32N(90)}
			ok := r.use(k.number, k.nc)
			if ok && taken[k] {
				t.Fatalf("%+v taken twice", k)
			}
			if !ok && !taken[k] {
				refused++
			}
			taken[k] = taken[k] || ok
			if len(r.young)+len(r.old) > 16 {
				t.Fatalf("%d nonces kept", len(r.young)+len(r.old))
			}
		}
		if !r.use(newest+1, 91) {
			t.Fatalf("fresh nonce %d refused", newest+1)
		}
		taken[key{newest + 1, 91}] = true
	}
	if refused == 0 {
		t.Error("nothing was ever forgotten: the test does not reach what it tests")
	}
}

func TestSameURI(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"sip:branch.example", "sip:branch.example", true},
		{"sip:branch.example", "SIP:Branch.Example", true},
		{"sip:branch.example;transport=tls", "sip:branch.example", true},
		{"sip:branch.example:5061", "sip:branch.example;transport=TLS", true},
		{"sip:2001@h;user=phone;transport=tls", "sip:2001@h;transport=tcp;user=phone", true},
		{"sip:2001@h;user=phone", "sip:2001@h", false},
		{"sip:2001@h:5061", "sip:2001@h:5062", false},
		{"sip:2001@h", "sip:2002@h", false},
		{"sip:2001@h", "sip:2001@g", false},
		{"sip:2001@h", "sips:2001@h", false},
		{"sip:2001@h?x=y", "sip:2001@h", false},
		{"sip:[::1]:5061", "sip:[::1]", true},
		{"sip:[::1]", "sip:[::2]", false},
		{"tel:+15551234", "tel:+15551234", true},
		{"tel:+15551234", "tel:+15551235", false},
		{"urn:service:sos", "urn:service:sos", true},
		{"/index.html", "sip:h", false},
		{"sip:", "sip:;transport=tls", false},
		{"sip:a;b@h", "sip:a;b@h;transport=tls", true},
	} {
		if sameURI(c.a, c.b) != c.same || sameURI(c.b, c.a) != c.same {
			t.Errorf("%s, %s: want %v", c.a, c.b, c.same)
		}
	}
	if long := strings.Repeat("a", maxValue+1); sameURI(long, long) {
		t.Error("unbounded")
	}
}

func BenchmarkVerify(b *testing.B) {
	s := server(0)
	ch, _ := Parse(s.Challenges(t0, false, nil)[0] + `, username="-", uri="-", response="-"`)
	c := Credentials{Username: "alice", Realm: realm, Nonce: ch.Nonce, URI: uri1, Algorithm: SHA256, QOP: "auth", NC: "00000001", CNonce: "c0ffee"}
	c.Response = response(aliceHA1()[SHA256], "REGISTER", c)
	ha1 := aliceHA1()
	b.ReportAllocs()
	for b.Loop() {
		s.Verify(t0, "REGISTER", uri1, c, ha1, true)
	}
}

// respell sets the two bits that base64 leaves over at the end of 32 bytes.
func respell(nonce string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(nonce) - 1
	return nonce[:last] + string(digits[strings.IndexByte(digits, nonce[last])|1])
}

// forge raises a nonce's number.
func forge(nonce string) string { return nonce[:9] + "Z" + nonce[10:] }

// ha1Of is H(username:realm:password) in lower-case hex, "" for an unknown algorithm (RFC 7616 §3.4.2).
func ha1Of(alg, username, realm, password string) string {
	if newHash(alg) == nil {
		return ""
	}
	return sum(alg, username, realm, password)
}
