package srtp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	pion "github.com/pion/srtp/v2"
)

var oracle = map[string]pion.ProtectionProfile{
	"AES_CM_128_HMAC_SHA1_80": pion.ProtectionProfileAes128CmHmacSha1_80,
	"AES_CM_128_HMAC_SHA1_32": pion.ProtectionProfileAes128CmHmacSha1_32,
	"AES_256_CM_HMAC_SHA1_80": pion.ProtectionProfileAes256CmHmacSha1_80,
	"AES_256_CM_HMAC_SHA1_32": pion.ProtectionProfileAes256CmHmacSha1_32,
	"AEAD_AES_128_GCM":        pion.ProtectionProfileAeadAes128Gcm,
	"AEAD_AES_256_GCM":        pion.ProtectionProfileAeadAes256Gcm,
}

// Both implementations must write the same bytes and read each other's, for packets of every shape, over roll-overs.
func TestAgainstPion(t *testing.T) {
	eachSuite(t, func(t *testing.T, suite string) {
		for _, mki := range [][]byte{nil, []byte("key7")} {
			s, o, key := newPair(t, suite, mki)
			info, _ := ParseSuite(suite)
			options := []pion.ContextOption{pion.SRTPReplayProtection(64), pion.SRTCPReplayProtection(64)}
			if mki != nil {
				options = append(options, pion.MasterKeyIndicator(mki))
			}
			seal, err := pion.CreateContext(key[:info.Key], key[info.Key:], oracle[suite], options...)
			if err != nil {
				t.Fatal(err)
			}
			open, err := pion.CreateContext(key[:info.Key], key[info.Key:], oracle[suite], options...)
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			seq := uint16(30000)
			for range 3000 {
				seq += 1 + uint16(rnd.IntN(60))
				clear := shaped(rnd, seq)
				ours, err := s.RTP(withRoom(clear))
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := seal.EncryptRTP(nil, clear, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(ours, theirs) {
					t.Fatalf("sealed %x, pion %x", ours, theirs)
				}
				if got, err := o.RTP(theirs); err != nil || !bytes.Equal(got, clear) {
					t.Fatalf("opened %x, want %x: %v", got, clear, err)
				}
				if got, err := open.DecryptRTP(nil, ours, nil); err != nil || !bytes.Equal(got, clear) {
					t.Fatalf("pion opened %x, want %x: %v", got, clear, err)
				}
			}
			if s.ROC(0xcafe) == 0 {
				t.Error("no roll-over was tested")
			}
			for i := range 200 {
				clear := control(uint32(0xcafe + i%2))
				ours, err := s.RTCP(withRoom(clear))
				if err != nil {
					t.Fatal(err)
				}
				theirs, err := seal.EncryptRTCP(nil, clear, nil)
				if err != nil {
					t.Fatal(err)
				}
				// pion counts from 1, we from 0: the bytes differ.
				if got, err := o.RTCP(theirs); err != nil || !bytes.Equal(got, clear) {
					t.Fatalf("opened RTCP %x, want %x: %v", got, clear, err)
				}
				if got, err := open.DecryptRTCP(nil, ours, nil); err != nil || !bytes.Equal(got, clear) {
					t.Fatalf("pion opened RTCP %x, want %x: %v", got, clear, err)
				}
			}
		}
	})
}

// shaped makes a packet with any number of contributing sources, an extension or none, and any payload.
func shaped(rnd *rand.Rand, seq uint16) []byte {
	pkt := media(0xcafe, seq, 0)
	sources := rnd.IntN(16)
	pkt[0] |= byte(sources)
	for range sources * 4 {
		pkt = append(pkt, byte(rnd.Uint32()))
	}
	if words := rnd.IntN(4); words > 0 {
		pkt[0] |= 0x10
		pkt = append(pkt, 0x12, 0x34, 0, byte(words)) // not a profile whose content pion would look at
		for range words * 4 {
			pkt = append(pkt, byte(rnd.Uint32()))
		}
	}
	for range rnd.IntN(400) {
		pkt = append(pkt, byte(rnd.Uint32()))
	}
	return pkt
}
