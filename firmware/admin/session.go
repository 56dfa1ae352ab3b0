package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"holdfast/firmware/admin/account"
)

// cookieName: the prefix makes browsers take it from this host only, with TLS, for all paths (RFC 6265bis §4.1.3.2).
const cookieName = "__Host-holdfast"

// How long a session lives: without use, and at most. A page that is open counts as use, so that the screen at the front
// desk does not log itself out in the night.
const (
	sessionIdle  = time.Hour
	sessionAdmin = 12 * time.Hour
	sessionOther = 7 * 24 * time.Hour
)

// mostSessions bounds them; beyond, the one that was used longest ago ends.
const mostSessions = 1000

// session is a person who has logged in, at one browser.
type session struct {
	key    [sha256.Size]byte
	user   string
	role   account.Role // it began with
	hash   string       // of the password that it began with
	began  time.Time
	used   time.Time
	notice notice // shown on the next page, once
}

// notice tells what an order came to.
type notice struct {
	Text   string
	Secret string // a password or a token that was made: it is seen this once
	Bad    bool
}

// sessions are in RAM: a restart of the program logs everybody out. Only the hash of a cookie is kept.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, all: make(map[[sha256.Size]byte]*session)}
}

// begin makes a session and its cookie.
func (s *sessions) begin(u account.User) *http.Cookie {
	raw := make([]byte, 32)
	rand.Read(raw)
	value := base64.RawURLEncoding.EncodeToString(raw)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostSessions {
		var oldest *session
		for _, x := range s.all {
			if oldest == nil || x.used.Before(oldest.used) {
				oldest = x
			}
		}
		delete(s.all, oldest.key)
	}
	x := &session{key: sha256.Sum256([]byte(value)), user: u.Name, role: u.Role, hash: u.Hash, began: now, used: now}
	s.all[x.key] = x
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// find is the session of a cookie, if its account stands as it did when the session began.
func (s *sessions) find(value string, accounts *account.Store) (*session, account.User, bool) {
	key := sha256.Sum256([]byte(value))
	s.mu.Lock()
	x := s.all[key]
	s.mu.Unlock()
	if x == nil {
		return nil, account.User{}, false
	}
	u, err := accounts.User(x.user)
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	longest := sessionOther
	if u.Role == account.Admin {
		longest = sessionAdmin
	}
	if err != nil || u.Hash != x.hash || u.Role != x.role || now.Sub(x.used) > sessionIdle || now.Sub(x.began) > longest {
		delete(s.all, key)
		return nil, account.User{}, false
	}
	x.used = now
	return x, u, true
}

// end logs out.
func (s *sessions) end(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, x.key)
}

// tell leaves a notice for the next page, and hear takes it.
func (s *sessions) tell(x *session, n notice) {
	if x == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.notice = n
}

func (s *sessions) hear(x *session) (n notice) {
	if x == nil {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, x.notice = x.notice, notice{}
	return n
}
