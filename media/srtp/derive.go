package srtp

import (
	"crypto/aes"
	"crypto/cipher"
	"reflect"
)

// Labels of RFC 3711 §4.3.1 and §4.3.2.
const (
	labelEncryption = 0
	labelAuth       = 1
	labelSalt       = 2
	labelRTCP       = 3 // added to the three above
)

// deriver is the AES-CM pseudo-random function of RFC 3711 §4.3.3, for AES-256 RFC 6188 §3. The key derivation rate is always 0, as SDES
// has it by default, so that each key is derived once.
type deriver struct {
	block cipher.Block
	salt  [14]byte // a 12-byte salt is padded with zeros on the right (RFC 7714 §11)
}

func newDeriver(key, salt []byte) (*deriver, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	d := &deriver{block: block}
	copy(d.salt[:], salt)
	return d, nil
}

func (d *deriver) derive(label byte, n int) []byte {
	var iv, out [16]byte
	copy(iv[:], d.salt[:])
	iv[7] ^= label
	key := make([]byte, 0, n+16)
	for i := range (n + 15) / 16 {
		iv[15] = byte(i)
		d.block.Encrypt(out[:], iv[:])
		key = append(key, out[:]...)
	}
	clear(key[n:])
	clear(out[:])
	return key[:n:n]
}

func (d *deriver) wipe() {
	clear(d.salt[:])
	zero(d.block)
}

// zero overwrites what p, a pointer, points to. The standard library's ciphers and hashes offer no other way to forget a key.
func zero(p any) {
	if v := reflect.ValueOf(p); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero()
	}
}
