package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"

	"holdfast/media/srtp/keystream"
)

const rtcpTag = 10 // bytes, for all HMAC-SHA1 suites (RFC 4568 §6.2.2)

// encrypted is the E bit of the SRTCP index word (RFC 3711 §3.4).
const encrypted = 1 << 31

// cm is AES counter mode with HMAC-SHA1 (RFC 3711 §4.1.1 and §4.2.1; with AES-256 RFC 6188).
// A packet ends in MKI, tag; in SRTCP in index word, MKI, tag.
type cm struct {
	*Scratch
	tag       int
	mki       []byte
	rtp, rtcp counter
}

// counter is the keys of one protocol.
type counter struct {
	mac    mac
	hi, lo uint64 // salt·2^16, as two big-endian halves
	key    keystream.Key
}

func (c *cm) init(x *Scratch, d *deriver, s Suite, mki []byte) error {
	h, err := newHasher() // x's may be in use
	if err != nil {
		return err
	}
	defer h.wipe()
	*c = cm{Scratch: x, tag: s.Tag, mki: bytes.Clone(mki)}
	for label, k := range map[byte]*counter{0: &c.rtp, labelRTCP: &c.rtcp} {
		enc, auth, salt := d.derive(label+labelEncryption, s.Key), d.derive(label+labelAuth, sha1.Size), d.derive(label+labelSalt, 14)
		k.salt(salt)
		k.mac = h.newMAC(auth)
		if err := k.key.Init(enc); err != nil {
			return err
		}
		clear(enc)
		clear(auth)
		clear(salt)
	}
	return nil
}

// salt takes the 14 bytes of the session salt.
func (k *counter) salt(b []byte) {
	k.hi = binary.BigEndian.Uint64(b)
	k.lo = uint64(binary.BigEndian.Uint32(b[8:]))<<32 | uint64(binary.BigEndian.Uint16(b[12:]))<<16
}

// xor en- or decrypts b. IV = salt·2^16 ⊕ SSRC·2^64 ⊕ index·2^16; the low 16 bits count blocks.
//
// Writing all counter blocks first, in whole words, is what makes it fast: a block read right after a part of it was written stalls.
func (c *cm) xor(k *counter, b []byte, ssrc uint32, index uint64) {
	hi, lo := k.hi^uint64(ssrc), k.lo^index<<16
	for len(b) > 0 {
		blocks := min(keystream.Max, (len(b)+aes.BlockSize-1)/aes.BlockSize)
		stream := c.stream[:blocks*aes.BlockSize]
		for p := stream; len(p) > 0; p = p[aes.BlockSize:] {
			binary.BigEndian.PutUint64(p, hi)
			binary.BigEndian.PutUint64(p[8:], lo)
			lo++ // at most 2^16 blocks (§4.1.1); a datagram has fewer
		}
		k.key.Encrypt(&c.stream, blocks)
		b = b[subtle.XORBytes(b, b, stream):]
	}
}

func (c *cm) openRTP(pkt []byte, header int, ssrc uint32, index uint64, decrypt bool) ([]byte, error) {
	at := len(pkt) - c.tag
	body := at - len(c.mki)
	if body < header {
		return nil, ErrMalformed
	}
	if !bytes.Equal(pkt[body:at], c.mki) { // the MKI is no secret
		return nil, ErrMKI
	}
	binary.BigEndian.PutUint32(c.extra[:], uint32(index>>16))
	if !c.hasher.verify(&c.rtp.mac, pkt[at:], pkt[:body], c.extra[:]) {
		return nil, ErrAuth
	}
	if decrypt {
		c.xor(&c.rtp, pkt[header:body], ssrc, index)
	}
	return pkt[:body], nil
}

func (c *cm) sealRTP(pkt []byte, header int, ssrc uint32, index uint64) []byte {
	c.xor(&c.rtp, pkt[header:], ssrc, index)
	binary.BigEndian.PutUint32(c.extra[:], uint32(index>>16))
	tag := c.hasher.compute(&c.rtp.mac, pkt, c.extra[:])
	pkt = append(pkt, c.mki...)
	return append(pkt, tag[:c.tag]...)
}

func (c *cm) openRTCP(pkt []byte, ssrc uint32, index uint32) ([]byte, error) {
	at := len(pkt) - rtcpTag
	word := c.word(pkt)
	if !bytes.Equal(pkt[word+4:at], c.mki) {
		return nil, ErrMKI
	}
	if !c.hasher.verify(&c.rtcp.mac, pkt[at:], pkt[:word+4], nil) {
		return nil, ErrAuth
	}
	c.xor(&c.rtcp, pkt[8:word], ssrc, uint64(index))
	return pkt[:word], nil
}

func (c *cm) sealRTCP(pkt []byte, ssrc uint32, index uint32) []byte {
	c.xor(&c.rtcp, pkt[8:], ssrc, uint64(index))
	pkt = binary.BigEndian.AppendUint32(pkt, encrypted|index)
	tag := c.hasher.compute(&c.rtcp.mac, pkt, nil)
	pkt = append(pkt, c.mki...)
	return append(pkt, tag[:rtcpTag]...)
}

func (c *cm) overhead() (rtp, rtcp int) { return c.tag + len(c.mki), 4 + rtcpTag + len(c.mki) }

func (c *cm) word(pkt []byte) int { return len(pkt) - rtcpTag - len(c.mki) - 4 }

func (c *cm) expect(crypt bool) uint64 {
	n := uint64(c.rtp.mac.outer[sha1.Size-1]) + uint64(c.tag)
	if crypt {
		n += c.rtp.key.Expect()
	}
	return n
}

func (c *cm) wipe() {
	for _, k := range [...]*counter{&c.rtp, &c.rtcp} {
		k.key.Wipe()
		*k = counter{}
	}
}
