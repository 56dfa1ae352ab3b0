package admin

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"holdfast/firmware/admin/account"
)

// everything is each route with an address that exists.
func everything(s *Server) (list []route) {
	for _, p := range allPages {
		list = append(list, route{"GET", p.Href(), p.scope, nil})
	}
	list = append(list, s.forms()...)
	for _, o := range s.operations() {
		list = append(list, route{o.Method, apiRoot + o.Path, o.scope, nil})
	}
	list = append(list, route{"GET", apiRoot + "/openapi.json", account.Read, nil})
	for i := range list {
		id := "1-abc"
		if strings.Contains(list[i].path, "reports") {
			id = "20260301T120000Z"
		}
		list[i].path = strings.NewReplacer("{id}", id, "{page}", "overview", "{name}", "1-abc", "{file}", "report.json").Replace(list[i].path)
	}
	return list
}

// TestWhoMayWhat goes through the table: nobody gets anything without logging in, and nobody more than the role says.
func TestWhoMayWhat(t *testing.T) {
	r := newRig(t)
	cookies := map[account.Role]string{account.Viewer: r.login("viewer"), account.FrontDesk: r.login("desk"), account.Admin: r.login("root")}
	for _, x := range everything(r.srv) {
		if a := r.do(x.method, x.path, "", strings.NewReader("")); a.status != 303 && a.status != 401 || a.status == 303 && !strings.HasPrefix(a.header.Get("Location"), "/login") {
			t.Errorf("%s %s without a login: %d", x.method, x.path, a.status)
		}
		if strings.HasPrefix(x.path, "/live/") || x.path == "/logout" {
			continue // one has no end, the other ends the session
		}
		for role, cookie := range cookies {
			a := r.do(x.method, x.path, cookie, strings.NewReader(""))
			if may := role.Scopes().Has(x.scope); may == (a.status == 403) {
				t.Errorf("%s %s as %s: %d %.100s", x.method, x.path, role, a.status, a.body)
			}
		}
	}
}

