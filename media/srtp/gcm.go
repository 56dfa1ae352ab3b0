package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

const gcmTag = 16 // bytes

// gcm is AEAD_AES_GCM (RFC 7714). The tag ends the ciphertext; a packet ends in the MKI, in SRTCP in index word, MKI.
type gcm struct {
	rtp, rtcp aead
	*Scratch
	mki []byte
}

// aead is the key of one protocol and its scratch space.
type aead struct {
	cipher cipher.AEAD
	block  cipher.Block
	salt   [12]byte
	iv     [12]byte
	data   [12]byte // what SRTCP authenticates beside the ciphertext: first two words and the index word (§9.3)
}

func newGCM(x *Scratch, d *deriver, s Suite, mki []byte) (*gcm, error) {
	g := &gcm{Scratch: x, mki: bytes.Clone(mki)}
	for label, k := range map[byte]*aead{0: &g.rtp, labelRTCP: &g.rtcp} {
		enc, salt := d.derive(label+labelEncryption, s.Key), d.derive(label+labelSalt, 12)
		if err := k.init(enc, salt); err != nil {
			return nil, err
		}
		clear(enc)
		clear(salt)
	}
	return g, nil
}

func (k *aead) init(enc, salt []byte) (err error) {
	copy(k.salt[:], salt)
	if k.block, err = aes.NewCipher(enc); err != nil {
		return err
	}
	k.cipher, err = cipher.NewGCM(k.block)
	return err
}

// nonce is salt ⊕ (00 00 SSRC ROC SEQ) (§8.1), or (00 00 SSRC 00 00 index) (§9.1), which is the same for a 31-bit index.
func (k *aead) nonce(ssrc uint32, index uint64) []byte {
	k.iv = k.salt
	be := binary.BigEndian
	be.PutUint32(k.iv[2:], be.Uint32(k.iv[2:])^ssrc)
	be.PutUint64(k.iv[4:], be.Uint64(k.iv[4:])^index&(1<<48-1))
	return k.iv[:]
}

func (g *gcm) openRTP(pkt []byte, header int, ssrc uint32, index uint64, decrypt bool) ([]byte, error) {
	end := len(pkt) - len(g.mki)
	if end-gcmTag < header {
		return nil, ErrMalformed
	}
	if !bytes.Equal(pkt[end:], g.mki) {
		return nil, ErrMKI
	}
	to := pkt[header:header]
	if !decrypt { // the standard library cannot verify without decrypting
		if end-gcmTag-header > len(g.clear) {
			return nil, ErrMalformed
		}
		to = g.clear[:0]
	}
	if _, err := g.rtp.cipher.Open(to, g.rtp.nonce(ssrc, index), pkt[header:end], pkt[:header]); err != nil {
		return nil, ErrAuth
	}
	return pkt[:end-gcmTag], nil
}

func (g *gcm) sealRTP(pkt []byte, header int, ssrc uint32, index uint64) []byte {
	g.rtp.cipher.Seal(pkt[header:header], g.rtp.nonce(ssrc, index), pkt[header:], pkt[:header])
	return append(pkt[:len(pkt)+gcmTag], g.mki...)
}

// authenticated fills data for SRTCP.
func (k *aead) authenticated(pkt []byte, index uint32) []byte {
	copy(k.data[:], pkt[:8])
	binary.BigEndian.PutUint32(k.data[8:], encrypted|index)
	return k.data[:]
}

func (g *gcm) openRTCP(pkt []byte, ssrc uint32, index uint32) ([]byte, error) {
	word := g.word(pkt)
	if word-gcmTag < 8 {
		return nil, ErrMalformed
	}
	if !bytes.Equal(pkt[word+4:], g.mki) {
		return nil, ErrMKI
	}
	if _, err := g.rtcp.cipher.Open(pkt[8:8], g.rtcp.nonce(ssrc, uint64(index)), pkt[8:word], g.rtcp.authenticated(pkt, index)); err != nil {
		return nil, ErrAuth
	}
	return pkt[:word-gcmTag], nil
}

func (g *gcm) sealRTCP(pkt []byte, ssrc uint32, index uint32) []byte {
	g.rtcp.cipher.Seal(pkt[8:8], g.rtcp.nonce(ssrc, uint64(index)), pkt[8:], g.rtcp.authenticated(pkt, index))
	pkt = binary.BigEndian.AppendUint32(pkt[:len(pkt)+gcmTag], encrypted|index)
	return append(pkt, g.mki...)
}

func (g *gcm) overhead() (rtp, rtcp int) { return gcmTag + len(g.mki), gcmTag + 4 + len(g.mki) }

func (g *gcm) word(pkt []byte) int { return len(pkt) - len(g.mki) - 4 }

func (g *gcm) expect(bool) uint64 { return uint64(g.rtp.iv[0]) + g.near(g.rtp.block) }

func (g *gcm) wipe() {
	for _, k := range [...]*aead{&g.rtp, &g.rtcp} {
		zero(k.cipher)
		zero(k.block)
		clear(k.salt[:])
		clear(k.iv[:])
	}
}
