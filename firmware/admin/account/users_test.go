package account

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"
)

// filled is a store with these people, whose password is good; their hashes are cheap ones.
func filled(t *testing.T, users ...User) *Store {
	t.Helper()
	s := open(t, nil)
	salt := []byte("0123456789abcdef")
	cheap := "$argon2id$v=19$m=8,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(good), salt, 1, 8, 1, 32))
	for i := range users {
		users[i].Hash = cheap
	}
	data, err := json.Marshal(contents{Users: users})
	if err == nil {
		err = os.WriteFile(s.path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := NewPassword()
		if err := CheckPassword("frontdesk", p); err != nil || len(p) != 19 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz234567-") != "" || seen[p] {
			t.Errorf("%q: %v", p, err)
		}
		seen[p] = true
	}
}

// TestAdd: a new account, and all that is refused; then nothing is written.
func TestAdd(t *testing.T) {
	s := filled(t, User{Name: "ann", Role: Admin})
	if err := s.Add(All, "bob", good, FrontDesk); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Authenticate("bob", good); err != nil || u.Role != FrontDesk || !u.Initial || u.Changed.IsZero() {
		t.Errorf("%+v, %v", u, err)
	}
	before, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by             Scope
		name, password string
		role           Role
		want           string
	}{
		{All, "bob", good, Viewer, `there is an account "bob" already`},
		{All, "BOB", good, Viewer, `there is an account "bob" already`},
		{All, "eve", "short", Viewer, "too short"},
		{All, "eve", good, "", "there is no role"},
		{All, "eve", good, "boss", "there is no role"},
		{All, "", good, Viewer, "is no name"},
		{All, "..", good, Viewer, "is no name"},
		{All, strings.Repeat("e", mostName+1), good, Viewer, "is no name"},
		{Read | Accounts, "eve", good, Admin, ErrBeyond.Error()},
		{Read | Accounts, "eve", good, FrontDesk, ErrBeyond.Error()},
		{Accounts, "eve", good, Viewer, ErrBeyond.Error()},
	} {
		if err := s.Add(c.by, c.name, c.password, c.role); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q as %q by %v: %v, want %q", c.name, c.role, c.by.Names(), err, c.want)
		}
	}
	if after, err := os.ReadFile(s.path); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed (%v)", err)
	}
}

// TestChange: roles and passwords of accounts that are there, within what the one who asks may do himself.
func TestChange(t *testing.T) {
	const fresh = "another four words"
	s := filled(t, User{Name: "ann", Role: Admin}, User{Name: "bob", Role: Viewer, Initial: true})
	some := Read | Acknowledge | Accounts
	for what, c := range map[string]struct{ got, want error }{
		"a password of nobody":          {s.ChangePassword(All, "eve", fresh, true), ErrUnknown},
		"a password of more":            {s.ChangePassword(some, "ann", fresh, true), ErrBeyond},
		"a role of nobody":              {s.SetRole(All, "eve", Viewer), ErrUnknown},
		"a role that is more":           {s.SetRole(some, "bob", Admin), ErrBeyond},
		"a role that was more":          {s.SetRole(some, "ann", Viewer), ErrBeyond},
		"the last admin's role":         {s.SetRole(All, "ann", FrontDesk), ErrLastAdmin},
		"the last admin, by password":   {s.SetPassword("ann", fresh, Viewer, false), ErrLastAdmin},
		"the last admin":                {s.Remove("ann"), ErrLastAdmin},
		"the last admin stays one":      {s.SetRole(All, "ann", Admin), nil},
		"removal of nobody":             {s.Remove("eve"), ErrUnknown},
		"a token's ID is no account":    {s.Remove("1-abc"), ErrUnknown},
		"an account's name is no token": {func() error { _, err := s.Revoke("bob"); return err }(), ErrUnknown},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	if err := s.SetRole(All, "bob", "boss"); err == nil {
		t.Error("a role that is none")
	}
	if _, err := s.Authenticate("ann", good); err != nil {
		t.Errorf("ann's password is another one: %v", err)
	}
	if err := errors.Join(s.SetRole(some, "bob", FrontDesk), s.ChangePassword(some, "bob", fresh, false)); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Authenticate("bob", fresh); err != nil || u.Role != FrontDesk || u.Initial {
		t.Errorf("%+v, %v", u, err)
	}
	if err := errors.Join(s.SetRole(All, "bob", Admin), s.Remove("ann")); err != nil {
		t.Error(err)
	}
}

// TestAdminsTogether: of admins who remove each other at the same moment, in several programs, one stays.
func TestAdminsTogether(t *testing.T) {
	users := make([]User, 8)
	for i := range users {
		users[i] = User{Name: fmt.Sprint("admin", i), Role: Admin}
	}
	s := filled(t, users...)
	var all sync.WaitGroup
	for i, u := range users {
		all.Go(func() {
			other := Open(s.path, nil)
			var err error
			if i%2 == 0 {
				err = other.Remove(u.Name)
			} else {
				err = other.SetRole(All, u.Name, Viewer)
			}
			if err != nil && !errors.Is(err, ErrLastAdmin) && !errors.Is(err, ErrUnknown) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := s.Users()
	if err != nil {
		t.Fatal(err)
	}
	admins := 0
	for _, u := range list {
		if u.Role == Admin {
			admins++
		}
	}
	if admins != 1 {
		t.Errorf("%d admins are left: %+v", admins, list)
	}
}

// TestBounded: the file does not grow beyond what is read again.
func TestBounded(t *testing.T) {
	users := []User{{Name: "ann", Role: Admin}}
	for i := len(users); i < mostUsers; i++ {
		users = append(users, User{Name: strings.Repeat("ö", 28) + fmt.Sprint(i), Role: Viewer})
	}
	s := filled(t, users...)
	if err := s.Add(All, "one too many", good, Viewer); err == nil || !strings.Contains(err.Error(), "remove some") {
		t.Errorf("%v", err)
	}
	if err := s.change(func(c *contents) error {
		for i := range mostTokens {
			c.Tokens = append(c.Tokens, Token{ID: fmt.Sprint(i), Name: strings.Repeat("ö", 32), Scopes: All.Names(), Hash: strings.Repeat("0", 64)})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddToken("one too many", Read, 0); err == nil || !strings.Contains(err.Error(), "remove some") {
		t.Errorf("%v", err)
	}
	if i, err := os.Stat(s.path); err != nil || i.Size() > maxFile/2 {
		t.Errorf("%v bytes, %v", i.Size(), err)
	}
	if _, err := s.Revoke("7"); err != nil {
		t.Error(err)
	}
	if list, err := s.Tokens(); err != nil || len(list) != mostTokens-1 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}