// TestTokensMayWhat: a token has its scopes, for the API only.
func TestTokensMayWhat(t *testing.T) {
	r := newRig(t)
	for i, name := range account.All.Names() {
		have := account.Scope(1 << i)
		token, err := r.srv.o.Accounts.AddToken(name, have, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		auth := header("Authorization", "Bearer "+token)
		for _, x := range everything(r.srv) {
			if !strings.HasPrefix(x.path, apiRoot) {
				continue
			}
			a := r.do(x.method, x.path, "", strings.NewReader("{}"), auth, header("Sec-Fetch-Site", ""))
			if may := have.Has(x.scope); may == (a.status == 403) || a.status == 401 {
				t.Errorf("%s %s with %s: %d %.100s", x.method, x.path, name, a.status, a.body)
			}
		}
		if a := r.do("GET", "/", "", nil, auth); a.status != 303 {
			t.Errorf("a token opens the page: %d", a.status)
		}
	}
	for _, bad := range []string{"Bearer ", "Bearer x", "Basic cm9vdDpyb290", strings.Repeat("x", 1000), "Bearer " + strings.Repeat("x", 1000)} {
		if a := r.do("GET", "/api/v1/status", r.login("root"), nil, header("Authorization", bad)); a.status != 401 {
			t.Errorf("%.20q: %d", bad, a.status)
		}
	}
}

// TestForgedRequests (CSRF): what another site makes a browser send changes nothing.
func TestForgedRequests(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	forgeries := map[string][]func(*http.Request){
		"another site":         {header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")},
		"a site beside":        {header("Sec-Fetch-Site", "same-site"), header("Origin", "https://other."+"box")},
		"typed in":             {header("Sec-Fetch-Site", "none")},
		"nonsense":             {header("Sec-Fetch-Site", "x")},
		"an old browser":       {header("Sec-Fetch-Site", ""), header("Origin", "https://evil.example")},
		"an old browser, null": {header("Sec-Fetch-Site", ""), header("Origin", "null")},
		"plain HTTP":           {header("Sec-Fetch-Site", ""), header("Origin", "http://"+r.web.Listener.Addr().String())},
		"another port":         {header("Sec-Fetch-Site", ""), header("Origin", "https://127.0.0.1:1")},
		"no word":              {header("Sec-Fetch-Site", "")},
	}
	for name, edits := range forgeries {
		for _, x := range everything(r.srv) {
			if safe(x.method) {
				continue
			}
			if a := r.do(x.method, x.path, cookie, strings.NewReader("who=all&minutes=5&user=1"), edits...); a.status != 403 {
				t.Errorf("%s: %s %s: %d", name, x.method, x.path, a.status)
			}
		}
		if a := r.post("/login", "", url.Values{"name": {"viewer"}, "password": {secret}}, edits...); a.status != 403 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s logs somebody in as somebody else: %d", name, a.status)
		}
	}
	if orders := r.box.asked(); len(orders) > 0 {
		t.Fatalf("the box was asked %q", orders)
	}
	own := "https://" + r.web.Listener.Addr().String()
	for name, edits := range map[string][]func(*http.Request){"today's": nil, "an old one": {header("Sec-Fetch-Site", ""), header("Origin", own)}} {
		if a := r.post("/drill/stop", cookie, nil, edits...); a.status != 303 {
			t.Errorf("%s browser: %d", name, a.status)
		}
	}
	if orders := r.box.asked(); len(orders) != 2 {
		t.Errorf("the box was asked %q", orders)
	}
}

// TestHostileText: names, User-Agents and reasons from the network are text on every page, in every part that is sent
// later, in the ladder and in reports; never markup, and never an event of their own.
func TestHostileText(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	r.post("/emergency/test", cookie, url.Values{"user": {evil}}) // its notice shows on the next page
	paths := []string{"/login?to=" + url.QueryEscape(evil), "/phones?q=" + url.QueryEscape(evil), "/calls/1-abc", "/calls/0-old", "/calls/" + url.PathEscape(evil), "/calls/1-abc/ladder.svg", "/reports/20260301T120000Z"}
	for _, p := range allPages {
		paths = append(paths, p.Href())
	}
	for _, path := range paths {
		a := r.do("GET", path, cookie, nil)
		if path == "/login?to="+url.QueryEscape(evil) {
			a = r.do("GET", path, "", nil)
		}
		if strings.Contains(path, "{id}") {
			continue
		}
		if a.status != 200 {
			t.Errorf("%s: %d", path, a.status)
			continue
		}
		harmless(t, path, a.body)
	}
	for _, p := range allPages {
		if len(p.parts) == 0 {
			continue
		}
		param := ""
		if p.name == "call" {
			param = "1-abc"
		}
		for _, part := range r.srv.live.render(r.srv.snapshot(), topicKey{p.name, param, account.All}) {
			harmless(t, p.name+" "+part.name, string(part.frame))
			lines := strings.Split(strings.TrimSuffix(string(part.frame), "\n\n"), "\n")
			for i, l := range lines {
				if want := "data: "; i == 0 && l != "event: part" || i > 0 && !strings.HasPrefix(l, want) || strings.Contains(l, "\r") {
					t.Errorf("%s %s: line %d of the event is %q", p.name, part.name, i, l)
				}
			}
		}
	}
}

// harmless parses a page as a browser does: nothing of the hostile text may have become an element.
func harmless(t *testing.T, where, page string) {
	t.Helper()
	if strings.Contains(page, "<script>") || strings.Contains(page, "<img") {
		t.Errorf("%s: hostile text is markup", where)
	}
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := tokens.Token()
			if tag.Data == "img" || tag.Data == "iframe" || tag.Data == "object" {
				t.Errorf("%s: a %s", where, tag.Data)
			}
			for _, a := range tag.Attr {
				src := tag.Data == "script" && a.Key == "src" && !strings.HasPrefix(a.Val, "/assets/")
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || src || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					t.Errorf("%s: <%s %s=%q>", where, tag.Data, a.Key, a.Val)
				}
			}
		}
	}
}

