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

// mac is an HMAC-SHA1 key (RFC 2104): what SHA-1 has come to after the padded key, inside and outside.
type mac struct{ inner, outer [sha1.Size]byte }

// hasher computes HMACs, under any key, without allocating. Unlike crypto/hmac it can be wiped.
//
// It pads messages itself (FIPS 180-4 §5.1.1), so that the hash only ever sees whole blocks, and reads the sum from the saved state:
// hash.Hash.Sum copies the state and its input so often that it costs a third of the whole.
type hasher struct {
	hash   state
	keyed  []byte             // hash's state after a padded key
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

func newHasher() (x hasher, err error) {
	var ok bool
	if x.hash, ok = sha1.New().(state); !ok {
		return x, errors.New("SHA-1 of this Go release cannot save its state")
	}
	x.hash.Write(x.second[:])
	if x.keyed, err = x.hash.AppendBinary(nil); err != nil {
		return x, err
	}
	x.saved = make([]byte, len(x.keyed))
	pad(x.second[sha1.Size:], shaBlock+sha1.Size)
	return x, nil
}

func (x *hasher) newMAC(key []byte) mac { return mac{x.padded(key, 0x36), x.padded(key, 0x5c)} }

func (x *hasher) padded(key []byte, with byte) (sum [sha1.Size]byte) {
	block := x.tail[:shaBlock]
	clear(block)
	copy(block, key) // session keys are 20 bytes, shorter than a block
	for i := range block {
		block[i] ^= with
	}
	x.hash.Reset()
	x.hash.Write(block)
	x.saved, _ = x.hash.AppendBinary(x.saved[:0])
	copy(sum[:], x.saved[sumAt:sumEnd])
	clear(block)
	return sum
}

// pad fills b, which ends where a block ends, with what follows a message of n bytes.
func pad(b []byte, n int) {
	b[0] = 0x80
	clear(b[1 : len(b)-8])
	binary.BigEndian.PutUint64(b[len(b)-8:], 8*uint64(n))
}

// compute is the tag of a then b, which is at most 4 bytes; valid until the next call.
func (x *hasher) compute(m *mac, a, b []byte) []byte {
	whole := len(a) &^ (shaBlock - 1)
	n := copy(x.tail[:], a[whole:])
	n += copy(x.tail[n:], b)
	end := (n + 1 + 8 + shaBlock - 1) &^ (shaBlock - 1)
	pad(x.tail[n:end], shaBlock+len(a)+len(b))
	x.start(&m.inner)
	x.hash.Write(a[:whole])
	x.hash.Write(x.tail[:end])
	copy(x.second[:], x.sum())
	x.start(&m.outer)
	x.hash.Write(x.second[:])
	return x.sum()
}

// start and sum restore and save states that were made by this very hash: neither can fail.

func (x *hasher) start(after *[sha1.Size]byte) {
	copy(x.keyed[sumAt:], after[:])
	_ = x.hash.UnmarshalBinary(x.keyed)
}

func (x *hasher) sum() []byte {
	x.saved, _ = x.hash.AppendBinary(x.saved[:0])
	return x.saved[sumAt:sumEnd]
}

// verify compares tag, which may be cut short, in constant time.
func (x *hasher) verify(m *mac, tag, a, b []byte) bool {
	return hmac.Equal(tag, x.compute(m, a, b)[:len(tag)])
}

func (x *hasher) wipe() {
	clear(x.keyed[sumAt:sumEnd])
	clear(x.saved)
	clear(x.tail[:])
	clear(x.second[:sha1.Size])
	x.hash.Reset()
}
