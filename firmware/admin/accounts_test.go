package admin

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/firmware/admin/account"
)

// says is the notice of the next page, and the secret that it shows.
func (r *rig) says(path, cookie string) (notice, secret string) {
	r.t.Helper()
	body := r.do("GET", path, cookie, nil).body
	if _, text, ok := strings.Cut(body, `<p class="notice`); ok {
		text, _, _ = strings.Cut(text, "</p>")
		_, text, _ = strings.Cut(text, ">")
		notice = html.UnescapeString(text)
	}
	if m := regexp.MustCompile(`<div class="secret"[^>]*><code[^>]*>([^<]+)</code>`).FindStringSubmatch(body); m != nil {
		secret = m[1]
	}
	return notice, secret
}

// TestAccountsByPage: an account from its first login to its end, by nothing but the page.
func TestAccountsByPage(t *testing.T) {
	r := newRig(t)
	root := r.login("root")
	in := func(cookie string) bool { return r.do("GET", "/account", cookie, nil).status == 200 }
	post := func(path, want string, values url.Values) string {
		t.Helper()
		a := r.post(path, root, values)
		if a.status != 303 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		r.do("HEAD", a.header.Get("Location"), root, nil) // swallows nothing
		text, made := r.says(a.header.Get("Location"), root)
		if !strings.Contains(text, want) {
			t.Errorf("%s: the page says %q, want %q", path, text, want)
		}
		if again, twice := r.says("/accounts", root); again != "" || twice != "" {
			t.Errorf("%s: said twice: %q", path, again)
		}
		return made
	}
	enter := func(name, password string) string {
		t.Helper()
		c := r.post("/login", "", url.Values{"name": {name}, "password": {password}})
		value, _, _ := strings.Cut(strings.TrimPrefix(c.header.Get("Set-Cookie"), cookieName+"="), ";")
		if c.status != 303 || value == "" {
			t.Fatalf("%s: %d %.200s", name, c.status, c.body)
		}
		return value
	}
	const name, at = "Zoë / <b>Park</b>?", "/accounts/Zo%C3%AB%20%2F%20%3Cb%3EPark%3C%2Fb%3E%3F"
	first := post("/accounts", name+" may log in as Front desk", url.Values{"name": {name + " "}, "role": {"front-desk"}, "confirm": {secret}})
	if len(first) != 19 {
		t.Fatalf("the first password is %q", first)
	}
	list := r.do("GET", "/accounts", root, nil).body
	if !strings.Contains(list, `href="`+at+`"`) || strings.Contains(list, "<b>Park") || !strings.Contains(list, "to be changed</span>") || !strings.Contains(list, "not since the box started") {
		t.Errorf("the list is %s", list)
	}
	zoe := enter(name, first)
	if a := r.do("GET", "/", zoe, nil); a.status != 303 || a.header.Get("Location") != "/account" {
		t.Errorf("with the first password: %d", a.status)
	}
	const own = "some other words of hers"
	a := r.post("/account", zoe, url.Values{"password": {first}, "new": {own}, "again": {own}})
	if a.status != 303 || in(zoe) {
		t.Errorf("%d", a.status)
	}
	zoe = enter(name, own)
	if page := r.do("GET", at, root, nil).body; strings.Contains(page, "to be changed</span>") || strings.Contains(page, "not since the box started") || !strings.Contains(page, `action="`+at+`/role"`) {
		t.Errorf("her page is %s", page)
	}

	post(at+"/role", "is Viewer now", url.Values{"role": {"viewer"}, "confirm": {secret}})
	if in(zoe) {
		t.Error("a session lives on under another role")
	}
	zoe = enter(name, own)
	second := post(at+"/password", "is logged out everywhere", url.Values{"confirm": {secret}})
	if in(zoe) || second == first || len(second) != 19 {
		t.Errorf("after a new password: %q", second)
	}
	if a := r.post("/login", "", url.Values{"name": {name}, "password": {own}}); a.status != 401 {
		t.Errorf("the old password: %d", a.status)
	}
	zoe = enter(name, second)
	if made := post(at+"/remove", "may not log in any more", nil); in(zoe) || made != "" {
		t.Error("a session without an account lives on")
	}
	if page := r.do("GET", at, root, nil); page.status != 200 || !strings.Contains(page.body, "There is no such account") || strings.Contains(page.body, "/remove") {
		t.Errorf("%d %s", page.status, page.body)
	}
	// One of the same name that is made later is another.
	post("/accounts", "has to change the password first", url.Values{"name": {name}, "role": {"viewer"}, "password": {own}, "confirm": {secret}})
	if page := r.do("GET", at, root, nil).body; !strings.Contains(page, "not since the box started") {
		t.Error("it has its namesake's last login")
	}

	token := post("/tokens", "good until 2 Mar 2026", url.Values{"name": {"grafana"}, "scope": {"read", "drill"}, "days": {"1"}, "confirm": {secret}})
	auth := header("Authorization", "Bearer "+token)
	if a := r.do("GET", "/api/v1/status", "", nil, auth); a.status != 200 {
		t.Errorf("the token %q: %d", token, a.status)
	}
	used, err := r.srv.tokens()
	if err != nil || len(used) != 2 || used[1].Name != "grafana" || used[1].Used.IsZero() {
		t.Errorf("%+v, %v", used, err)
	}
	r.tick(24 * time.Hour) // and everybody is logged out
	root = r.login("root")
	if page := r.do("GET", "/accounts", root, nil).body; !strings.Contains(page, "ended") {
		t.Error("the page does not say that the token has ended")
	}
	post("/tokens/"+used[1].ID+"/revoke", "The token grafana is refused from now on.", nil)
	eternal := post("/tokens", "good for ever", url.Values{"name": {"for ever"}, "scope": {"read"}, "days": {"0"}, "confirm": {secret}})
	auth = header("Authorization", "Bearer "+eternal)
	if a := r.do("GET", "/api/v1/status", "", nil, auth); a.status != 200 {
		t.Errorf("%d", a.status)
	}
	post("/tokens/"+strings.Split(eternal, "_")[1]+"/revoke", "refused from now on", nil)
	if a := r.do("GET", "/api/v1/status", "", nil, auth); a.status != 401 {
		t.Errorf("a token that was revoked: %d", a.status)
	}

	told := strings.Join(r.log.Lines(tailLines), "\n")
	for _, s := range []string{secret, first, second, own, token, eternal} {
		if strings.Contains(told, s) {
			t.Errorf("the log holds %q", s)
		}
	}
	for _, want := range []string{"account made on the page", "role changed on the page", "password set anew on the page", "account removed on the page", "token made on the page", "token revoked on the page", "by=root"} {
		if !strings.Contains(told, want) {
			t.Errorf("the log does not say %q:\n%s", want, told)
		}
	}
}