// TestPathTricks: no address leads out of what is served.
func TestPathTricks(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	for _, path := range []string{
		"/assets/x/../../accounts.json", "/assets/x/..%2f..%2faccounts.json", "/assets/x/%2e%2e/accounts.json", "/assets/x/.%00", "/assets/..", "/assets/", "/assets/x/", "/assets//page.js/",
		"/assets/x/pages%2flayout.html", "/assets/x/../pages/layout.html", "/..%2f..%2fetc%2fpasswd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/reports/..%2f..%2faccounts", "/reports/.", "/reports/..",
		"/reports/%2e%2e%2f%2e%2e%2fetc%2fpasswd/report.html", "/reports/20260301T120000Z/..%2f..%2faccounts.json", "/reports/20260301T120000Z/report.exe", "/reports/a%00b", "/reports/a%5c..%5cb",
		"/live/nothing", "/live/account", "/live/overview/../box", "/calls/x/ladder.svg", "/calls/..%2f..%2fx/signalling.pcapng", "/api/v1/../../login", "/api/v1/nothing", "/api/v1/calls/..%2f..%2fx",
		"/api/v1/reports/..%2f..%2faccounts", "/.git/config", "/holdfast.toml", "/accounts.json", "/debug/pprof/", "/metrics", "/" + strings.Repeat("a", 600),
	} {
		a := r.do("GET", path, cookie, nil)
		if a.status == 200 || strings.Contains(a.body, "argon2id") || strings.Contains(a.body, "root:x") || strings.Contains(a.body, "{{define") {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
		if a.status >= 500 {
			t.Errorf("%s breaks the server: %d", path, a.status)
		}
	}
	for _, x := range []struct{ method, path string }{{"GET", "/drill/start"}, {"POST", "/phones"}, {"PUT", "/"}, {"DELETE", "/api/v1/status"}, {"TRACE", "/"}, {"PROPFIND", "/"}, {"CONNECT2", "/"}} {
		if a := r.do(x.method, x.path, cookie, nil); a.status != 405 && a.status != 404 {
			t.Errorf("%s %s: %d", x.method, x.path, a.status)
		}
	}
	if a := r.do("GET", "/assets/x/page.js", "", nil); a.status != 200 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("an asset of another version: %d %v", a.status, a.header)
	}
}

// TestHeaders: every answer forbids what the page does not need.
func TestHeaders(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	for _, path := range []string{"/", "/login", "/nothing", "/api/v1/status", "/assets/x/page.js", "/calls/1-abc/ladder.svg"} {
		h := r.do("GET", path, cookie, nil).header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, h)
		}
	}
	h := r.do("GET", "/reports/20260301T120000Z", cookie, nil).header
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script") {
		t.Errorf("a report: %v", h)
	}
}

// endless is a body without an end.
type endless struct{ sent int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.sent += int64(len(p))
	return len(p), nil
}

type updater func(io.Reader) error

func (u updater) Update(_ context.Context, r io.Reader, force bool, progress func(int64, string)) error {
	progress(1, "writing")
	if force {
		r = io.MultiReader(strings.NewReader("by force: "), r)
	}
	return u(r)
}

// TestOlderVersion: an older version is taken only where somebody asks for just that.
func TestOlderVersion(t *testing.T) {
	taken := ""
	r := newRig(t, func(o *Options) {
		o.Updater = updater(func(body io.Reader) error {
			data, err := io.ReadAll(body)
			taken = string(data)
			return err
		})
	})
	cookie := r.login("root")
	for query, want := range map[string]string{"": "bundle", "?force=true": "by force: bundle", "?force=false": "bundle"} {
		if a := r.do("PUT", "/api/v1/update"+query, cookie, strings.NewReader("bundle")); a.status != 200 || taken != want {
			t.Errorf("%q: %d, taken %q", query, a.status, taken)
		}
	}
}

