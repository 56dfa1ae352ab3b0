package voice

import (
	"bytes"
	"crypto/rand"
	"fmt"

	"github.com/pion/srtp/v2"
)

// suite is what a crypto line's name means.
type suite struct {
	profile   srtp.ProtectionProfile
	key, salt int
}

func suiteOf(name string) (suite, bool) {
	switch name {
	case "AES_CM_128_HMAC_SHA1_80":
		return suite{srtp.ProtectionProfileAes128CmHmacSha1_80, 16, 14}, true
	case "AES_CM_128_HMAC_SHA1_32":
		return suite{srtp.ProtectionProfileAes128CmHmacSha1_32, 16, 14}, true
	case "AES_256_CM_HMAC_SHA1_80":
		return suite{srtp.ProtectionProfileAes256CmHmacSha1_80, 32, 14}, true
	case "AES_256_CM_HMAC_SHA1_32":
		return suite{srtp.ProtectionProfileAes256CmHmacSha1_32, 32, 14}, true
	case "AEAD_AES_128_GCM":
		return suite{srtp.ProtectionProfileAeadAes128Gcm, 16, 12}, true
	case "AEAD_AES_256_GCM":
		return suite{srtp.ProtectionProfileAeadAes256Gcm, 32, 12}, true
	}
	return suite{}, false
}

// newKey makes a fresh master key and salt.
func newKey(tag int, name string) Crypto {
	s, _ := suiteOf(name)
	key := make([]byte, s.key+s.salt)
	rand.Read(key)
	return Crypto{Tag: tag, Suite: name, Key: key}
}

// direction is one direction's cryptographic context; it survives an offer that repeats the key.
type direction struct {
	crypto Crypto
	ctx    *srtp.Context
}

func (d *direction) set(c Crypto) error {
	if d.ctx != nil && d.crypto.Suite == c.Suite && bytes.Equal(d.crypto.Key, c.Key) {
		return nil
	}
	s, ok := suiteOf(c.Suite)
	if !ok || len(c.Key) != s.key+s.salt {
		return fmt.Errorf("crypto suite %q with a key of %d bytes", c.Suite, len(c.Key))
	}
	ctx, err := srtp.CreateContext(c.Key[:s.key], c.Key[s.key:], s.profile, srtp.SRTPReplayProtection(128), srtp.SRTCPReplayProtection(128))
	if err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	d.crypto, d.ctx = c, ctx
	return nil
}
