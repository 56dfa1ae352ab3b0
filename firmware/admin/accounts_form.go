package admin

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"holdfast/firmware/admin/account"
)

// What the forms of the pages Accounts and Account send.

func (s *Server) formAddAccount(w http.ResponseWriter, r *http.Request) {
	name, role := strings.TrimSpace(r.PostForm.Get("name")), account.Role(r.PostForm.Get("role"))
	made, err := s.addAccount(r.Context(), whoIs(r), r.PostForm.Get("confirm"), name, r.PostForm.Get("password"), role)
	s.answerSecret(w, r, "/accounts", fmt.Sprintf("%s may log in as %s, and has to change the password first.%s", name, role.Title(), once(made, "The password")), made, err)
}

func (s *Server) formNewPassword(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("id")
	made, err := s.newPassword(r.Context(), whoIs(r), r.PostForm.Get("confirm"), name, r.PostForm.Get("password"))
	s.answerSecret(w, r, personPage(name, err), fmt.Sprintf("%s has a new password, which has to be changed at the next login, and is logged out everywhere.%s", name, once(made, "The password")), made, err)
}

func (s *Server) formRole(w http.ResponseWriter, r *http.Request) {
	name, role := r.PathValue("id"), account.Role(r.PostForm.Get("role"))
	err := s.setRole(r.Context(), whoIs(r), r.PostForm.Get("confirm"), name, role, r.PostForm.Get("self") == "yes")
	s.answer(w, r, personPage(name, err), fmt.Sprintf("%s is %s now, and has to log in again.", name, role.Title()), err)
}

func (s *Server) formRemoveAccount(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("id")
	err := s.removeAccount(whoIs(r), name, r.PostForm.Get("self") == "yes")
	page := "/accounts"
	if err != nil {
		page = personPage(name, err)
	}
	s.answer(w, r, page, name+" may not log in any more, and is logged out everywhere.", err)
}

func (s *Server) formAddToken(w http.ResponseWriter, r *http.Request) {
	days, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil {
		s.answer(w, r, "/accounts", "", errors.New("say for how many days the token is good; 0 is for ever"))
		return
	}
	text, t, err := s.addToken(r.Context(), whoIs(r), r.PostForm.Get("confirm"), strings.TrimSpace(r.PostForm.Get("name")), r.PostForm["scope"], days)
	until := "for ever"
	if !t.Expires.IsZero() {
		until = "until " + t.Expires.In(s.o.Box.Location()).Format("2 Jan 2006")
	}
	s.answerSecret(w, r, "/accounts", fmt.Sprintf("The token %s is good %s.%s", t.Name, until, once(text, "It")), text, err)
}

func (s *Server) formRevokeToken(w http.ResponseWriter, r *http.Request) {
	t, err := s.revokeToken(whoIs(r), r.PathValue("id"))
	s.answer(w, r, "/accounts", fmt.Sprintf("The token %s is refused from now on.", t.Name), err)
}

// once says of a secret that it is not seen again.
func once(secret, what string) string {
	if secret == "" {
		return ""
	}
	return "\n" + what + " is shown this once; copy it now:"
}

// personPage is where the forms about an account stand; the list, if there is none of that name.
func personPage(name string, err error) string {
	if errors.Is(err, account.ErrUnknown) {
		return "/accounts"
	}
	return "/accounts/" + url.PathEscape(name)
}

// accountList and tokenList are what pages show.
type accountList struct {
	List  []Account
	Fault string
}

type tokenList struct {
	List  []Token
	Fault string
}

// Accounts are all who may log in.
func (v *view) Accounts() accountList {
	list, err := v.s.accounts()
	if err != nil {
		return accountList{Fault: sentence(err.Error())}
	}
	return accountList{List: list}
}

// Tokens of the API.
func (v *view) Tokens() tokenList {
	list, err := v.s.tokens()
	if err != nil {
		return tokenList{Fault: sentence(err.Error())}
	}
	return tokenList{List: list}
}

// Person is the account that the page is about; nil if there is none.
func (v *view) Person() *Account {
	for _, a := range v.Accounts().List {
		if a.Name == v.Param {
			return &a
		}
	}
	return nil
}

// Myself reports whether a name is that of who looks.
func (v *view) Myself(name string) bool { return name != "" && name == v.me }

// Past reports whether a time has passed; zero is never.
func (v *view) Past(t time.Time) bool { return !t.IsZero() && !t.After(v.Now) }

// lastUse is when something was used last, in words.
type lastUse struct {
	Never          bool
	At, Ago, Began template.HTML
}

// Since is a last use; only those since the program began are known.
func (v *view) Since(t time.Time) lastUse {
	return lastUse{t.IsZero(), v.At(t), v.Ago(t), v.At(v.Status.Started)}
}