// TestOversized: whatever is sent, the box takes so much and no more.
func TestOversized(t *testing.T) {
	var taken int64
	r := newRig(t, func(o *Options) {
		o.Updater = updater(func(body io.Reader) (err error) {
			taken, err = io.Copy(io.Discard, body)
			return err
		})
	})
	cookie := r.login("root")
	big := strings.Repeat("x", maxForm+1)
	if a := r.post("/drill/start", cookie, url.Values{"who": {"some"}, "users": {big}, "minutes": {"5"}}); a.status != 400 {
		t.Errorf("a large form: %d", a.status)
	}
	if a := r.post("/login", "", url.Values{"name": {"root"}, "password": {big}}); a.status != 400 {
		t.Errorf("a large login: %d", a.status)
	}
	if a := r.json("POST", "/api/v1/emergency/ack", cookie, map[string]string{"call": big}); a.status != 400 {
		t.Errorf("a large order: %d", a.status)
	}
	if a := r.do("GET", "/?q="+strings.Repeat("x", 3000), cookie, nil); a.status != 414 {
		t.Errorf("a large query: %d", a.status)
	}
	if a := r.do("PUT", "/api/v1/update", cookie, strings.NewReader("x"), func(q *http.Request) { q.ContentLength = maxBundle + 1; q.Body = io.NopCloser(&endless{}) }); a.status != 413 || taken != 0 {
		t.Errorf("an update that says it is too large: %d, %d bytes taken", a.status, taken)
	}
	// One that does not say so. No connection is in the way, so that all of it would be read.
	body := &endless{}
	req, _ := http.NewRequestWithContext(context.WithValue(t.Context(), whoKey{}, who{name: "root", scopes: account.All}), "PUT", "/api/v1/update", body)
	w := &discard{header: make(http.Header)}
	r.srv.putUpdate(w, req)
	if w.status != 413 || taken > maxBundle || body.sent > maxBundle+(1<<20) {
		t.Errorf("an endless update: %d, %d bytes taken of %d sent", w.status, taken, body.sent)
	}
	if s := r.srv.update.state(); s.Running || s.Error == "" {
		t.Errorf("%+v", s)
	}
	if orders := r.box.asked(); len(orders) > 0 {
		t.Errorf("the box was asked %q", orders)
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// TestBadBodies: what is not JSON, or more than was asked for, is refused with a reason.
func TestBadBodies(t *testing.T) {
	r := newRig(t)
	cookie := r.login("root")
	for _, body := range []string{"", "{", `{"minutes":"5"}`, `{"minutes":5}{}`, `{"minutes":5,"more":1}`, `[]`, `{"minutes":99999999999999999999}`, "\x00"} {
		if a := r.do("POST", "/api/v1/drill", cookie, bytes.NewReader([]byte(body))); a.status != 400 || !strings.Contains(a.body, `"error":"`) {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
	if len(r.box.asked()) > 0 {
		t.Errorf("%q", r.box.asked())
	}
}

// TestDoors: one address cannot take all connections.
func TestDoors(t *testing.T) {
	d := newDoors()
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for i := range mostConnsOfOne {
		if !d.enter(a) {
			t.Fatalf("connection %d was refused", i)
		}
	}
	if d.enter(a) || !d.enter(b) {
		t.Error("the limit of one address is not kept, or it is that of all")
	}
	d.leave(a)
	if !d.enter(a) {
		t.Error("a connection that has ended still counts")
	}
	for d.enter(b) {
		b = b.Next()
	}
	if d.all > Connections {
		t.Errorf("%d connections", d.all)
	}
	// A real one, closed at once and then taken.
	l, err := newDoors().listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())
	res, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || res.StatusCode != 404 {
		t.Error(res.StatusCode, err)
	}
}
