package account

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a guess: the second of the parameter sets that OWASP's password storage guide holds to be equal in
// strength. 19 MiB leave the board its memory; package admin sees to it that one is computed at a time.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	saltBytes = 16
	keyBytes  = 32
)

// Lengths of a password, in characters and in bytes. Length is what counts (NIST SP 800-63B §5.1.1), composition is not asked for.
const (
	shortest     = 10
	longestBytes = 256
)

// CheckPassword says what is wrong with a new password.
func CheckPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password):
		return errors.New("the password is not valid text")
	case utf8.RuneCountInString(password) < shortest:
		return fmt.Errorf("the password is too short: use %d characters or more, such as four words", shortest)
	case len(password) > longestBytes:
		return fmt.Errorf("the password is longer than %d bytes", longestBytes)
	case strings.Contains(strings.ToLower(password), "holdfast") || strings.EqualFold(strings.Trim(password, "0123456789!"), name):
		return errors.New("the password can be guessed: it is the name, or the product's")
	case strings.Trim(password, password[:1]) == "":
		return errors.New("the password is one character over and over")
	}
	return nil
}

// NewPassword is one that nobody can guess (80 bits) and that can be read out: letters and the digits 2 to 7 in four groups.
func NewPassword() string {
	t := strings.ToLower(rand.Text())
	return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
}

// hash is a password in the PHC string format for argon2id.
func hash(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails (Go 1.24)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, memoryKiB, passes, b64.EncodeToString(salt),
		b64.EncodeToString(argon2.IDKey([]byte(password), salt, passes, memoryKiB, 1, keyBytes)))
}

// verify compares in constant time. Parameters of the file are obeyed within bounds: who can write the file can do more
// than fill the memory, but a torn file shall not.
func verify(phc, password string) bool {
	var version, m, t, p int
	rest, ok := strings.CutPrefix(phc, "$argon2id$")
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != 4 {
		return false
	}
	if _, err := fmt.Sscanf(parts[0]+" "+parts[1], "v=%d m=%d,t=%d,p=%d", &version, &m, &t, &p); err != nil {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[2])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil || version != argon2.Version || m < 8 || m > 128*1024 || t < 1 || t > 10 || p < 1 || p > 4 ||
		len(salt) < 8 || len(key) < 16 || len(key) > 64 || len(password) > longestBytes {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(t), uint32(m), uint8(p), uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}
