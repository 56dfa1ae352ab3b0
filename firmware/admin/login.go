package admin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"holdfast/firmware/admin/account"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 64 << 10

// loginPage is what somebody sees who has not logged in.
type loginPage struct {
	To, Name, Error string
	Empty           bool // there is no account yet
	Box             string
}

func (s *Server) showLogin(w http.ResponseWriter, r *http.Request) {
	if me, err := s.identify(r); err == nil && me.session != nil {
		http.Redirect(w, r, ownPath(r.FormValue("to")), http.StatusSeeOther)
		return
	}
	s.renderLogin(w, http.StatusOK, loginPage{To: ownPath(r.FormValue("to"))})
}

func (s *Server) renderLogin(w http.ResponseWriter, status int, p loginPage) {
	users, err := s.o.Accounts.Users()
	if err != nil {
		s.log.Error("accounts", "err", err)
		p.Error = "The box cannot read its accounts: the log says why."
	}
	p.Empty = err == nil && len(users) == 0
	p.Box = s.o.Name
	s.pages.write(w, status, "login", p)
}

// login takes a name and a password.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	if !ownOrigin(r) { // nobody is logged in as somebody else by another site
		refuse(w, r, http.StatusForbidden, "this request came from another site")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, r, http.StatusBadRequest, "the form cannot be read")
		return
	}
	p := loginPage{To: ownPath(r.PostForm.Get("to")), Name: clip(r.PostForm.Get("name"), 100)}
	from := sourceOf(r.RemoteAddr)
	var u account.User
	wait, err := s.guesses.try(r.Context(), from, func() (err error) {
		u, err = s.o.Accounts.Authenticate(r.PostForm.Get("name"), r.PostForm.Get("password"))
		return err
	})
	status := http.StatusUnauthorized
	switch {
	case err == nil:
		http.SetCookie(w, s.sessions.begin(u))
		s.uses.note(u.Name)
		s.log.Info("logged in", "name", u.Name, "role", string(u.Role), "from", from)
		http.Redirect(w, r, p.To, http.StatusSeeOther)
		return
	case errors.Is(err, account.ErrWrong):
		s.log.Warn("wrong name or password", "from", from)
		p.Error = "The name or the password is wrong."
	case errors.Is(err, errGuessing):
		status = http.StatusTooManyRequests
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		p.Error = fmt.Sprintf("Too many wrong passwords from this address. Wait %d s and try again.", seconds)
	case errors.Is(err, errBusy):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "5")
		p.Error = "Too many people log in at this moment. Try again in some seconds."
	case errors.Is(err, account.ErrNoAccount):
		p.Error = "There is no account yet."
	default:
		status = http.StatusInternalServerError
		s.log.Error("login", "err", err)
		p.Error = "The box cannot read its accounts: the log says why."
	}
	s.renderLogin(w, status, p)
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	me := whoIs(r)
	if me.session != nil {
		s.sessions.end(me.session)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1, Expires: time.Unix(1, 0)})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// changePassword is somebody's own.
func (s *Server) changePassword(w http.ResponseWriter, r *http.Request) {
	me := whoIs(r)
	again := func(text string) { s.answer(w, r, "/account", "", errors.New(text)) }
	if me.session == nil {
		refuse(w, r, http.StatusForbidden, "a token has no password")
		return
	}
	fresh := r.PostForm.Get("new")
	if fresh != r.PostForm.Get("again") {
		again("the two new passwords differ")
		return
	}
	if fresh == r.PostForm.Get("password") {
		again("the new password is the old one")
		return
	}
	if err := account.CheckPassword(me.name, fresh); err != nil {
		again(err.Error())
		return
	}
	var u account.User
	err := s.confirmed(r.Context(), me, r.PostForm.Get("password"), func() (err error) {
		if err = s.o.Accounts.ChangePassword(account.All, me.name, fresh, false); err == nil {
			u, err = s.o.Accounts.User(me.name)
		}
		return err
	})
	if err != nil {
		again(err.Error())
		return
	}
	s.log.Info("password changed", "name", me.name, "from", me.from)
	s.live.recheck()
	http.SetCookie(w, s.sessions.begin(u)) // the others of this name have ended
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
