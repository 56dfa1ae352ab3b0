package account

import (
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
	ErrLastAdmin = errors.New("nobody else is an admin: make somebody else one first")
	ErrBeyond    = errors.New("nobody gives more than he may do himself")
)

// Bounds of the file.
const (
	mostUsers  = 200
	mostTokens = 200
	mostName   = 64 // bytes
)

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

// user is where somebody stands in the list; -1 for nowhere.
func (c *contents) user(name string) int {
	return slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
}

func (c *contents) hasAdmin() bool {
	return slices.ContainsFunc(c.Users, func(u User) bool { return u.Role == Admin })
}

// Open names the file; it need not exist yet. now is nil for time.Now.
func Open(path string, now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{path: path, now: now}
}

func checkName(name string) error {
	if name == "" || len(name) > mostName || strings.TrimSpace(name) != name || strings.Trim(name, ".") == "" || // dots lead elsewhere in an address
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return fmt.Errorf("%.80q is no name: use 1 to %d printable characters", name, mostName)
	}
	return nil
}
