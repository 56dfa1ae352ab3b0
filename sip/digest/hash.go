package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
)

// The algorithms (RFC 8760 §2.1); the names are also the keys of a user's HA1 values. The "-sess" variants are not offered.
const (
	SHA256 = "SHA-256"
	MD5    = "MD5"
)

// newHash is nil for an unknown algorithm.
func newHash(alg string) hash.Hash {
	switch alg {
	case SHA256:
		return sha256.New()
	case MD5:
		return md5.New()
	}
	return nil
}

// response is what a client that knows ha1 answers (RFC 7616 §3.4.1, qop=auth).
func response(ha1, method string, c Credentials) string {
	return sum(c.Algorithm, ha1, c.Nonce, c.NC, c.CNonce, c.QOP, sum(c.Algorithm, method, c.URI))
}

func sum(alg string, parts ...string) string {
	h := newHash(alg)
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}
