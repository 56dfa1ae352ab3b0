package srtp

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"errors"
	"hash"
)

const shaBlock = sha1.BlockSize

// mac is an HMAC-SHA1 key (RFC 2104): the hash's state after the padded key, inside and outside.
type mac struct{ inner, outer []byte }

// hasher computes HMACs, under any key, without allocating. Unlike crypto/hmac it can be wiped.
//
// It pads messages itself (FIPS 180-4 §5.1.1), so that the hash only ever sees whole blocks, and reads the sum from the saved state:
// hash.Hash.Sum copies the state and its input so often that it costs a third of the whole.
type hasher struct {
	hash   state
	saved  []byte             // hash's state after a message
	tail   [2 * shaBlock]byte // the message's end and its padding
	second [shaBlock]byte     // the inner sum with its padding, which is always the same
}

// state is what SHA-1 of the standard library can do beside hashing.
type state interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Where crypto/sha1 puts the five words of the sum into its saved state: behind a mark of four bytes. TestMACAgainstStandardLibrary would notice a change.
const (
	sumAt  = 4
	sumEnd = sumAt + sha1.Size
)

func newHasher() (*hasher, error) {
	h, ok := sha1.New().(state)
	if !ok {
		return nil, errors.New("SHA-1 of this Go release cannot save its state")
	}
	x := &hasher{hash: h}
	var err error
	if x.saved, err = h.AppendBinary(nil); err != nil {
		return nil, err
	}
	pad(x.second[sha1.Size:], shaBlock+sha1.Size)
	return x, nil
}

func (x *hasher) newMAC(key []byte) (m mac, err error) {
	if m.inner, err = x.padded(key, 0x36); err != nil {
		return mac{}, err
	}
	m.outer, err = x.padded(key, 0x5c)
	return m, err
}

func (x *hasher) padded(key []byte, with byte) ([]byte, error) {
	var b [shaBlock]byte
	copy(b[:], key) // session keys are 20 bytes, shorter than a block
	for i := range b {
		b[i] ^= with
	}
	x.hash.Reset()
	x.hash.Write(b[:])
	clear(b[:])
	return x.hash.AppendBinary(make([]byte, 0, len(x.saved)))
}

// pad fills b, which ends where a block ends, with what follows a message of n bytes.
func pad(b []byte, n int) {
	b[0] = 0x80
	clear(b[1 : len(b)-8])
	binary.BigEndian.PutUint64(b[len(b)-8:], 8*uint64(n))
}

// compute is the tag of a then b, which is at most 4 bytes; valid until the next call.
func (x *hasher) compute(m mac, a, b []byte) []byte {
	whole := len(a) &^ (shaBlock - 1)
	n := copy(x.tail[:], a[whole:])
	n += copy(x.tail[n:], b)
	end := (n + 1 + 8 + shaBlock - 1) &^ (shaBlock - 1)
	pad(x.tail[n:end], shaBlock+len(a)+len(b))
	// The states were made by this very hash: restoring cannot fail, nor can saving.
	_ = x.hash.UnmarshalBinary(m.inner)
	x.hash.Write(a[:whole])
	x.hash.Write(x.tail[:end])
	x.saved, _ = x.hash.AppendBinary(x.saved[:0])
	copy(x.second[:], x.saved[sumAt:sumEnd])
	_ = x.hash.UnmarshalBinary(m.outer)
	x.hash.Write(x.second[:])
	x.saved, _ = x.hash.AppendBinary(x.saved[:0])
	return x.saved[sumAt:sumEnd]
}

// verify compares tag, which may be cut short, in constant time.
func (x *hasher) verify(m mac, tag, a, b []byte) bool {
	return hmac.Equal(tag, x.compute(m, a, b)[:len(tag)])
}

func (m mac) wipe() {
	clear(m.inner)
	clear(m.outer)
}

func (x *hasher) wipe() {
	clear(x.saved)
	clear(x.tail[:])
	clear(x.second[:])
	zero(x.hash)
}
