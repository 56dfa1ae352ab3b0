package sdp

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"strconv"
	"strings"
)

// Crypto is one a=crypto line (RFC 4568 §9.1): the key that its writer seals with. Only lines with one master key and
// without session parameters that change the protection are usable; see parseCrypto.
type Crypto struct {
	Tag      int
	Suite    string // canonical name
	Spelling string // the suite as the offerer spelt it, for the answer; "": as Suite
	Key      []byte `json:"-"` // master key then master salt
	Lifetime uint64 // packets; 0: not given
	MKI      []byte // nil: none
}

// Suites that the box speaks, with the length of master key and salt together in bytes.
const (
	AES128SHA80 = "AES_CM_128_HMAC_SHA1_80" // RFC 4568 §6.2.1
	AES128SHA32 = "AES_CM_128_HMAC_SHA1_32" // RFC 4568 §6.2.2
	AES256SHA80 = "AES_256_CM_HMAC_SHA1_80" // RFC 6188 §6
	AES256SHA32 = "AES_256_CM_HMAC_SHA1_32" // RFC 6188 §6
	AES128GCM   = "AEAD_AES_128_GCM"        // RFC 7714 §14.2
	AES256GCM   = "AEAD_AES_256_GCM"        // RFC 7714 §14.2
)

// DefaultSuites is what the box offers, best first.
func DefaultSuites() []string {
	return []string{AES128SHA80, AES256SHA80, AES128GCM, AES256GCM, AES128SHA32, AES256SHA32}
}

// KeyLen is the length in bytes of a suite's master key and salt together; 0 for a suite that is not known.
func KeyLen(suite string) int {
	switch suite {
	case AES128SHA80, AES128SHA32:
		return 30
	case AES256SHA80, AES256SHA32:
		return 46
	case AES128GCM:
		return 28
	case AES256GCM:
		return 44
	}
	return 0
}

// canonicalSuite also knows the misspelling of RFC 6188's suites that is common in the field.
func canonicalSuite(s string) string {
	s = strings.ToUpper(s)
	if rest, ok := strings.CutPrefix(s, "AES_CM_256_"); ok {
		s = "AES_256_CM_" + rest
	}
	if KeyLen(s) == 0 {
		return ""
	}
	return s
}

// parseCrypto reads "<tag> <suite> inline:<key>[|lifetime][|MKI:length] [session parameters]".
// Several keys, a key derivation rate, forward error correction and anything unencrypted or unauthenticated are refused.
func parseCrypto(value string) (Crypto, error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return Crypto{}, errors.New("fewer than three fields")
	}
	tag, err := strconv.ParseUint(f[0], 10, 31)
	if err != nil || len(f[0]) > 9 {
		return Crypto{}, errors.New("tag is not a number of up to nine digits")
	}
	c := Crypto{Tag: int(tag), Suite: canonicalSuite(f[1]), Spelling: f[1]}
	if c.Suite == "" {
		return Crypto{}, fmt.Errorf("unknown suite %.40q", f[1])
	}
	const method = "inline:"
	if len(f[2]) < len(method) || !strings.EqualFold(f[2][:len(method)], method) {
		return Crypto{}, errors.New("key method is not inline")
	}
	if err := c.parseKey(f[2][len(method):]); err != nil {
		return Crypto{}, err
	}
	for _, p := range f[3:] {
		// A window size hint binds nobody, and "-" marks what may be ignored (RFC 4568 §6.3.6, §6.3.7).
		if !strings.HasPrefix(p, "-") && !strings.HasPrefix(strings.ToUpper(p), "WSH=") {
			return Crypto{}, fmt.Errorf("session parameter %.40q is not supported", p)
		}
	}
	return c, nil
}