// TestAccountRefusals: what is wrong is said, by page and API, and nothing is written.
func TestAccountRefusals(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, func(o *Options) {
		users, err := o.Accounts.Users()
		if err != nil {
			t.Fatal(err)
		}
		writeAccounts(t, filepath.Join(dir, "accounts.json"), users)
		o.Accounts = account.Open(filepath.Join(dir, "accounts.json"), o.Now)
	})
	root := r.login("root")
	before, err := os.ReadFile(filepath.Join(dir, "accounts.json"))
	if err != nil {
		t.Fatal(err)
	}
	type o = map[string]any
	for _, c := range []struct {
		path   string
		form   url.Values
		method string
		api    string
		body   o
		status int
		want   string
	}{
		{"/accounts", url.Values{"name": {"bob"}, "role": {"viewer"}}, "POST", "/accounts", o{"name": "bob", "role": "viewer"}, 403, "our own password is wrong: nothing was changed"},
		{"/accounts", url.Values{"name": {"Desk"}, "role": {"viewer"}, "confirm": {secret}}, "POST", "/accounts", o{"name": "Desk", "role": "viewer", "confirm": secret}, 409, `here is an account "desk" already`},
		{"/accounts", url.Values{"name": {""}, "role": {"viewer"}, "confirm": {secret}}, "POST", "/accounts", o{"name": "", "role": "viewer", "confirm": secret}, 409, "is no name"},
		{"/accounts", url.Values{"name": {"a\r\nb"}, "role": {"viewer"}, "confirm": {secret}}, "POST", "/accounts", o{"name": "a\r\nb", "role": "viewer", "confirm": secret}, 409, "is no name"},
		{"/accounts", url.Values{"name": {"bob"}, "confirm": {secret}}, "POST", "/accounts", o{"name": "bob", "role": "", "confirm": secret}, 409, `here is no role ""`},
		{"/accounts", url.Values{"name": {"bob"}, "role": {"admin"}, "password": {"short"}, "confirm": {secret}}, "POST", "/accounts", o{"name": "bob", "role": "admin", "password": "short", "confirm": secret}, 409, "too short"},
		{"/accounts/desk/role", url.Values{"role": {"viewer"}, "confirm": {"wrong"}}, "PUT", "/accounts/desk/role", o{"role": "viewer", "confirm": "wrong"}, 403, "our own password is wrong"},
		{"/accounts/desk/role", url.Values{"role": {"boss"}, "confirm": {secret}}, "PUT", "/accounts/desk/role", o{"role": "boss", "confirm": secret}, 409, `here is no role "boss"`},
		{"/accounts/none/role", url.Values{"role": {"viewer"}, "confirm": {secret}}, "PUT", "/accounts/none/role", o{"role": "viewer", "confirm": secret}, 404, "here is no such account"},
		{"/accounts/root/role", url.Values{"role": {"viewer"}, "confirm": {secret}}, "PUT", "/accounts/root/role", o{"role": "viewer", "confirm": secret}, 409, "his is your own account"},
		{"/accounts/root/role", url.Values{"role": {"viewer"}, "confirm": {secret}, "self": {"yes"}}, "PUT", "/accounts/root/role", o{"role": "viewer", "confirm": secret, "self": true}, 409, "obody else is an admin"},
		{"/accounts/root/password", url.Values{"confirm": {secret}}, "PUT", "/accounts/root/password", o{"confirm": secret}, 409, "choose Change password"},
		{"/accounts/none/password", url.Values{"confirm": {secret}}, "PUT", "/accounts/none/password", o{"confirm": secret}, 404, "here is no such account"},
		{"/accounts/desk/password", url.Values{"password": {"frontdesk"}, "confirm": {secret}}, "PUT", "/accounts/desk/password", o{"password": "frontdesk", "confirm": secret}, 409, "too short"},
		{"/accounts/root/remove", nil, "DELETE", "/accounts/root", nil, 409, "his is your own account"},
		{"/accounts/root/remove", url.Values{"self": {"yes"}}, "DELETE", "/accounts/root?self=true", nil, 409, "obody else is an admin"},
		{"/accounts/none/remove", nil, "DELETE", "/accounts/none", nil, 404, "here is no such account"},
		{"/tokens", url.Values{"name": {"x"}, "scope": {"read"}, "days": {"1"}}, "POST", "/tokens", o{"name": "x", "scopes": []string{"read"}, "days": 1}, 403, "our own password is wrong"},
		{"/tokens", url.Values{"name": {"x"}, "days": {"1"}, "confirm": {secret}}, "POST", "/tokens", o{"name": "x", "scopes": nil, "days": 1, "confirm": secret}, 409, "ay what the token may do"},
		{"/tokens", url.Values{"name": {"x"}, "scope": {"all"}, "days": {"1"}, "confirm": {secret}}, "POST", "/tokens", o{"name": "x", "scopes": []string{"all"}, "days": 1, "confirm": secret}, 409, `here is no scope "all"`},
		{"/tokens", url.Values{"name": {""}, "scope": {"read"}, "days": {"1"}, "confirm": {secret}}, "POST", "/tokens", o{"name": "", "scopes": []string{"read"}, "days": 1, "confirm": secret}, 409, "is no name"},
		{"/tokens", url.Values{"name": {"x"}, "scope": {"read"}, "days": {"99999"}, "confirm": {secret}}, "POST", "/tokens", o{"name": "x", "scopes": []string{"read"}, "days": 99999, "confirm": secret}, 409, "1 to 3650 days"},
		{"/tokens", url.Values{"name": {"x"}, "scope": {"read"}, "days": {"-1"}, "confirm": {secret}}, "POST", "/tokens", o{"name": "x", "scopes": []string{"read"}, "days": -1, "confirm": secret}, 409, "1 to 3650 days"},
		{"/tokens/none/revoke", nil, "DELETE", "/tokens/none", nil, 404, "here is no"},
	} {
		a := r.post(c.path, root, c.form)
		text, made := r.says(a.header.Get("Location"), root)
		if a.status != 303 || !strings.Contains(text, c.want) || made != "" {
			t.Errorf("%s %v: %d, the page says %q, want %q", c.path, c.form, a.status, text, c.want)
		}
		a = r.json(c.method, apiRoot+c.api, root, c.body)
		if a.status != c.status || !strings.Contains(html.UnescapeString(strings.ReplaceAll(a.body, `\"`, `"`)), c.want) {
			t.Errorf("%s %s %v: %d %s, want %d %q", c.method, c.api, c.body, a.status, a.body, c.status, c.want)
		}
		r.tick(forgetAfter + time.Second) // wrong passwords are another test's
	}
	if a := r.post("/tokens", root, url.Values{"name": {"x"}, "scope": {"read"}, "days": {"x"}}); a.status != 303 {
		t.Errorf("%d", a.status)
	} else if text, _ := r.says("/accounts", root); !strings.Contains(text, "Say for how many days") {
		t.Errorf("the page says %q", text)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "accounts.json")); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed (%v):\n%s", err, after)
	}
	if r.do("GET", "/accounts", root, nil).status != 200 {
		t.Error("the session has ended")
	}
}

