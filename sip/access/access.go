// Package access is the phones' door: it authenticates requests (Digest, RFC 8760, or the connection that has
// authenticated before; over UDP that counts for emergency calls alone) and answers REGISTER (RFC 3261 §10, RFC 5626). The bindings themselves are sip/registrar's, the
// passwords sip/site's; whether phones are taken in at all, the mode says through a Gate.
package access

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/digest"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Gate is what the mode does with REGISTER.
type Gate struct {
	Open       bool            // phones are taken in
	Only       map[string]bool // if not nil: only these users (a drill for named phones), by User.ID
	RetryAfter time.Duration   // with the 503 of a closed gate, in whole seconds, at least one
}

// Options of a Server. The functions are called from many goroutines and must be quick.
type Options struct {
	Log       *slog.Logger
	Site      func() *site.Site
	Gate      func() Gate
	Registrar *registrar.Registrar
	// Persist returns once a user's bindings survive a crash of the program; a registration is acknowledged after it.
	Persist func(userID string, bindings []registrar.Binding) error
	// InCall reports whether a call runs on a connection. Its phone is taken in although the gate is closed: phones (linphone, for
	// one) close their connection at a 503, and the call could not be ended or changed any more. nil: none does.
	InCall func(*stack.Conn) bool
	// OnRefused is told of a phone that came while the gate was closed.
	OnRefused func(user string, from netip.AddrPort)
	// OnRegistered is told of each accepted REGISTER: how many bindings the user has now.
	OnRegistered func(userID string, bindings int)
}

// Server is safe for concurrent use.
type Server struct {
	o        Options
	realms   atomic.Pointer[realm]
	failures throttle
	totals   Totals
}

// Totals since the start, for metrics.
type Totals struct {
	Registered, Refused, Challenged, Failed atomic.Uint64
}

// realm is the Digest server of one realm; a new site document may bring another.
type realm struct {
	name string
	*digest.Server
}

// New makes a server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o}
}

// Totals returns the live counters.
func (s *Server) Totals() *Totals { return &s.totals }

func (s *Server) digest(name string) *digest.Server {
	for {
		r := s.realms.Load()
		if r != nil && r.name == name {
			return r.Server
		}
		n := &realm{name: name}
		var secret [32]byte
		rand.Read(secret[:])
		n.Server = digest.New(digest.Options{Realm: name, Secret: secret})
		if s.realms.CompareAndSwap(r, n) {
			return n.Server
		}
	}
}

// identity is what a connection has proven: users, each with the HA1 values it proved them with, so that a password
// that changes ends the trust.
type identity struct {
	users map[string]string
}

// maxUsersPerFlow bounds what one connection can claim: a phone has a few accounts, a gateway some dozens.
const maxUsersPerFlow = 64

func proof(u *site.User) string { return u.Auth.HA1["SHA-256"] + u.Auth.HA1["MD5"] }

// proven reports whether the connection has authenticated as the user.
func proven(c *stack.Conn, u *site.User) bool {
	id, _ := c.Get().(*identity)
	return id != nil && id.users[u.ID] == proof(u)
}

// prove remembers it.
func prove(c *stack.Conn, u *site.User) {
	id, _ := c.Get().(*identity)
	c.Set(id.with(u))
	c.SetAuthenticated()
}

// Recall takes as proven that a user's phone is on a flow over UDP: it has registered in the program's last life, and its
// address is all that a flow there is.
func (s *Server) Recall(c *stack.Conn, userID string) {
	if u, ok := s.o.Site().UserByID(userID); ok {
		prove(c, u)
	}
}

// with adds a user, who may take the place of another. The map is replaced, never changed: readers hold no lock.
func (id *identity) with(u *site.User) *identity {
	next := &identity{users: map[string]string{u.ID: proof(u)}}
	if id == nil {
		return next
	}
	for k, v := range id.users {
		if k != u.ID && len(next.users) < maxUsersPerFlow {
			next.users[k] = v
		}
	}
	return next
}

// Authenticate says which user a request comes from: the user named in From, if the connection or the request's
// credentials prove it. Otherwise the request has been answered.
func (s *Server) Authenticate(tx *stack.ServerTx) (*site.User, bool) {
	req := tx.Request()
	st := s.o.Site()
	if host := req.From().Address.Host; !ours(st, tx, host) {
		tx.Reply(404, "Not Found")
		return nil, false
	}
	return s.check(tx, st, req.From().Address.User, "From")
}

