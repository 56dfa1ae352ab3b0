package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"holdfast/firmware/admin/account"
)

// who asks: a person with a session or a script with a token.
type who struct {
	name    string
	role    account.Role
	scopes  account.Scope
	session *session // nil: a token
	initial bool     // has to change the password first
	from    netip.Addr
}

type whoKey struct{}

func whoIs(r *http.Request) who {
	w, _ := r.Context().Value(whoKey{}).(who)
	return w
}

// policy is what a page may do: nothing from elsewhere, nothing inline, no frame round it. Scripts may write HTML into the
// page in one place only (live.js), which browsers that know Trusted Types enforce.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types holdfast"

// guard is what every request passes first.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		// HSTS would lock an installer out of a box whose certificate has run out: there is no plain HTTP to fall back to.
		if len(r.URL.RawQuery) > 2048 || len(r.URL.Path) > 512 {
			http.Error(w, "the address is too long", http.StatusRequestURITooLong)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// need lets through who may; others are asked to log in, or refused.
func (s *Server) need(scope account.Scope, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		me, err := s.identify(r)
		switch {
		case err != nil && isAPI(r):
			w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast"`)
			refuse(w, r, http.StatusUnauthorized, "log in, or send a token in the header Authorization: Bearer …")
			return
		case err != nil && r.Method == http.MethodGet && !isStream(r):
			to := "/login"
			if r.URL.Path != "/" {
				to += "?to=" + url.QueryEscape(r.URL.RequestURI())
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
			return
		case err != nil:
			refuse(w, r, http.StatusUnauthorized, "log in again: the session has ended")
			return
		case me.session != nil && !safe(r.Method) && !ownOrigin(r):
			s.log.Warn("a request from another site was refused", "path", r.URL.Path, "from", me.from, "origin", clip(r.Header.Get("Origin"), 100))
			refuse(w, r, http.StatusForbidden, "this request came from another site")
			return
		case me.initial && r.URL.Path != "/account" && r.URL.Path != "/logout":
			if isAPI(r) || !safe(r.Method) {
				refuse(w, r, http.StatusForbidden, "change the first password before anything else")
				return
			}
			http.Redirect(w, r, "/account", http.StatusSeeOther)
			return
		case !me.scopes.Has(scope):
			refuse(w, r, http.StatusForbidden, "this needs "+strings.Join(scope.Names(), ", ")+", which "+me.name+" does not have")
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, me)))
	})
}

var errNobody = errors.New("nobody has logged in")

// identify reads a token or a cookie. A wrong token costs a look at a list of hashes, no more: 256 bits are not guessed.
func (s *Server) identify(r *http.Request) (who, error) {
	from := sourceOf(r.RemoteAddr)
	if auth := r.Header.Get("Authorization"); auth != "" {
		text, ok := strings.CutPrefix(auth, "Bearer ")
		if !ok || len(text) > 200 || !isAPI(r) {
			return who{}, errNobody
		}
		t, scopes, err := s.o.Accounts.Token(text)
		if err != nil {
			return who{}, errNobody
		}
		s.uses.note(tokenUse(t.ID))
		return who{name: "token " + t.Name, scopes: scopes, from: from}, nil
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return who{}, errNobody
	}
	x, u, ok := s.sessions.find(c.Value, s.o.Accounts)
	if !ok {
		return who{}, errNobody
	}
	return who{name: u.Name, role: u.Role, scopes: u.Role.Scopes(), session: x, initial: u.Initial, from: from}, nil
}

// ownOrigin is the defence against forged requests (CSRF), besides the cookie's SameSite=Strict: the browser says in headers
// that no page can set where a request comes from (Fetch Metadata, and Origin, RFC 6454). A cookie without either is
// no browser of today and gets nothing changed.
func ownOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	u, err := url.Parse(r.Header.Get("Origin"))
	return err == nil && u.Scheme == "https" && u.Host == r.Host
}

func safe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

func isStream(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" }

// ownPath is where a login may lead to: a path of this page, else the first page.
func ownPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return u.RequestURI()
}

// clip bounds text from outside, in bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
