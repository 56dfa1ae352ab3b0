package srtp

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding"
	"fmt"
	"hash"
)

// mac is HMAC-SHA1 (RFC 2104) under one key, reused for every packet. Unlike crypto/hmac it can be wiped.
type mac struct {
	hash         hash.Hash
	restore      encoding.BinaryUnmarshaler // hash again
	inner, outer []byte                     // hash's state after the padded key
	sum          [sha1.Size]byte
}

func newMAC(key []byte) (*mac, error) {
	m := &mac{hash: sha1.New()}
	var ok bool
	if m.restore, ok = m.hash.(encoding.BinaryUnmarshaler); !ok {
		return nil, fmt.Errorf("SHA-1 of this Go release cannot restore its state")
	}
	var err error
	if m.inner, err = padded(m.hash, key, 0x36); err != nil {
		return nil, err
	}
	if m.outer, err = padded(m.hash, key, 0x5c); err != nil {
		return nil, err
	}
	return m, nil
}

func padded(h hash.Hash, key []byte, pad byte) ([]byte, error) {
	var block [sha1.BlockSize]byte
	copy(block[:], key) // session keys are 20 bytes, shorter than a block
	for i := range block {
		block[i] ^= pad
	}
	h.Reset()
	h.Write(block[:])
	clear(block[:])
	state, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("SHA-1 of this Go release cannot save its state")
	}
	return state.MarshalBinary()
}

// compute is the tag of a then b, valid until the next call.
func (m *mac) compute(a, b []byte) []byte {
	// The states were made by this very hash: restoring cannot fail.
	_ = m.restore.UnmarshalBinary(m.inner)
	m.hash.Write(a)
	m.hash.Write(b)
	inner := m.hash.Sum(m.sum[:0])
	_ = m.restore.UnmarshalBinary(m.outer)
	m.hash.Write(inner)
	return m.hash.Sum(m.sum[:0])
}

// verify compares tag, which may be cut short, in constant time.
func (m *mac) verify(tag, a, b []byte) bool {
	return hmac.Equal(tag, m.compute(a, b)[:len(tag)])
}

func (m *mac) wipe() {
	clear(m.inner)
	clear(m.outer)
	clear(m.sum[:])
	zero(m.hash)
}
