package admin

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/admin/account"
)

func TestLogin(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ name, password string }{{"root", "wrong"}, {"nobody", secret}, {"", ""}, {"root", ""}} {
		a := r.post("/login", "", url.Values{"name": {c.name}, "password": {c.password}})
		if a.status != 401 || !strings.Contains(a.body, "The name or the password is wrong.") || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %d %.200s", c, a.status, a.body)
		}
	}
	a := r.post("/login", "", url.Values{"name": {"root"}, "password": {secret}, "to": {"/calls?q=1"}})
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil || a.status != 303 || a.header.Get("Location") != "/calls?q=1" {
		t.Fatalf("%d %v %v", a.status, a.header, err)
	}
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) != 43 {
		t.Errorf("the cookie is %+v", c)
	}
	if a := r.do("GET", "/", c.Value, nil); a.status != 200 || !strings.Contains(a.body, "Are we up?") {
		t.Errorf("%d %.300s", a.status, a.body)
	}
	for _, cookie := range []string{"", "x", c.Value + "x", strings.ToUpper(c.Value)} {
		if a := r.do("GET", "/", cookie, nil); a.status != 303 || a.header.Get("Location") != "/login" {
			t.Errorf("%q: %d %s", cookie, a.status, a.header.Get("Location"))
		}
	}
	if a := r.post("/logout", c.Value, nil); a.status != 303 {
		t.Errorf("logout: %d", a.status)
	}
	if a := r.do("GET", "/", c.Value, nil); a.status != 303 {
		t.Errorf("after the logout: %d", a.status)
	}
}

// TestWhereTo: a login leads to this page's own addresses only.
func TestWhereTo(t *testing.T) {
	r := newRig(t)
	for to, want := range map[string]string{"/calls": "/calls", "//evil.example/": "/", "https://evil.example/": "/", `/\evil.example`: "/", `\\evil.example`: "/", "javascript:alert(1)": "/",
		"calls": "/", "": "/", "/%0d%0aSet-Cookie:x": "/%0d%0aSet-Cookie:x", "/\r\nX: y": "/", "http:/x": "/"} {
		a := r.post("/login", "", url.Values{"name": {"root"}, "password": {secret}, "to": {to}})
		if got := a.header.Get("Location"); a.status != 303 || got != want {
			t.Errorf("%q leads to %q, %d", to, got, a.status)
		}
	}
}

// TestFlood: a wrong password costs time after some tries, for this address only, and nobody is locked out of an account.
func TestFlood(t *testing.T) {
	r := newRig(t)
	wrong := url.Values{"name": {"root"}, "password": {"wrong"}}
	for i := range freeGuesses {
		if a := r.post("/login", "", wrong); a.status != 401 {
			t.Fatalf("try %d: %d", i, a.status)
		}
	}
	for range 50 { // none of these costs a check, not even with the right password
		a := r.post("/login", "", url.Values{"name": {"root"}, "password": {secret}})
		if a.status != 429 || a.header.Get("Retry-After") != "2" || !strings.Contains(a.body, "Wait 2 s") {
			t.Fatalf("%d %v %.200s", a.status, a.header, a.body)
		}
	}
	r.tick(2 * time.Second)
	if a := r.post("/login", "", wrong); a.status != 401 {
		t.Errorf("after the wait: %d", a.status)
	}
	if a := r.post("/login", "", wrong); a.status != 429 || a.header.Get("Retry-After") != "4" {
		t.Errorf("the wait does not grow: %d %s", a.status, a.header.Get("Retry-After"))
	}
	if _, err := r.srv.guesses.try(t.Context(), netip.MustParseAddr("10.0.0.7"), func() error { return nil }); err != nil {
		t.Errorf("another address: %v", err)
	}
	r.tick(4 * time.Second)
	r.login("root")
	if a := r.post("/login", "", wrong); a.status != 401 {
		t.Errorf("the right password did not make up for the wrong ones: %d", a.status)
	}
}

// TestGuessersAreBounded: a flood from many addresses does not fill the memory.
func TestGuessersAreBounded(t *testing.T) {
	now := epoch
	g := newGuesses(func() time.Time { return now })
	a := netip.MustParseAddr("10.0.0.0")
	for range mostGuessers + 100 {
		now = now.Add(time.Millisecond)
		g.note(a, false)
		a = a.Next()
	}
	if len(g.by) > mostGuessers {
		t.Errorf("%d are remembered", len(g.by))
	}
	now = now.Add(forgetAfter + time.Minute)
	g.note(a, false)
	if len(g.by) > 1 {
		t.Errorf("%d are remembered for ever", len(g.by))
	}
}

