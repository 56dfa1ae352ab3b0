package admin

import (
	"net/http"
	"strings"

	"holdfast/firmware/admin/account"
)

// route is one thing that can be asked for. The table is the only list of them: what is not in it does not exist, and what
// is in it names who may.
type route struct {
	method, path string
	scope        account.Scope
	do           http.HandlerFunc
}

// forms are what buttons on pages send.
func (s *Server) forms() []route {
	return []route{
		{"POST", "/logout", account.None, s.logout},
		{"POST", "/account", account.None, s.changePassword},
		{"POST", "/accounts", account.Accounts, s.formAddAccount},
		{"POST", "/accounts/{id}/role", account.Accounts, s.formRole},
		{"POST", "/accounts/{id}/password", account.Accounts, s.formNewPassword},
		{"POST", "/accounts/{id}/remove", account.Accounts, s.formRemoveAccount},
		{"POST", "/tokens", account.Accounts, s.formAddToken},
		{"POST", "/tokens/{id}/revoke", account.Accounts, s.formRevokeToken},
		{"POST", "/emergency/ack", account.Acknowledge, s.formAcknowledge},
		{"POST", "/emergency/test", account.Drill, s.formTestCall},
		{"POST", "/drill/start", account.Drill, s.formDrillStart},
		{"POST", "/drill/stop", account.Drill, s.formDrillStop},
		{"POST", "/site/fetch", account.Maintain, s.formFetch},
		{"POST", "/doctor", account.Maintain, s.formExamine},
		{"POST", "/certificates/request", account.Maintain, s.formCertificateRequest},
		{"POST", "/certificates/install", account.Maintain, s.formInstallCertificate},
		{"GET", "/certificates/root.pem", account.Read, s.rootFile},
		{"GET", "/live/{page}", account.Read, s.live.serve},
		{"GET", "/live/{page}/{id}", account.Read, s.live.serve},
		{"GET", "/calls/{id}/ladder.svg", account.Trace, s.ladderFile},
		{"GET", "/calls/{id}/signalling.pcapng", account.Trace, s.captureFile},
		{"GET", "/reports/{id}", account.Read, s.reportPage},
		{"GET", "/reports/{id}/{file}", account.Read, s.reportFile},
	}
}

// routes is everything.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{stamp}/{file}", s.pages.serveAsset)
	mux.HandleFunc("GET /login", s.showLogin)
	mux.HandleFunc("POST /login", s.login)
	for _, p := range allPages {
		mux.Handle("GET "+p.path, s.need(p.scope, s.show(p)))
	}
	for _, f := range s.forms() {
		mux.Handle(f.method+" "+f.path, s.need(f.scope, form(f)))
	}
	for _, o := range s.operations() {
		mux.Handle(o.Method+" "+apiRoot+o.Path, s.need(o.scope, o.handler(s)))
	}
	mux.Handle("GET "+apiRoot+"/openapi.json", s.need(account.Read, http.HandlerFunc(s.serveOpenAPI)))
	mux.Handle("/", s.need(account.None, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusNotFound, "there is no such page")
	})))
	return mux
}

// form bounds what a browser sends and reads it.
func form(f route) http.Handler {
	if f.method != http.MethodPost {
		return f.do
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := int64(maxForm)
		if isUpload(r) { // whose handler reads it
			most = maxCertificates
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		if err := r.ParseForm(); err != nil {
			refuse(w, r, http.StatusBadRequest, "the form cannot be read, or is too large")
			return
		}
		f.do(w, r)
	})
}

// refuse says why something is not done: to a script as JSON, to a person in a line.
func refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	if isAPI(r) {
		writeJSON(w, status, Problem{why})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(strings.ToUpper(why[:1]) + why[1:] + ".\n"))
}

// answer goes back to a page with what an order came to.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, page, text string, err error) {
	s.answerSecret(w, r, page, text, "", err)
}

// answerSecret is for an order that has made a password or a token.
func (s *Server) answerSecret(w http.ResponseWriter, r *http.Request, page, text, secret string, err error) {
	n := notice{Text: text, Secret: secret}
	if err != nil {
		n = notice{Text: sentence(err.Error()), Bad: true}
	}
	s.sessions.tell(whoIs(r).session, n)
	s.live.nudge()
	http.Redirect(w, r, page, http.StatusSeeOther)
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}
