package site

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// The digest algorithms of Auth.HA1, by their names in RFC 8760 §2.
const (
	SHA256 = "SHA-256"
	MD5    = "MD5"
)

// HA1 computes H(username ":" realm ":" password) as Auth.HA1 keeps it (RFC 7616 §3.4.2), in lower-case hex. The realm
// is Info.Domain. An HA1 value is as good as the password in that realm: keep it as safe.
func HA1(algorithm, username, realm, password string) (string, error) {
	if username == "" || realm == "" || strings.Contains(username, ":") {
		return "", fmt.Errorf("HA1 wants a realm, and a user name without a colon")
	}
	text := []byte(username + ":" + realm + ":" + password)
	switch algorithm {
	case SHA256:
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), nil
	case MD5:
		sum := md5.Sum(text)
		return hex.EncodeToString(sum[:]), nil
	}
	return "", fmt.Errorf("HA1 algorithm %q: want %q or %q", algorithm, SHA256, MD5)
}

// ha1Length is the number of hex digits of an algorithm's value, 0 for one that we do not know.
func ha1Length(algorithm string) int {
	switch algorithm {
	case SHA256:
		return 2 * sha256.Size
	case MD5:
		return 2 * md5.Size
	}
	return 0
}

// commonAlgorithms are the algorithms for which every user has a value, best first (RFC 8760 §2.3); those that anyone
// has where there is none in common.
func commonAlgorithms(users []User) []string {
	var common, some []string
	for _, alg := range []string{SHA256, MD5} {
		with := 0
		for i := range users {
			if users[i].Auth.HA1[alg] != "" {
				with++
			}
		}
		if with == len(users) {
			common = append(common, alg)
		}
		if with > 0 {
			some = append(some, alg)
		}
	}
	if len(common) == 0 {
		return some
	}
	return common
}
