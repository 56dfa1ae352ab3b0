package srtp

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
)

// mac is HMAC-SHA1 (RFC 2104) under one key, reused for every packet. Unlike crypto/hmac it can be wiped.
//
// It pads messages itself (FIPS 180-4 §5.1.1), so that the hash only ever sees whole blocks, and reads the sum from the saved state:
// hash.Hash.Sum copies the state and its input so often that it costs a third of the whole.
type mac struct {
	hash         state
	inner, outer []byte          // hash's state after the padded key
	saved        []byte          // hash's state after a message
	tail         [2 * block]byte // the message's end and its padding
	second       [block]byte     // the inner sum with its padding, which never changes
}

const block = sha1.BlockSize

// state is what SHA-1 of the standard library can do beside hashing.
type state interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Where crypto/sha1 puts the five words of the sum into its saved state: behind a mark of four bytes. TestMAC would notice a change.
const (
	sumAt  = 4
	sumEnd = sumAt + sha1.Size
)

func newMAC(key []byte) (*mac, error) {
	h, ok := sha1.New().(state)
	if !ok {
		return nil, fmt.Errorf("SHA-1 of this Go release cannot save its state")
	}
	m := &mac{hash: h}
	var err error
	if m.inner, err = padded(h, key, 0x36); err != nil {
		return nil, err
	}
	if m.outer, err = padded(h, key, 0x5c); err != nil {
		return nil, err
	}
	m.saved = make([]byte, 0, len(m.inner))
	pad(m.second[sha1.Size:], block+sha1.Size)
	return m, nil
}

func padded(h state, key []byte, with byte) ([]byte, error) {
	var b [block]byte
	copy(b[:], key) // session keys are 20 bytes, shorter than a block
	for i := range b {
		b[i] ^= with
	}
	h.Reset()
	h.Write(b[:])
	clear(b[:])
	return h.AppendBinary(nil)
}

// pad fills b, which ends with a block, with what follows a message of n bytes.
func pad(b []byte, n int) {
	b[0] = 0x80
	clear(b[1 : len(b)-8])
	binary.BigEndian.PutUint64(b[len(b)-8:], 8*uint64(n))
}

// compute is the tag of a then b, which is at most 4 bytes; valid until the next call.
func (m *mac) compute(a, b []byte) []byte {
	whole := len(a) &^ (block - 1)
	n := copy(m.tail[:], a[whole:])
	n += copy(m.tail[n:], b)
	end := (n + 1 + 8 + block - 1) &^ (block - 1)
	pad(m.tail[n:end], block+len(a)+len(b))
	// The states were made by this very hash: restoring cannot fail, nor can saving.
	_ = m.hash.UnmarshalBinary(m.inner)
	m.hash.Write(a[:whole])
	m.hash.Write(m.tail[:end])
	m.saved, _ = m.hash.AppendBinary(m.saved[:0])
	copy(m.second[:], m.saved[sumAt:sumEnd])
	_ = m.hash.UnmarshalBinary(m.outer)
	m.hash.Write(m.second[:])
	m.saved, _ = m.hash.AppendBinary(m.saved[:0])
	return m.saved[sumAt:sumEnd]
}

// verify compares tag, which may be cut short, in constant time.
func (m *mac) verify(tag, a, b []byte) bool {
	return hmac.Equal(tag, m.compute(a, b)[:len(tag)])
}

func (m *mac) wipe() {
	clear(m.inner)
	clear(m.outer)
	clear(m.saved[:cap(m.saved)])
	clear(m.tail[:])
	clear(m.second[:])
	zero(m.hash)
}