func (c *Crypto) parseKey(s string) (err error) {
	f := strings.Split(s, "|")
	if len(f) > 3 {
		return errors.New("more than a key, a lifetime and an MKI")
	}
	c.Key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(f[0], "=")) // some leave the padding out
	if err != nil || len(c.Key) != KeyLen(c.Suite) {
		return fmt.Errorf("key and salt are not %d bytes in base64", KeyLen(c.Suite))
	}
	for i, p := range f[1:] {
		if strings.Contains(p, ":") {
			if i != len(f)-2 {
				return errors.New("MKI is not last")
			}
			c.MKI, err = parseMKI(p)
		} else if i == 0 {
			c.Lifetime, err = parseLifetime(p)
		} else {
			return errors.New("two lifetimes")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseLifetime reads "2^20" or "1048576", at most 2^48 (RFC 3711 §9.2).
func parseLifetime(s string) (uint64, error) {
	digits, power := strings.CutPrefix(s, "2^")
	n, err := strconv.ParseUint(digits, 10, 64)
	if power && err == nil && n <= 48 {
		n = 1 << n
	} else if power {
		n = 0
	}
	if err != nil || n == 0 || n > 1<<48 {
		return 0, errors.New("lifetime is not from 1 to 2^48")
	}
	return n, nil
}

// parseMKI reads "1:4": the value and its length in bytes on the wire.
func parseMKI(s string) ([]byte, error) {
	value, length, _ := strings.Cut(s, ":")
	v, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil, errors.New("MKI is not a number")
	}
	n, err := strconv.ParseUint(length, 10, 8)
	if err != nil || n < 1 || n > 128 || bits.Len64(v) > 8*int(n) {
		return nil, errors.New("MKI length is not from 1 to 128, or too short for the MKI")
	}
	mki := make([]byte, n)
	for i := len(mki) - 1; i >= 0; i-- {
		mki[i] = byte(v)
		v >>= 8
	}
	return mki, nil
}

// line is the attribute's value.
func (c Crypto) line() (string, error) {
	if n := KeyLen(c.Suite); n == 0 || len(c.Key) != n {
		return "", fmt.Errorf("crypto tag %d: suite %q with a key of %d bytes", c.Tag, c.Suite, len(c.Key))
	}
	s := fmt.Sprintf("%d %s inline:%s", c.Tag, cmp.Or(c.Spelling, c.Suite), base64.StdEncoding.EncodeToString(c.Key))
	if c.Lifetime != 0 {
		s += "|" + strconv.FormatUint(c.Lifetime, 10)
	}
	if c.MKI != nil {
		v := uint64(0)
		for _, b := range c.MKI {
			v = v<<8 | uint64(b)
		}
		s += fmt.Sprintf("|%d:%d", v, len(c.MKI))
	}
	return s, nil
}

// NewKey makes a fresh key for a suite with tag 1. rand must be crypto/rand's Reader outside of tests.
func NewKey(suite string, rand io.Reader) (Crypto, error) {
	n := KeyLen(suite)
	if n == 0 {
		return Crypto{}, fmt.Errorf("new SRTP key: unknown suite %q", suite)
	}
	c := Crypto{Tag: 1, Suite: suite, Key: make([]byte, n)}
	if _, err := io.ReadFull(rand, c.Key); err != nil {
		return Crypto{}, fmt.Errorf("new SRTP key: %w", err)
	}
	return c, nil
}

// NewKeys makes the a=crypto lines of an offer: a fresh key for each suite, tags from 1.
func NewKeys(suites []string, rand io.Reader) ([]Crypto, error) {
	keys := make([]Crypto, len(suites))
	for i, suite := range suites {
		c, err := NewKey(suite, rand)
		if err != nil {
			return nil, err
		}
		c.Tag = i + 1
		keys[i] = c
	}
	return keys, nil
}

// SelectCrypto picks from an offer what to answer with: the offerer's first, since parsing has left only usable ones
// (RFC 4568 §5.1.2). ok is false for an offer without any: 488.
func SelectCrypto(offer []Crypto) (c Crypto, ok bool) {
	if len(offer) == 0 {
		return Crypto{}, false
	}
	return offer[0], true
}

// Answer makes the box's own line that accepts an offered one: its tag, suite and spelling, with a fresh key.
func (c Crypto) Answer(rand io.Reader) (Crypto, error) {
	a, err := NewKey(c.Suite, rand)
	a.Tag, a.Spelling = c.Tag, c.Spelling
	return a, err
}

// MatchCrypto finds which of the offered lines an answer accepted, and the answer's own line (RFC 4568 §5.1.3). ok is false if
// it accepted none or changed a suite: the answer is not acceptable.
func MatchCrypto(offered, answered []Crypto) (ours, theirs Crypto, ok bool) {
	if len(answered) == 0 {
		return Crypto{}, Crypto{}, false
	}
	theirs = answered[0]
	for _, o := range offered {
		if o.Tag == theirs.Tag && o.Suite == theirs.Suite {
			return o, theirs, true
		}
	}
	return Crypto{}, Crypto{}, false
}

// Clone is a copy with bytes of its own, which outlives Wipe.
func (c Crypto) Clone() Crypto {
	c.Key, c.MKI = bytes.Clone(c.Key), bytes.Clone(c.MKI)
	return c
}

// Wipe overwrites the key.
func (c Crypto) Wipe() { clear(c.Key) }

// String leaves the key out, so that it reaches no log.
func (c Crypto) String() string { return fmt.Sprintf("%d %s", c.Tag, c.Suite) }

// GoString leaves the key out too.
func (c Crypto) GoString() string { return c.String() }

// LogValue leaves the key out.
func (c Crypto) LogValue() slog.Value { return slog.StringValue(c.String()) }
