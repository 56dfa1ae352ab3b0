package admin

import (
	"errors"
	"net/http"

	"holdfast/firmware/admin/account"
	"holdfast/firmware/control"
)

// NewAccount makes an account.
type NewAccount struct {
	Name     string       `json:"name"`
	Role     account.Role `json:"role"`
	Password string       `json:"password,omitempty"` // "": the box makes one
	Confirm  string       `json:"confirm,omitempty"`  // the own password; a token needs none
}

// NewRole gives an account another role.
type NewRole struct {
	Role    account.Role `json:"role"`
	Self    bool         `json:"self,omitempty"` // also if it is the own account, which ends the session
	Confirm string       `json:"confirm,omitempty"`
}

// NewPassword gives somebody else a password, which has to be changed at the next login.
type NewPassword struct {
	Password string `json:"password,omitempty"` // "": the box makes one
	Confirm  string `json:"confirm,omitempty"`
}

// MadePassword is what became of it.
type MadePassword struct {
	Message  string `json:"message"`
	Password string `json:"password,omitempty"` // that the box has made; it is told once
}

// NewToken makes a token.
type NewToken struct {
	Name    string   `json:"name"`
	Scopes  []string `json:"scopes"`
	Days    int      `json:"days"` // 0: for ever
	Confirm string   `json:"confirm,omitempty"`
}

// MadeToken is a token with its secret, which is told once.
type MadeToken struct {
	Token
	Secret string `json:"secret"` // what is sent as Authorization: Bearer
}

// accountOperations are the API's.
func (s *Server) accountOperations() []operation {
	const confirm = ". With a session instead of a token the own password goes into confirm"
	manage := account.Accounts
	done := func(message string, err error) (any, error) { return control.Answer{Message: message}, err }
	return []operation{
		{Method: "GET", Path: "/accounts", Summary: "Who may log in", scope: manage, answer: []Account{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.accounts() }},
		{Method: "POST", Path: "/accounts", Summary: "Make an account: viewer, front-desk or admin; the password has to be changed at the first login" + confirm,
			scope: manage, body: NewAccount{}, answer: MadePassword{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				n := in.(*NewAccount)
				made, err := s.addAccount(r.Context(), whoIs(r), n.Confirm, n.Name, n.Password, n.Role)
				return MadePassword{n.Name + " may log in as " + string(n.Role), made}, err
			}},
		{Method: "PUT", Path: "/accounts/{name}/role", Summary: "Change an account's role; its sessions end" + confirm, scope: manage, body: NewRole{}, answer: control.Answer{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				n := in.(*NewRole)
				return done(r.PathValue("name")+" is "+string(n.Role)+" now", s.setRole(r.Context(), whoIs(r), n.Confirm, r.PathValue("name"), n.Role, n.Self))
			}},
		{Method: "PUT", Path: "/accounts/{name}/password", Summary: "Give somebody else a new password, to be changed at the next login; the sessions end" + confirm,
			scope: manage, body: NewPassword{}, answer: MadePassword{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				n := in.(*NewPassword)
				made, err := s.newPassword(r.Context(), whoIs(r), n.Confirm, r.PathValue("name"), n.Password)
				return MadePassword{r.PathValue("name") + " has a new password", made}, err
			}},
		{Method: "DELETE", Path: "/accounts/{name}", Summary: "Remove an account with its sessions; the last admin stays", scope: manage, answer: control.Answer{},
			query: []parameter{{"self", "also if it is the own account", "boolean"}},
			do: func(s *Server, r *http.Request, _ any) (any, error) {
				return done(r.PathValue("name")+" may not log in any more", s.removeAccount(whoIs(r), r.PathValue("name"), r.URL.Query().Get("self") == "true"))
			}},
		{Method: "GET", Path: "/tokens", Summary: "Which tokens there are; never their secrets", scope: manage, answer: []Token{},
			do: func(s *Server, _ *http.Request, _ any) (any, error) { return s.tokens() }},
		{Method: "POST", Path: "/tokens", Summary: "Make a token that may do no more than who makes it" + confirm, scope: manage, body: NewToken{}, answer: MadeToken{},
			do: func(s *Server, r *http.Request, in any) (any, error) {
				n := in.(*NewToken)
				text, t, err := s.addToken(r.Context(), whoIs(r), n.Confirm, n.Name, n.Scopes, n.Days)
				return MadeToken{t, text}, err
			}},
		{Method: "DELETE", Path: "/tokens/{id}", Summary: "Revoke a token: it is refused from now on", scope: manage, answer: control.Answer{},
			do: func(s *Server, r *http.Request, _ any) (any, error) {
				t, err := s.revokeToken(whoIs(r), r.PathValue("id"))
				if errors.Is(err, account.ErrUnknown) {
					err = errNotHere("there is no token with this ID: GET /tokens lists them")
				}
				return done("the token "+t.Name+" is refused from now on", err)
			}},
	}
}