// TestConfirmIsNoOracle: whoever finds an open page cannot guess its owner's password by it.
func TestConfirmIsNoOracle(t *testing.T) {
	r := newRig(t)
	root := r.login("root")
	for range freeGuesses {
		r.post("/accounts/desk/role", root, url.Values{"role": {"admin"}, "confirm": {"wrong"}})
		if text, _ := r.says("/accounts", root); !strings.Contains(text, "Your own password is wrong") {
			t.Fatalf("the page says %q", text)
		}
	}
	r.post("/accounts/desk/role", root, url.Values{"role": {"admin"}, "confirm": {secret}}) // right, and not even looked at
	if text, _ := r.says("/accounts", root); !strings.Contains(text, "Too many wrong passwords from this address: wait 2 s") {
		t.Errorf("the page says %q", text)
	}
	if a := r.json("PUT", apiRoot+"/accounts/desk/role", root, NewRole{Role: account.Admin, Confirm: secret}); a.status != 429 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if u, err := r.srv.o.Accounts.User("desk"); err != nil || u.Role != account.FrontDesk {
		t.Errorf("%+v, %v", u, err)
	}
	if !strings.Contains(strings.Join(r.log.Lines(tailLines), "\n"), "a wrong password for a change of accounts") {
		t.Error("the log does not say it")
	}
}

