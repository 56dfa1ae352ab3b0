package cloud

import (
	"crypto/rand"
	"crypto/subtle"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"holdfast/firmware/lab/wire"
)

const (
	nonceLife  = time.Minute
	maxExpires = 600 // seconds
)

func (z *Zone) handle(conn *wire.Conn, req *sip.Request) {
	switch req.Method {
	case sip.REGISTER:
		z.register(conn, req)
	case sip.OPTIONS:
		conn.Send(sip.NewResponseFromRequest(req, 200, "OK", nil))
	default:
		z.proxy(conn, req)
	}
}

// register follows RFC 3261 §10.3 with Digest of RFC 8760.
func (z *Zone) register(conn *wire.Conn, req *sip.Request) {
	user := req.To().Address.User
	if !z.authentic(req, user) {
		res := sip.NewResponseFromRequest(req, 401, "Unauthorized", nil)
		nonce := rand.Text()
		z.mu.Lock()
		z.nonces[nonce] = time.Now().Add(nonceLife)
		for n, end := range z.nonces {
			if time.Now().After(end) {
				delete(z.nonces, n)
			}
		}
		z.mu.Unlock()
		for _, algorithm := range []string{"SHA-256", "MD5"} {
			c := digest.Challenge{Realm: z.cfg.Domain, Nonce: nonce, Algorithm: algorithm, QOP: []string{"auth"}}
			res.AppendHeader(sip.NewHeader("WWW-Authenticate", c.String()))
		}
		conn.Send(res)
		return
	}
	contact := req.Contact()
	if contact == nil {
		conn.Send(sip.NewResponseFromRequest(req, 400, "No Contact", nil))
		return
	}
	seconds := maxExpires
	if h := req.GetHeader("Expires"); h != nil {
		seconds, _ = strconv.Atoi(h.Value())
	}
	if v, ok := contact.Params.Get("expires"); ok {
		seconds, _ = strconv.Atoi(v)
	}
	seconds = max(0, min(seconds, maxExpires))
	z.mu.Lock()
	if seconds == 0 {
		if b := z.bindings[user]; b != nil && b.conn == conn {
			delete(z.bindings, user)
		}
	} else {
		z.bindings[user] = &binding{conn: conn, contact: contact.Address, expires: time.Now().Add(time.Duration(seconds) * time.Second)}
	}
	z.mu.Unlock()
	res := sip.NewResponseFromRequest(req, 200, "OK", nil)
	if seconds > 0 {
		c := contact.Clone()
		c.Params.Add("expires", strconv.Itoa(seconds))
		res.AppendHeader(c)
	}
	conn.Send(res)
}

// authentic computes the response again from the user's password.
func (z *Zone) authentic(req *sip.Request, user string) bool {
	h := req.GetHeader("Authorization")
	if h == nil {
		return false
	}
	cred, err := digest.ParseCredentials(h.Value())
	if err != nil {
		return false
	}
	z.mu.Lock()
	end, known := z.nonces[cred.Nonce]
	delete(z.nonces, cred.Nonce) // good for one request: nothing to replay
	z.mu.Unlock()
	password, exists := z.cfg.Passwords[user]
	if !known || time.Now().After(end) || !exists || cred.Username != user || cred.Realm != z.cfg.Domain || cred.QOP != "auth" {
		return false
	}
	want, err := digest.Digest(
		&digest.Challenge{Realm: cred.Realm, Nonce: cred.Nonce, Algorithm: cred.Algorithm, QOP: []string{"auth"}},
		digest.Options{Method: string(req.Method), URI: cred.URI, Count: cred.Nc, Cnonce: cred.Cnonce, Username: user, Password: password})
	if err != nil || subtle.ConstantTimeCompare([]byte(want.Response), []byte(cred.Response)) != 1 {
		return false
	}
	return true
}
