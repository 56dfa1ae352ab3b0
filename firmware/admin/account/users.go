package account

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// User is a person.
type User struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Hash    string    `json:"hash"`             // argon2id, PHC string
	Changed time.Time `json:"changed"`          // of the password
	Initial bool      `json:"initial,omitzero"` // the password is to be changed at the first login
}

// Users lists everybody by name.
func (s *Store) Users() ([]User, error) {
	c, err := s.read()
	return c.Users, err
}

// User finds somebody by name; ErrUnknown.
func (s *Store) User(name string) (User, error) {
	c, err := s.read()
	if err != nil {
		return User{}, err
	}
	if i := c.user(name); i >= 0 {
		return c.Users[i], nil
	}
	return User{}, ErrUnknown
}

// Authenticate checks a password: ErrWrong, or ErrNoAccount where there is nobody at all. A name that is not known costs as
// much time as one that is.
func (s *Store) Authenticate(name, password string) (User, error) {
	c, err := s.read()
	switch {
	case err != nil:
		return User{}, err
	case len(c.Users) == 0:
		return User{}, ErrNoAccount
	}
	u, err := s.User(name)
	if err != nil {
		verify(nobody, password)
		return User{}, ErrWrong
	}
	if !verify(u.Hash, password) {
		return User{}, ErrWrong
	}
	return u, nil
}

// nobody is the hash of a password that nobody has, with the cost of the others.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// SetPassword makes an account or changes its password; an empty role leaves that of an account as it is, and makes a new one
// admin if it is the first, else viewer. initial: it has to be changed at the first login.
func (s *Store) SetPassword(name, password string, role Role, initial bool) error {
	u, err := s.newUser(name, password, role, initial)
	if err != nil {
		return err
	}
	return s.change(func(c *contents) error {
		i := c.user(name)
		switch {
		case i >= 0:
			if u.Role == "" {
				u.Role = c.Users[i].Role
			}
			c.Users[i] = u
			return nil
		case u.Role == "" && len(c.Users) == 0:
			u.Role = Admin
		case u.Role == "":
			u.Role = Viewer
		}
		return c.add(u)
	})
}

// Add makes an account whose password has to be changed at the first login. by is what the one who asks may do: ErrBeyond.
func (s *Store) Add(by Scope, name, password string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	if !by.Has(role.Scopes()) {
		return ErrBeyond
	}
	u, err := s.newUser(name, password, role, true)
	if err != nil {
		return err
	}
	return s.change(func(c *contents) error {
		// Two names that differ in case only would be one to a person who reads them.
		if i := slices.IndexFunc(c.Users, func(x User) bool { return strings.EqualFold(x.Name, name) }); i >= 0 {
			return fmt.Errorf("there is an account %q already: choose another name, or change that one", c.Users[i].Name)
		}
		return c.add(u)
	})
}

// ChangePassword is for an account that is there: ErrUnknown. by as in Add, since a new password takes an account over.
func (s *Store) ChangePassword(by Scope, name, password string, initial bool) error {
	u, err := s.newUser(name, password, "", initial)
	if err != nil {
		return err
	}
	return s.change(func(c *contents) error {
		i := c.user(name)
		if i < 0 {
			return ErrUnknown
		}
		if u.Role = c.Users[i].Role; !by.Has(u.Role.Scopes()) {
			return ErrBeyond
		}
		c.Users[i] = u
		return nil
	})
}

// SetRole gives an account another role: ErrUnknown, ErrLastAdmin. by as in Add, for the role before, too.
func (s *Store) SetRole(by Scope, name string, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	return s.change(func(c *contents) error {
		i := c.user(name)
		if i < 0 {
			return ErrUnknown
		}
		if !by.Has(role.Scopes() | c.Users[i].Role.Scopes()) {
			return ErrBeyond
		}
		c.Users[i].Role = role
		return nil
	})
}

// newUser checks what an account is made of; the costly hash is computed before the file is locked. An empty role is the caller's.
func (s *Store) newUser(name, password string, role Role, initial bool) (User, error) {
	if err := checkName(name); err != nil {
		return User{}, err
	}
	if role != "" {
		if _, err := ParseRole(string(role)); err != nil {
			return User{}, err
		}
	}
	if err := CheckPassword(name, password); err != nil {
		return User{}, err
	}
	return User{Name: name, Role: role, Hash: hash(password), Changed: s.now().UTC(), Initial: initial}, nil
}

func (c *contents) add(u User) error {
	if len(c.Users) >= mostUsers {
		return fmt.Errorf("there are %d accounts already: remove some", mostUsers)
	}
	c.Users = append(c.Users, u)
	slices.SortFunc(c.Users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// First makes the account admin with an initial password if there is none at all, and reports whether it did.
func (s *Store) First(password string) (bool, error) {
	c, err := s.read()
	if err != nil || len(c.Users) > 0 {
		return false, err
	}
	err = s.SetPassword("admin", password, Admin, true)
	return err == nil, err
}

// Remove takes an account away: ErrUnknown, ErrLastAdmin.
func (s *Store) Remove(name string) error {
	return s.change(func(c *contents) error {
		i := c.user(name)
		if i < 0 {
			return ErrUnknown
		}
		c.Users = slices.Delete(c.Users, i, i+1)
		return nil
	})
}
