package srtp

import (
	"crypto/aes"
	"crypto/cipher"

	"holdfast/media/srtp/keystream"
)

// Scratch is the working space of Openers and Sealers that one goroutine uses. A thread with a thousand of them would otherwise find
// none of their scratch in its caches, which costs more than the cryptography.
type Scratch struct {
	hasher hasher
	stream keystream.Blocks
	extra  [4]byte // ROC, authenticated behind the packet
	fetch  [aes.BlockSize]byte
	clear  [maxPacket]byte // what is decrypted only to be verified
}

// maxPacket is the longest packet that Opener.Verify takes with GCM, in bytes.
const maxPacket = 2048

// NewScratch makes working space.
func NewScratch() (*Scratch, error) {
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	return &Scratch{hasher: h}, nil
}

// near makes the processor fetch a key schedule, which it only does for one who uses it.
func (s *Scratch) near(b cipher.Block) uint64 {
	b.Encrypt(s.fetch[:], s.fetch[:])
	return 0
}

// NewOpener is NewOpener for a context that works in s, together with all others that do: no two of them may be used at the same time,
// but one may be made, or wiped, while others work.
func (s *Scratch) NewOpener(suite string, key, mki []byte) (*Opener, error) {
	o := new(Opener)
	var err error
	if o.t, err = newTransform(s, &o.cm, suite, key, mki); err != nil {
		return nil, err
	}
	return o, nil
}

// NewSealer is NewSealer likewise.
func (s *Scratch) NewSealer(suite string, key, mki []byte) (*Sealer, error) {
	o := new(Sealer)
	var err error
	if o.t, err = newTransform(s, &o.cm, suite, key, mki); err != nil {
		return nil, err
	}
	return o, nil
}

// Wipe forgets what the last packet left behind: key stream and sums. Nobody may be using s.
func (s *Scratch) Wipe() {
	s.hasher.wipe()
	clear(s.stream[:])
	clear(s.clear[:])
}
