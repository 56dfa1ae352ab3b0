// Package srtp protects RTP and RTCP under one master key for each direction: RFC 3711 with the AES-CM and HMAC-SHA1 suites, RFC 6188
// (AES-256) and RFC 7714 (AES-GCM).
//
// An Opener undoes what a peer sealed, a Sealer seals what the box sends; both work in place, without allocating, and keep nothing
// about a packet that did not authenticate. Neither may be used by two goroutines at once. Where keys come from (SDES, RFC 4568) and
// which packets go where is not this package's business.
package srtp

import (
	"errors"
	"fmt"
)

// Errors of opening and sealing a packet. They are returned as they are, so that the packet path allocates nothing.
var (
	ErrMalformed = errors.New("malformed SRTP packet")
	ErrAuth      = errors.New("SRTP authentication failed")
	ErrReplayed  = errors.New("SRTP packet replayed or too old")
	ErrMKI       = errors.New("SRTP packet names another master key")
	ErrReused    = errors.New("this packet index was sealed before")
	ErrExhausted = errors.New("SRTP master key has no index left")
	ErrSources   = errors.New("too many SSRCs under one key")
	ErrRoom      = errors.New("no room behind the packet for the tag")
	ErrWiped     = errors.New("SRTP key was wiped")
)

// MaxMKI is the longest master key identifier (RFC 4568 §6.1), in bytes.
const MaxMKI = 128

// Overhead is the most that sealing appends: index word, tag and MKI.
const Overhead = 4 + 16 + MaxMKI

// Suite is a crypto-suite of RFC 4568 §6.2, RFC 6188 §4 or RFC 7714 §14.2.
type Suite struct {
	Name string
	Key  int // master key, bytes
	Salt int // master salt, bytes
	Tag  int // SRTP authentication tag, bytes; SRTCP's is 10 with HMAC-SHA1, also for the _32 suites
	gcm  bool
}

var suites = [...]Suite{
	{Name: "AES_CM_128_HMAC_SHA1_80", Key: 16, Salt: 14, Tag: 10},
	{Name: "AES_CM_128_HMAC_SHA1_32", Key: 16, Salt: 14, Tag: 4},
	{Name: "AES_256_CM_HMAC_SHA1_80", Key: 32, Salt: 14, Tag: 10},
	{Name: "AES_256_CM_HMAC_SHA1_32", Key: 32, Salt: 14, Tag: 4},
	{Name: "AEAD_AES_128_GCM", Key: 16, Salt: 12, Tag: 16, gcm: true},
	{Name: "AEAD_AES_256_GCM", Key: 32, Salt: 12, Tag: 16, gcm: true},
}

// ParseSuite finds a suite by its SDES name. The misspelt AES_CM_256 of some phones is understood.
func ParseSuite(name string) (Suite, error) {
	switch name {
	case "AES_CM_256_HMAC_SHA1_80":
		name = "AES_256_CM_HMAC_SHA1_80"
	case "AES_CM_256_HMAC_SHA1_32":
		name = "AES_256_CM_HMAC_SHA1_32"
	}
	for _, s := range suites {
		if s.Name == name {
			return s, nil
		}
	}
	return Suite{}, fmt.Errorf("unknown crypto suite %q", name)
}

// transform is a suite under one master key. Packets grow and shrink at their end; the MKI is part of what it writes and checks.
// Nothing may be believed of a packet before its open method returned nil, and a failed one may have destroyed the packet.
type transform interface {
	// openRTP without decrypt leaves the packet as it is, and what it gives means nothing.
	openRTP(pkt []byte, header int, ssrc uint32, index uint64, decrypt bool) ([]byte, error)
	sealRTP(pkt []byte, header int, ssrc uint32, index uint64) []byte
	openRTCP(pkt []byte, ssrc uint32, index uint32) ([]byte, error)
	sealRTCP(pkt []byte, ssrc uint32, index uint32) []byte
	// overhead is what sealing appends, in bytes.
	overhead() (rtp, rtcp int)
	// word is where the SRTCP index word of a packet begins; negative if the packet is too short.
	word(pkt []byte) int
	// expect reads the keys of RTP, those to encrypt and decrypt only if that is what comes, and gives some number.
	expect(crypt bool) uint64
	wipe()
}

// newTransform splits key into master key and salt and derives the session keys. AES-CM is made in place: what a packet needs shall lie
// in one piece.
func newTransform(x *Scratch, place *cm, suite string, key, mki []byte) (transform, error) {
	s, err := ParseSuite(suite)
	if err != nil {
		return nil, err
	}
	if len(key) != s.Key+s.Salt {
		return nil, fmt.Errorf("%s takes %d bytes of key and salt, got %d", s.Name, s.Key+s.Salt, len(key))
	}
	if len(mki) > MaxMKI {
		return nil, fmt.Errorf("MKI of %d bytes is longer than %d", len(mki), MaxMKI)
	}
	d, err := newDeriver(key[:s.Key], key[s.Key:])
	if err != nil {
		return nil, fmt.Errorf("derive SRTP keys: %w", err)
	}
	defer d.wipe()
	if s.gcm {
		return newGCM(x, d, s, mki)
	}
	if err := place.init(x, d, s, mki); err != nil {
		return nil, err
	}
	return place, nil
}
