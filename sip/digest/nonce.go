package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// nonces issues nonces and knows its own again without keeping them: number, age of the server at issue, and a MAC of the two. The
// number makes each unique, the MAC makes them unforgeable and unpredictable. Ages come from the monotonic clock, so a
// box that gets the time of day late loses no nonce and revives none.
type nonces struct {
	key    [32]byte
	number atomic.Uint64
}

const macLen = 16

func (n *nonces) issue(age time.Duration) string {
	var b [16 + macLen]byte
	binary.BigEndian.PutUint64(b[:], n.number.Add(1))
	binary.BigEndian.PutUint64(b[8:], uint64(age))
	copy(b[16:], n.mac(b[:16]))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// open gives a nonce's number and the age at which it was issued; ok is false for one that is not ours.
func (n *nonces) open(s string) (number uint64, age time.Duration, ok bool) {
	var b [16 + macLen]byte
	if len(s) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return 0, 0, false
	}
	// Strict, so that a nonce has one spelling only.
	if m, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s)); err != nil || m != len(b) {
		return 0, 0, false
	}
	if !hmac.Equal(b[16:], n.mac(b[:16])) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[:]), time.Duration(binary.BigEndian.Uint64(b[8:])), true
}

func (n *nonces) mac(b []byte) []byte {
	m := hmac.New(sha256.New, n.key[:])
	m.Write(b)
	return m.Sum(nil)[:macLen]
}
