package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"holdfast/firmware/admin/account"
)

// Who may use the page and the API, as people see and change it by forms and scripts by the API; both come here. The rules
// themselves are package account's.

// Account is a person who may log in.
type Account struct {
	Name    string       `json:"name"`
	Role    account.Role `json:"role"`
	Changed time.Time    `json:"changed"`        // of the password
	Initial bool         `json:"initial"`        // the password has to be changed at the next login
	Login   time.Time    `json:"login,omitzero"` // the last one since the program began
}

// Title is the role for people.
func (a Account) Title() string { return a.Role.Title() }

// Path is the account's name in an address.
func (a Account) Path() string { return url.PathEscape(a.Name) }

// Token is a script that may use the API.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Used    time.Time `json:"used,omitzero"`    // the last time since the program began
}

var (
	errConfirm = errors.New("your own password is wrong: nothing was changed")
	errOneself = errors.New("this is your own account, and you would be logged out: say that you know it")
)

// accounts are all who may log in, by name.
func (s *Server) accounts() ([]Account, error) {
	users, err := s.o.Accounts.Users()
	list := make([]Account, 0, len(users))
	for _, u := range users {
		list = append(list, Account{u.Name, u.Role, u.Changed, u.Initial, s.uses.last(u.Name)})
	}
	return list, err
}

// tokens are all that the API takes, and those that have ended and were not removed.
func (s *Server) tokens() ([]Token, error) {
	tokens, err := s.o.Accounts.Tokens()
	list := make([]Token, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, Token{t.ID, t.Name, append([]string{}, t.Scopes...), t.Created, t.Expires, s.uses.last(tokenUse(t.ID))})
	}
	return list, err
}

// confirmed does something for which a person has to say the own password again, so that a browser that was left alone makes
// nobody a back door. A token has no password. Checks and new passwords cost much: one at a time, as at a login.
func (s *Server) confirmed(ctx context.Context, me who, password string, do func() error) error {
	var done error
	wait, err := s.guesses.try(ctx, me.from, func() error {
		if me.session != nil {
			if _, err := s.o.Accounts.Authenticate(me.name, password); err != nil {
				return err
			}
		}
		done = do()
		return nil
	})
	switch {
	case errors.Is(err, account.ErrWrong):
		s.log.Warn("a wrong password for a change of accounts", "by", me.name, "from", me.from)
		return errConfirm
	case errors.Is(err, errGuessing):
		return fmt.Errorf("%w: wait %d s and try again", err, int(math.Ceil(wait.Seconds())))
	case err != nil:
		return err
	}
	return done
}

// addAccount makes an account. An empty password is made by the box and returned.
func (s *Server) addAccount(ctx context.Context, me who, confirm, name, password string, role account.Role) (made string, err error) {
	if password == "" {
		made = account.NewPassword()
		password = made
	}
	err = s.confirmed(ctx, me, confirm, func() error { return s.o.Accounts.Add(me.scopes, name, password, role) })
	if err != nil {
		return "", err
	}
	s.uses.forget(name) // that was another one
	s.log.Warn("account made on the page", "by", me.name, "from", me.from, "account", name, "role", string(role))
	return made, nil
}

// newPassword gives somebody else a first password anew. An empty one is made by the box and returned.
func (s *Server) newPassword(ctx context.Context, me who, confirm, name, password string) (made string, err error) {
	if me.session != nil && me.name == name {
		return "", errors.New("this is your own account: choose Change password in the menu under your name")
	}
	if password == "" {
		made = account.NewPassword()
		password = made
	}
	err = s.confirmed(ctx, me, confirm, func() error { return s.o.Accounts.ChangePassword(me.scopes, name, password, true) })
	if err != nil {
		return "", err
	}
	s.live.recheck()
	s.log.Warn("password set anew on the page", "by", me.name, "from", me.from, "account", name)
	return made, nil
}

// setRole gives an account another role; itself knows that this ends the own session.
func (s *Server) setRole(ctx context.Context, me who, confirm, name string, role account.Role, itself bool) error {
	if me.session != nil && me.name == name && !itself {
		return errOneself
	}
	if err := s.confirmed(ctx, me, confirm, func() error { return s.o.Accounts.SetRole(me.scopes, name, role) }); err != nil {
		return err
	}
	s.live.recheck()
	s.log.Warn("role changed on the page", "by", me.name, "from", me.from, "account", name, "role", string(role))
	return nil
}

// removeAccount takes an account away with its sessions.
func (s *Server) removeAccount(me who, name string, itself bool) error {
	if me.session != nil && me.name == name && !itself {
		return errOneself
	}
	if err := s.o.Accounts.Remove(name); err != nil {
		return err
	}
	s.uses.forget(name)
	s.live.recheck()
	s.log.Warn("account removed on the page", "by", me.name, "from", me.from, "account", name)
	return nil
}

// longestLife bounds a token's, in days, unless it is for ever.
const longestLife = 3650

// addToken makes a token for the API; days 0: it does not end.
func (s *Server) addToken(ctx context.Context, me who, confirm, name string, scopes []string, days int) (string, Token, error) {
	want, err := account.ParseScopes(strings.Join(scopes, ","))
	switch {
	case len(scopes) == 0:
		return "", Token{}, errors.New("say what the token may do: choose one thing or more")
	case err != nil:
		return "", Token{}, err
	case !me.scopes.Has(want):
		return "", Token{}, account.ErrBeyond
	case days < 0 || days > longestLife:
		return "", Token{}, fmt.Errorf("a token is good for 1 to %d days; 0 is for ever", longestLife)
	}
	var text string
	var t account.Token
	err = s.confirmed(ctx, me, confirm, func() (err error) {
		if text, err = s.o.Accounts.AddToken(name, want, time.Duration(days)*24*time.Hour); err == nil {
			t, _, err = s.o.Accounts.Token(text)
		}
		return err
	})
	if err != nil {
		return "", Token{}, err
	}
	s.log.Warn("token made on the page", "by", me.name, "from", me.from, "token", t.Name, "id", t.ID, "scopes", strings.Join(t.Scopes, ","))
	return text, Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, Created: t.Created, Expires: t.Expires}, nil
}

// revokeToken has the API refuse it from now on. No password is asked for: a key that has leaked is taken away in one step.
func (s *Server) revokeToken(me who, id string) (account.Token, error) {
	t, err := s.o.Accounts.Revoke(id)
	if err != nil {
		return t, err
	}
	s.uses.forget(tokenUse(id))
	s.log.Warn("token revoked on the page", "by", me.name, "from", me.from, "token", t.Name, "id", id)
	return t, nil
}