// TestOneCheckAtATime: the memory that a check takes is taken once; who finds no place in the queue is told so.
func TestOneCheckAtATime(t *testing.T) {
	g := newGuesses(time.Now)
	began, go_on := make(chan struct{}), make(chan struct{})
	results := make(chan error, checksWaiting+8)
	from := netip.MustParseAddr("10.0.0.1")
	running := 0
	check := func() error {
		running++ // the race detector says if two run at once
		began <- struct{}{}
		<-go_on
		return nil
	}
	go func() { _, err := g.try(t.Context(), from, check); results <- err }()
	<-began
	for range checksWaiting - 1 {
		go func() { _, err := g.try(t.Context(), from, check); results <- err }()
	}
	for len(g.waiting) < checksWaiting {
		time.Sleep(time.Millisecond)
	}
	if _, err := g.try(t.Context(), from, check); err != errBusy {
		t.Errorf("one too many: %v", err)
	}
	go func() {
		for range began {
		}
	}()
	close(go_on)
	for range checksWaiting {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	close(began)
}

func TestSessionEnds(t *testing.T) {
	r := newRig(t)
	in := func(cookie string) bool { return r.do("GET", "/phones", cookie, nil).status == 200 }
	idle := r.login("viewer")
	r.tick(sessionIdle)
	if !in(idle) {
		t.Error("ended too early")
	}
	r.tick(sessionIdle + time.Second)
	if in(idle) {
		t.Error("lives on without use")
	}
	root, viewer := r.login("root"), r.login("viewer")
	for range 13 {
		r.tick(sessionIdle - time.Minute)
		in(root)
		in(viewer)
	}
	if in(root) || !in(viewer) {
		t.Error("the longest life of a session is not as it should be")
	}
	// A new password or a removed account ends what is open.
	if err := r.srv.o.Accounts.SetPassword("viewer", secret+"!", "", false); err != nil {
		t.Fatal(err)
	}
	if in(viewer) {
		t.Error("a session under the old password lives on")
	}
	desk := r.login("desk")
	if err := r.srv.o.Accounts.Remove("desk"); err != nil {
		t.Fatal(err)
	}
	if in(desk) {
		t.Error("a session without an account lives on")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	now := epoch
	s := newSessions(func() time.Time { return now })
	for range mostSessions + 10 {
		now = now.Add(time.Second)
		s.begin(account.User{Name: "a"})
	}
	if len(s.all) != mostSessions {
		t.Errorf("%d sessions", len(s.all))
	}
}

func TestChangePassword(t *testing.T) {
	r := newRig(t)
	cookie, other := r.login("desk"), r.login("desk")
	const fresh = "another four words"
	for name, c := range map[string]url.Values{
		"your own password is wrong":      {"password": {"wrong"}, "new": {fresh}, "again": {fresh}},
		"the two new passwords differ":    {"password": {secret}, "new": {fresh}, "again": {fresh + "!"}},
		"the password is too short":       {"password": {secret}, "new": {"short"}, "again": {"short"}},
		"the new password is the old one": {"password": {secret}, "new": {secret}, "again": {secret}},
	} {
		if a := r.post("/account", cookie, c); a.status != 303 || a.header.Get("Location") != "/account" {
			t.Errorf("%s: %d", name, a.status)
		}
		if a := r.do("GET", "/account", cookie, nil); !strings.Contains(a.body, sentence(name)[:len(name)]) {
			t.Errorf("%s is not said", name)
		}
	}
	a := r.post("/account", cookie, url.Values{"password": {secret}, "new": {fresh}, "again": {fresh}})
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil || a.status != 303 {
		t.Fatalf("%d %v", a.status, err)
	}
	if r.do("GET", "/", c.Value, nil).status != 200 || r.do("GET", "/", cookie, nil).status == 200 || r.do("GET", "/", other, nil).status == 200 {
		t.Error("the wrong sessions live on")
	}
}

// TestFirstPasswordHasToGo: nothing can be done with it but to change it.
func TestFirstPasswordHasToGo(t *testing.T) {
	r := newRig(t)
	if err := r.srv.o.Accounts.SetPassword("root", secret, "", true); err != nil {
		t.Fatal(err)
	}
	cookie := r.login("root")
	if a := r.do("GET", "/calls", cookie, nil); a.status != 303 || a.header.Get("Location") != "/account" {
		t.Errorf("%d %s", a.status, a.header.Get("Location"))
	}
	if a := r.post("/drill/start", cookie, url.Values{"who": {"all"}, "minutes": {"5"}}); a.status != 403 {
		t.Errorf("%d", a.status)
	}
	if a := r.do("GET", "/api/v1/status", cookie, nil); a.status != 403 {
		t.Errorf("%d", a.status)
	}
	if len(r.box.asked()) > 0 {
		t.Errorf("%q", r.box.asked())
	}
}