// TestTokenGivesNoMore: a token for accounts makes nobody who may do more than itself, and takes nobody over who may.
func TestTokenGivesNoMore(t *testing.T) {
	r := newRig(t)
	text, err := r.srv.o.Accounts.AddToken("provisioning", account.Read|account.Accounts, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	auth := []func(*http.Request){header("Authorization", "Bearer "+text), header("Sec-Fetch-Site", "")}
	for _, c := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"POST", "/accounts", NewAccount{Name: "new", Role: account.Viewer}, 200},
		{"POST", "/accounts", NewAccount{Name: "eve", Role: account.Admin}, 403},
		{"PUT", "/accounts/new/role", NewRole{Role: account.FrontDesk}, 403},
		{"PUT", "/accounts/desk/role", NewRole{Role: account.Viewer}, 403},
		{"PUT", "/accounts/root/password", NewPassword{}, 403},
		{"PUT", "/accounts/viewer/password", NewPassword{}, 200},
		{"POST", "/tokens", NewToken{Name: "eve", Scopes: account.All.Names()}, 403},
		{"POST", "/tokens", NewToken{Name: "looks", Scopes: []string{"read"}, Days: 1}, 200},
		{"DELETE", "/accounts/root", nil, 409},
		{"DELETE", "/accounts/new", nil, 200},
	} {
		a := r.json(c.method, apiRoot+c.path, "", c.body, auth...)
		if a.status != c.status {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, a.status, a.body, c.status)
		}
	}
	if !strings.Contains(strings.Join(r.log.Lines(tailLines), "\n"), `by="token provisioning"`) {
		t.Error("the log does not say who it was")
	}
}

