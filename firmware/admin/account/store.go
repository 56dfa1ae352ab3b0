package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Errors that callers branch on.
var (
	ErrNoAccount = errors.New("no account has been made yet")
	ErrWrong     = errors.New("the name or the password is wrong")
	ErrUnknown   = errors.New("there is no such account or token")
)

// Bounds of the file.
const (
	mostUsers  = 200
	mostTokens = 200
	mostName   = 64 // bytes
)

// User is a person.
type User struct {
	Name    string    `json:"name"`
	Role    Role      `json:"role"`
	Hash    string    `json:"hash"`             // argon2id, PHC string
	Changed time.Time `json:"changed"`          // of the password
	Initial bool      `json:"initial,omitzero"` // the password is to be changed at the first login
}

// Token is a script's key. Only its hash is kept.
type Token struct {
	ID      string    `json:"id"` // the part before the secret
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Hash    string    `json:"hash"` // SHA-256 of the whole token: 256 random bits need no slow hash
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
}

// Store is the file; safe for concurrent use, also by several programs.
type Store struct {
	path string
	now  func() time.Time

	mu    sync.Mutex
	seen  stamp
	data  contents
	fault error
}

type contents struct {
	Users  []User  `json:"users"`
	Tokens []Token `json:"tokens,omitempty"`
}

// Open names the file; it need not exist yet. now is nil for time.Now.
func Open(path string, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{path: path, now: now}
}

// Users lists everybody by name.
func (s *Store) Users() ([]User, error) {
	c, err := s.read()
	return c.Users, err
}

// Tokens lists the tokens.
func (s *Store) Tokens() ([]Token, error) {
	c, err := s.read()
	return c.Tokens, err
}

// User finds somebody by name; ErrUnknown.
func (s *Store) User(name string) (User, error) {
	c, err := s.read()
	if err != nil {
		return User{}, err
	}
	if i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name }); i >= 0 {
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
	if err := checkName(name); err != nil {
		return err
	}
	if err := CheckPassword(name, password); err != nil {
		return err
	}
	u := User{Name: name, Role: role, Hash: hash(password), Changed: s.now().UTC(), Initial: initial}
	return s.change(func(c *contents) error {
		i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
		switch {
		case i >= 0:
			if u.Role == "" {
				u.Role = c.Users[i].Role
			}
			c.Users[i] = u
			return nil
		case len(c.Users) >= mostUsers:
			return fmt.Errorf("there are %d accounts already", mostUsers)
		case u.Role == "" && len(c.Users) == 0:
			u.Role = Admin
		case u.Role == "":
			u.Role = Viewer
		}
		c.Users = append(c.Users, u)
		slices.SortFunc(c.Users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
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

// Remove takes an account or a token (by its ID) away; ErrUnknown.
func (s *Store) Remove(name string) error {
	return s.change(func(c *contents) error {
		n := len(c.Users) + len(c.Tokens)
		c.Users = slices.DeleteFunc(c.Users, func(u User) bool { return u.Name == name })
		c.Tokens = slices.DeleteFunc(c.Tokens, func(t Token) bool { return t.ID == name })
		if len(c.Users)+len(c.Tokens) == n {
			return ErrUnknown
		}
		return nil
	})
}

// AddToken makes a token; it is told once and cannot be read again. life 0: it does not end.
func (s *Store) AddToken(name string, scopes Scope, life time.Duration) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if scopes == None || life < 0 {
		return "", errors.New("a token needs a scope, and a life that is not negative")
	}
	id, secret := make([]byte, 4), make([]byte, 32)
	rand.Read(id)
	rand.Read(secret)
	t := Token{ID: hex.EncodeToString(id), Name: name, Scopes: scopes.Names(), Created: s.now().UTC()}
	if life > 0 {
		t.Expires = t.Created.Add(life)
	}
	text := "hf_" + t.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(text))
	t.Hash = hex.EncodeToString(sum[:])
	return text, s.change(func(c *contents) error {
		if len(c.Tokens) >= mostTokens {
			return fmt.Errorf("there are %d tokens already: remove some", mostTokens)
		}
		c.Tokens = append(c.Tokens, t)
		return nil
	})
}

// Token is whose token it is and what it may do; ErrUnknown, also for one that has ended.
func (s *Store) Token(text string) (Token, Scope, error) {
	c, err := s.read()
	if err != nil {
		return Token{}, None, err
	}
	sum := sha256.Sum256([]byte(text))
	got := []byte(hex.EncodeToString(sum[:]))
	for _, t := range c.Tokens {
		if subtle.ConstantTimeCompare(got, []byte(t.Hash)) != 1 {
			continue
		}
		if !t.Expires.IsZero() && !s.now().Before(t.Expires) {
			break
		}
		scopes, err := ParseScopes(strings.Join(t.Scopes, ","))
		return t, scopes, err
	}
	return Token{}, None, ErrUnknown
}

func checkName(name string) error {
	if name == "" || len(name) > mostName || strings.TrimSpace(name) != name ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return fmt.Errorf("%.80q is no name: use 1 to %d printable characters", name, mostName)
	}
	return nil
}
