package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Header fields of an alert. The signature is "v1=" and HMAC-SHA-256 in hex over
//
//	timestamp "." key "." body
//
// with the secret that both sides know. The timestamp is that of the sending, in Unix seconds: who receives refuses an
// old one, and takes a key that it has seen for the same alert.
const (
	KeyHeader       = "Idempotency-Key"
	TimestampHeader = "Holdfast-Timestamp"
	SignatureHeader = "Holdfast-Signature"
)

// MinSecret is the shortest secret, in bytes.
const MinSecret = 16

func signature(secret []byte, timestamp, key string, body []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(timestamp + "." + key + "."))
	h.Write(body)
	return "v1=" + hex.EncodeToString(h.Sum(nil))
}

func sign(h http.Header, secret []byte, key string, body []byte, now time.Time) {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	h.Set(KeyHeader, key)
	h.Set(TimestampHeader, timestamp)
	h.Set(SignatureHeader, signature(secret, timestamp, key, body))
}

// ErrForged says that a request is not from who knows the secret, or is a repetition of an old one.
var ErrForged = errors.New("webhook: not signed by the box, or too old")

// Verify is for who receives alerts: it checks the signature, and that it was made at most window from now.
func Verify(h http.Header, secret []byte, body []byte, now time.Time, window time.Duration) (key string, err error) {
	timestamp, key := h.Get(TimestampHeader), h.Get(KeyHeader)
	if key == "" || strings.Contains(timestamp, ".") {
		return "", ErrForged
	}
	if !hmac.Equal([]byte(signature(secret, timestamp, key, body)), []byte(h.Get(SignatureHeader))) {
		return "", ErrForged
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > window {
		return "", ErrForged
	}
	return key, nil
}