// TestAdminsEndEachOther: several admins at once, by page; one stays, and who was removed is out.
func TestAdminsEndEachOther(t *testing.T) {
	names := []string{"root", "root2", "root3", "root4"}
	r := newRig(t, func(o *Options) {
		users, err := o.Accounts.Users()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names[1:] {
			u := users[len(users)-1]
			u.Name = name
			users = append(users, u)
		}
		path := filepath.Join(t.TempDir(), "accounts.json")
		writeAccounts(t, path, users)
		o.Accounts = account.Open(path, o.Now)
	})
	cookies := make([]string, len(names))
	for i, name := range names {
		cookies[i] = r.login(name)
	}
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() {
			for j := range names {
				if i != j {
					r.post("/accounts/"+names[j]+"/remove", cookies[i], nil)
				}
			}
			r.post("/accounts/"+names[i]+"/remove", cookies[i], url.Values{"self": {"yes"}})
		})
	}
	all.Wait()
	users, err := r.srv.o.Accounts.Users()
	if err != nil {
		t.Fatal(err)
	}
	left := ""
	for _, u := range users {
		if u.Role == account.Admin {
			left += u.Name
		}
	}
	for i, name := range names {
		if in := r.do("GET", "/accounts", cookies[i], nil).status == 200; in != (name == left) {
			t.Errorf("%s: in %t, left is %q", name, in, left)
		}
	}
}

// TestLivePageEndsAtOnce: an open page ends with the account, not at the next look at it.
func TestLivePageEndsAtOnce(t *testing.T) {
	for what, change := range map[string]func(r *rig, root string) answer{
		"removed": func(r *rig, root string) answer { return r.post("/accounts/viewer/remove", root, nil) },
		"another role": func(r *rig, root string) answer {
			return r.post("/accounts/viewer/role", root, url.Values{"role": {"front-desk"}, "confirm": {secret}})
		},
		"new password": func(r *rig, root string) answer {
			return r.post("/accounts/viewer/password", root, url.Values{"confirm": {secret}})
		},
	} {
		r := newRig(t)
		r.srv.live.quiet = time.Hour
		e := r.listen("/live/site", r.login("viewer"))
		if kind, _, _ := e.next(); kind != "part" {
			t.Fatalf("%s: %q", what, kind)
		}
		if a := change(r, r.login("root")); a.status != 303 {
			t.Fatalf("%s: %d %s", what, a.status, a.body)
		}
		for kind := ""; kind != "end"; {
			if kind, _, _ = e.next(); kind == "" {
				t.Fatalf("%s: the stream broke, and nobody was told", what)
			}
		}
	}
}

// TestWhoSeesAccounts: only admins are led there, and the page about oneself warns.
func TestWhoSeesAccounts(t *testing.T) {
	r := newRig(t)
	for name, may := range map[string]bool{"viewer": false, "desk": false, "root": true} {
		if page := r.do("GET", "/", r.login(name), nil).body; strings.Contains(page, `href="/accounts"`) != may {
			t.Errorf("%s is led to the accounts: %t", name, !may)
		}
	}
	root := r.login("root")
	if page := r.do("GET", "/accounts/root", root, nil).body; strings.Count(page, `name="self"`) != 2 || strings.Contains(page, `action="/accounts/root/password"`) {
		t.Error("the page about oneself does not warn, or offers a first password")
	}
	if page := r.do("GET", "/accounts/desk", root, nil).body; strings.Contains(page, `name="self"`) || !strings.Contains(page, `action="/accounts/desk/password"`) {
		t.Error("the page about somebody else is wrong")
	}
	page := r.do("GET", "/accounts", root, nil).body
	for _, scope := range account.All.Names() {
		if !strings.Contains(page, `name="scope" value="`+scope+`"`) {
			t.Errorf("the page offers no scope %s", scope)
		}
	}
	for _, path := range []string{"/accounts", "/login"} {
		cookie := root
		if path == "/login" {
			cookie = ""
		}
		if page := r.do("GET", path, cookie, nil).body; !strings.Contains(page, "<strong>reset</strong>") {
			t.Errorf("%s does not say what the reset button does", path)
		}
	}
}

// TestAccountsCannotBeRead: the page says so, and nothing else breaks.
func TestAccountsCannotBeRead(t *testing.T) {
	r := newRig(t)
	v := &view{snapshot: r.srv.snapshot(), scopes: account.All}
	r.srv.o.Accounts = account.Open(t.TempDir(), nil) // a folder is no file
	for _, part := range []string{"accounts-people", "accounts-tokens"} {
		if text, err := r.srv.pages.render(part, v); err != nil || !strings.Contains(string(text), "cannot be read") {
			t.Errorf("%s: %v %s", part, err, text)
		}
	}
}

func TestUsesAreBounded(t *testing.T) {
	u := newUses(func() time.Time { return epoch })
	for i := range mostUses + 10 {
		u.note(strings.Repeat("x", i))
	}
	if len(u.at) > mostUses || u.last(strings.Repeat("x", mostUses+9)) != epoch {
		t.Errorf("%d are remembered", len(u.at))
	}
}
