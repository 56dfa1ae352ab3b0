package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
)

const rtcpTag = 10 // bytes, for all HMAC-SHA1 suites (RFC 4568 §6.2.2)

// encrypted is the E bit of the SRTCP index word (RFC 3711 §3.4).
const encrypted = 1 << 31

// cm is AES counter mode with HMAC-SHA1 (RFC 3711 §4.1.1 and §4.2.1; with AES-256 RFC 6188).
// A packet ends in MKI, tag; in SRTCP in index word, MKI, tag.
type cm struct {
	rtp, rtcp counter
	tag       int
	mki       []byte
}

// counter is the keys of one protocol and their scratch space. Scratch lives here because what is passed to an interface escapes.
type counter struct {
	block   cipher.Block
	mac     *mac
	salt    [14]byte
	iv, key [aes.BlockSize]byte // counter block, key stream block
	extra   [4]byte             // ROC, authenticated behind the packet
}

func newCM(d *deriver, s Suite, mki []byte) (*cm, error) {
	c := &cm{tag: s.Tag, mki: bytes.Clone(mki)}
	for label, k := range map[byte]*counter{0: &c.rtp, labelRTCP: &c.rtcp} {
		enc, auth, salt := d.derive(label+labelEncryption, s.Key), d.derive(label+labelAuth, sha1.Size), d.derive(label+labelSalt, 14)
		if err := k.init(enc, auth, salt); err != nil {
			return nil, err
		}
		clear(enc)
		clear(auth)
		clear(salt)
	}
	return c, nil
}

func (k *counter) init(enc, auth, salt []byte) (err error) {
	copy(k.salt[:], salt)
	if k.block, err = aes.NewCipher(enc); err != nil {
		return err
	}
	k.mac, err = newMAC(auth)
	return err
}

// xor en- or decrypts b. IV = salt·2^16 ⊕ SSRC·2^64 ⊕ index·2^16; the low 16 bits count blocks.
func (k *counter) xor(b []byte, ssrc uint32, index uint64) {
	be := binary.BigEndian
	copy(k.iv[:], k.salt[:])
	be.PutUint32(k.iv[4:], be.Uint32(k.iv[4:])^ssrc)
	be.PutUint64(k.iv[8:], be.Uint64(k.iv[8:])&^0xffff^index<<16)
	for n := uint16(0); len(b) > 0; n++ {
		be.PutUint16(k.iv[14:], n)
		k.block.Encrypt(k.key[:], k.iv[:])
		b = b[subtle.XORBytes(b, b, k.key[:]):]
	}
}

func (c *cm) openRTP(pkt []byte, header int, ssrc uint32, index uint64) ([]byte, error) {
	at := len(pkt) - c.tag
	body := at - len(c.mki)
	if body < header {
		return nil, ErrMalformed
	}
	if !bytes.Equal(pkt[body:at], c.mki) { // the MKI is no secret
		return nil, ErrMKI
	}
	binary.BigEndian.PutUint32(c.rtp.extra[:], uint32(index>>16))
	if !c.rtp.mac.verify(pkt[at:], pkt[:body], c.rtp.extra[:]) {
		return nil, ErrAuth
	}
	c.rtp.xor(pkt[header:body], ssrc, index)
	return pkt[:body], nil
}

func (c *cm) sealRTP(pkt []byte, header int, ssrc uint32, index uint64) []byte {
	c.rtp.xor(pkt[header:], ssrc, index)
	binary.BigEndian.PutUint32(c.rtp.extra[:], uint32(index>>16))
	tag := c.rtp.mac.compute(pkt, c.rtp.extra[:])
	pkt = append(pkt, c.mki...)
	return append(pkt, tag[:c.tag]...)
}

func (c *cm) openRTCP(pkt []byte, ssrc uint32, index uint32) ([]byte, error) {
	at := len(pkt) - rtcpTag
	word := c.word(pkt)
	if !bytes.Equal(pkt[word+4:at], c.mki) {
		return nil, ErrMKI
	}
	if !c.rtcp.mac.verify(pkt[at:], pkt[:word+4], nil) {
		return nil, ErrAuth
	}
	c.rtcp.xor(pkt[8:word], ssrc, uint64(index))
	return pkt[:word], nil
}

func (c *cm) sealRTCP(pkt []byte, ssrc uint32, index uint32) []byte {
	c.rtcp.xor(pkt[8:], ssrc, uint64(index))
	pkt = binary.BigEndian.AppendUint32(pkt, encrypted|index)
	tag := c.rtcp.mac.compute(pkt, nil)
	pkt = append(pkt, c.mki...)
	return append(pkt, tag[:rtcpTag]...)
}

func (c *cm) overhead() (rtp, rtcp int) { return c.tag + len(c.mki), 4 + rtcpTag + len(c.mki) }

func (c *cm) word(pkt []byte) int { return len(pkt) - rtcpTag - len(c.mki) - 4 }

func (c *cm) wipe() {
	for _, k := range [...]*counter{&c.rtp, &c.rtcp} {
		zero(k.block)
		k.mac.wipe()
		clear(k.salt[:])
		clear(k.iv[:])
		clear(k.key[:])
	}
}