// Known says which user's phone an emergency call comes from, if its connection has proven that already. It asks for
// nothing: whoever is not known is served as a stranger. A phone that withholds its number (RFC 3323: From is anonymous) is
// the one user that its connection has proven; of several it could be any.
func (s *Server) Known(tx *stack.ServerTx) (*site.User, bool) {
	st := s.o.Site()
	if user, ok := claimed(st, tx.Request().From().Address.User); ok && proven(tx.Conn(), user) {
		return user, true
	}
	if id, _ := tx.Conn().Get().(*identity); id != nil && len(id.users) == 1 {
		for name := range id.users {
			user, ok := st.UserByID(name)
			return user, ok && proven(tx.Conn(), user)
		}
	}
	return nil, false
}

// Prove says whether the request's credentials prove that it comes from the user. Otherwise the request has been answered.
func (s *Server) Prove(tx *stack.ServerTx, user *site.User) bool {
	_, ok := s.check(tx, s.o.Site(), user.Auth.Username, "From")
	return ok
}

// ours reports whether a host name means this site: its domains, or the box's own address.
func ours(st *site.Site, tx *stack.ServerTx, host string) bool {
	return st.IsDomain(host) || host == tx.Conn().Contact().Addr().String()
}

// claimed finds the user that an address of record names.
func claimed(st *site.Site, name string) (*site.User, bool) {
	if u, ok := st.UserByUsername(name); ok {
		return u, true
	}
	return st.Lookup(name)
}

// check proves that the request comes from the user named. An unknown user, a wrong password and a password of someone
// else all get the same challenge, so that nobody can find out which users there are.
func (s *Server) check(tx *stack.ServerTx, st *site.Site, name, header string) (*site.User, bool) {
	req := tx.Request()
	user, known := claimed(st, name)
	if known && proven(tx.Conn(), user) && tx.Conn().Over() != stack.UDP { // anybody can write a datagram in a gateway's name
		return user, true
	}
	d := s.digest(st.Doc().Site.Domain)
	now := time.Now()
	cred, answered := credentials(req, st.Doc().Site.Domain)
	if !answered {
		s.challenge(tx, st, d, now, false)
		return nil, false
	}
	r := verify(d, now, string(req.Method), req.Recipient.String(), cred, user)
	if r.OK {
		prove(tx.Conn(), user)
		return user, true
	}
	if r.Stale {
		s.challenge(tx, st, d, now, true)
		return nil, false
	}
	s.totals.Failed.Add(1)
	source := tx.Conn().Remote()
	wait, loud := s.failures.fail(source.Addr(), now)
	if loud {
		s.o.Log.Warn("authentication failed", "source", source.String(), "claimed", clip(name), "header", header, "why", r.Reason)
	}
	if wait == 0 {
		s.challenge(tx, st, d, now, false)
	} else {
		time.AfterFunc(wait, func() { s.challenge(tx, st, d, time.Now(), false) })
	}
	return nil, false
}

// verify holds credentials against the user's; without a user (nil), or with somebody else's name in them, it does the
// same work and fails.
func verify(d *digest.Server, now time.Time, method, uri string, cred digest.Credentials, user *site.User) digest.Result {
	var ha1 map[string]string
	if user != nil && cred.Username == user.Auth.Username {
		ha1 = user.Auth.HA1
	}
	return d.Verify(now, method, uri, cred, ha1, ha1 != nil)
}

// credentials finds the Authorization for our realm; a phone may send others along.
func credentials(req *sip.Request, realm string) (digest.Credentials, bool) {
	for i, name := range []string{"authorization", "proxy-authorization"} {
		for j, h := range req.GetHeaders(name) {
			if i+j > 4 {
				break
			}
			if c, err := digest.Parse(h.Value()); err == nil && c.Realm == realm {
				return c, true
			}
		}
	}
	return digest.Credentials{}, false
}

func (s *Server) challenge(tx *stack.ServerTx, st *site.Site, d *digest.Server, now time.Time, stale bool) {
	s.totals.Challenged.Add(1)
	res := tx.Response(401, "Unauthorized")
	for _, v := range d.Challenges(now, stale, st.Algorithms()) {
		res.AppendHeader(sip.NewHeader("WWW-Authenticate", v))
	}
	tx.Respond(res)
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}
