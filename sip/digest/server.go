// Package digest is the server side of SIP Digest authentication: RFC 7616 and RFC 8760 with SHA-256 and MD5, qop=auth.
// It makes challenges and judges answers to them, given the user's HA1 values.
//
// It keeps nothing about what has not authenticated: a nonce carries its own proof of origin, and only a nonce that a right answer
// has used takes memory. It does not find users, send responses or slow attackers down; sip/access and sip/stack do. It
// takes no logger: Result.Reason is for the caller's log and must not reach the peer, or it would tell users from strangers.
package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a Server.
type Options struct {
	Realm string
	// Secret must be drawn anew at each start of the program: the counts of used nonces are forgotten with the process, so its nonces
	// must be void too.
	Secret    [32]byte
	Lifetime  time.Duration // of a nonce; 0: 5 minutes
	MaxNonces int           // authenticated nonces remembered; 0: 32768, about 2 MiB
}

// Server is safe for concurrent use.
type Server struct {
	realm    string
	secret   [32]byte
	lifetime time.Duration
	nonces   nonces
	replays  replays
	once     sync.Once
	start    time.Time // the first time seen
}

// New makes a server; it starts nothing.
func New(o Options) *Server {
	if o.Lifetime <= 0 {
		o.Lifetime = 5 * time.Minute
	}
	if o.MaxNonces <= 0 {
		o.MaxNonces = 32768
	}
	s := &Server{realm: o.Realm, secret: o.Secret, lifetime: o.Lifetime, nonces: nonces{key: derive(o.Secret, "nonce\x00"+o.Realm)}}
	s.replays.half = max(1, o.MaxNonces/2)
	return s
}

// Challenges are the values of the WWW-Authenticate headers of a 401, one for each algorithm, best first (RFC 8760 §2.3).
// stale tells the phone to try again with the new nonce and the same password. algs nil means all that the server knows.
func (s *Server) Challenges(now time.Time, stale bool, algs []string) []string {
	if algs == nil {
		algs = []string{SHA256, MD5}
	}
	age := s.age(now)
	var values []string
	for _, alg := range algs {
		if newHash(alg) == nil {
			continue
		}
		v := fmt.Sprintf(`Digest realm=%s, nonce="%s", algorithm=%s, qop="auth"`, quote(s.realm), s.nonces.issue(age), alg)
		if stale {
			v += ", stale=true"
		}
		values = append(values, v)
	}
	return values
}

// Result of Verify.
type Result struct {
	OK     bool
	Stale  bool   // the password is right, the nonce is used up: challenge again with stale=true, and count it as no failure
	Reason string // why not OK, for the log only
}

// Verify judges the answer to a challenge. ha1 is the user's H(username:realm:password) in lower-case hex by algorithm; known is
// false for a user that does not exist, for whom the same work is done and the same answer given. That Username is allowed to act for
// the address in From or To is the caller's check.
//
// The uri must be equivalent to requestURI (see sameURI). A replayed nc, an expired or forgotten nonce and one that another server
// has issued (a phone that comes from the cloud tries it first) are Stale if the response is right.
func (s *Server) Verify(now time.Time, method, requestURI string, c Credentials, ha1 map[string]string, known bool) Result {
	switch {
	case !strings.EqualFold(c.QOP, "auth"): // without it: RFC 2069, which knows no cnonce
		return Result{Reason: "qop is not auth"}
	case newHash(c.Algorithm) == nil:
		return Result{Reason: "unknown algorithm"}
	case c.Realm != s.realm:
		return Result{Reason: "another realm"}
	case c.CNonce == "":
		return Result{Reason: "no cnonce"}
	case !sameURI(c.URI, requestURI):
		return Result{Reason: "uri is not the request's"}
	}
	nc, err := strconv.ParseUint(c.NC, 16, 32)
	if err != nil || len(c.NC) != 8 || nc == 0 {
		return Result{Reason: "nc is not eight hexadecimal digits from 1"}
	}

	secret := s.decoy(c)
	if h, ok := ha1[c.Algorithm]; ok && known {
		secret = h
	}
	right := subtle.ConstantTimeCompare([]byte(response(secret, method, c)), []byte(strings.ToLower(c.Response))) == 1
	id, issued, ours := s.nonces.open(c.Nonce)
	if !right {
		return Result{Reason: "wrong user or password"}
	}
	age := s.age(now) - issued
	switch {
	case !ours:
		return Result{Stale: true, Reason: "nonce of another server or an earlier run"}
	case age < 0 || age > s.lifetime:
		return Result{Stale: true, Reason: "nonce expired"}
	case !s.replays.use(id, uint32(nc)):
		return Result{Stale: true, Reason: "nonce count used before"}
	}
	return Result{OK: true}
}

func (s *Server) age(now time.Time) time.Duration {
	s.once.Do(func() { s.start = now })
	return now.Sub(s.start)
}

// decoy is the HA1 of a user that does not exist: nobody's, and as long as a real one.
func (s *Server) decoy(c Credentials) string {
	key := derive(s.secret, "decoy\x00"+c.Algorithm+"\x00"+c.Username)
	return hex.EncodeToString(key[:])[:2*newHash(c.Algorithm).Size()]
}

func derive(secret [32]byte, label string) (key [32]byte) {
	m := hmac.New(sha256.New, secret[:])
	m.Write([]byte(label))
	m.Sum(key[:0])
	return key
}
