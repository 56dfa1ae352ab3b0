package relay

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"holdfast/media/srtp"
)

// keyGrace is how long packets under the old key are accepted after the first one under the new key: those that were on their way.
const keyGrace = 3 * time.Second

// rememberedKeys is how many replaced sending keys a leg recognises. The caller makes a fresh one each time; this catches a mistake.
const rememberedKeys = 32

// keys are a leg's cryptographic contexts, with fingerprints to tell which key they have. Keys themselves are not kept.
type keys struct {
	recv, prev                   *srtp.Opener // prev: the key before, until its time is over
	send                         *srtp.Sealer
	recvMark, prevMark, sendMark fingerprint
	used                         []fingerprint // replaced sending keys, oldest first; never changed in place
	fresh                        bool          // of what was retired: the receiving key has changed
}

type fingerprint [sha256.Size]byte

// mark is the fingerprint of a key; zero for plain RTP.
func (c Crypto) mark() fingerprint {
	if c.Suite == "" {
		return fingerprint{}
	}
	name := c.Suite
	if s, err := srtp.ParseSuite(c.Suite); err == nil {
		name = s.Name // its other spelling is the same key
	}
	var n [4]byte
	h := sha256.New()
	for _, part := range [][]byte{[]byte(name), c.Key, c.MKI} {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return fingerprint(h.Sum(nil))
}

func (f fingerprint) is(other fingerprint) bool {
	return subtle.ConstantTimeCompare(f[:], other[:]) == 1
}

// change makes k, a copy, use other keys, and keeps the contexts of those that stay. After an error k is of no use; the original is.
func (k *keys) change(scratch *srtp.Scratch, recv, send Crypto, shared bool) error {
	if m := send.mark(); !m.is(k.sendMark) {
		for _, old := range k.used {
			if m.is(old) {
				return ErrKeyReused
			}
		}
		var sealer *srtp.Sealer
		if _, err := srtp.ParseSuite(send.Suite); shared && err != nil {
			return err
		}
		if send.Suite != "" && !shared {
			var err error
			if sealer, err = scratch.NewSealer(send.Suite, send.Key, send.MKI); err != nil {
				return err
			}
		}
		if k.sendMark != (fingerprint{}) {
			from := max(0, len(k.used)-rememberedKeys+1)
			k.used = append(append([]fingerprint(nil), k.used[from:]...), k.sendMark)
		}
		k.send, k.sendMark = sealer, m
	}
	m := recv.mark()
	switch {
	case m.is(k.recvMark):
	case k.prev != nil && m.is(k.prevMark): // back again: what it has seen still counts
		k.recv, k.prev = k.prev, k.recv
		k.recvMark, k.prevMark = k.prevMark, k.recvMark
	case recv.Suite == "": // plain now: nothing sealed is expected
		k.recv, k.prev, k.recvMark = nil, nil, m
	default:
		opener, err := scratch.NewOpener(recv.Suite, recv.Key, recv.MKI)
		if err != nil {
			return err
		}
		k.prev, k.prevMark = k.recv, k.recvMark
		k.recv, k.recvMark = opener, m
	}
	return nil
}

// without gives the contexts of k that next uses no more.
func (k *keys) without(next keys) keys {
	var old keys
	if k.send != next.send {
		old.send = k.send
	}
	for _, o := range [...]*srtp.Opener{k.recv, k.prev} {
		if o != next.recv && o != next.prev {
			old.prev, old.recv = o, old.prev
		}
	}
	old.fresh = k.recv != next.recv
	return old
}

// wipe zeroes the keys. No worker may use them any more.
func (k *keys) wipe() {
	for _, o := range [...]*srtp.Opener{k.recv, k.prev} {
		if o != nil {
			o.Wipe()
		}
	}
	if k.send != nil {
		k.send.Wipe()
	}
	*k = keys{}
}
