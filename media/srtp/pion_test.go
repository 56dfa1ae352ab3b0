package srtp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	pion "github.com/pion/srtp/v2"

	"holdfast/media/rtp"
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

// FuzzAgainstPion: for any packet both implementations write the same bytes and read each other's, RTP and RTCP, and refuse each other's
// after any change of a byte.
func FuzzAgainstPion(f *testing.F) {
	for i := range suites {
		f.Add(byte(i), media(0xcafe, 65535, 160), uint16(170), byte(1))
		f.Add(byte(i), shaped(rand.New(rand.NewPCG(1, uint64(i))), 7), uint16(13), byte(0x80))
		f.Add(byte(i), control(0xcafe), uint16(9), byte(4))
	}
	f.Fuzz(func(t *testing.T, which byte, clear []byte, at uint16, change byte) {
		suite := suites[int(which)%len(suites)]
		if len(clear) > maxPacket-Overhead {
			return
		}
		if len(clear) > rtp.FixedSize && clear[0]&0x10 != 0 { // pion would look into an extension of these profiles, and write it anew
			if n := rtp.FixedSize + 4*int(clear[0]&0x0f); n+1 < len(clear) && (clear[n] == 0xbe || clear[n] == 0x10) {
				return
			}
		}
		key := bytes.Repeat([]byte{which}, suite.Key+suite.Salt)
		theirs, err := pion.CreateContext(key[:suite.Key], key[suite.Key:], oracle[suite.Name])
		if err != nil {
			t.Fatal(err)
		}
		ours, open := sealer(t, suite.Name, key, nil), opener(t, suite.Name, key, nil)
		both := func(what string, a, b []byte, errA, errB error, ourOpen func([]byte) ([]byte, error), theirOpen func([]byte) ([]byte, error)) {
			if errA != nil || errB != nil {
				return // one of them takes no such header; what is refused is nobody's packet
			}
			bad := bytes.Clone(b)
			bad[int(at)%len(bad)] ^= max(change, 1)
			if _, err := ourOpen(bad); err == nil {
				t.Errorf("%s: pion's %x opens as %x", what, b, bad)
			}
			bad = bytes.Clone(a)
			bad[int(at)%len(bad)] ^= max(change, 1)
			if _, err := theirOpen(bad); err == nil {
				t.Errorf("%s: pion opens our %x as %x", what, a, bad)
			}
			if got, err := ourOpen(bytes.Clone(b)); err != nil || !bytes.Equal(got, clear) {
				t.Errorf("%s: opened %x, want %x: %v", what, got, clear, err)
			}
			if got, err := theirOpen(bytes.Clone(a)); err != nil || !bytes.Equal(got, clear) {
				t.Errorf("%s: pion opened %x, want %x: %v", what, got, clear, err)
			}
		}
		a, errA := ours.RTP(withRoom(clear))
		b, errB := theirs.EncryptRTP(nil, clear, nil)
		if errA == nil && errB == nil && !bytes.Equal(a, b) {
			t.Errorf("sealed %x, pion %x", a, b)
		}
		both("RTP", a, b, errA, errB, open.RTP, func(pkt []byte) ([]byte, error) { return theirs.DecryptRTP(nil, pkt, nil) })
		a, errA = ours.RTCP(withRoom(clear))
		b, errB = theirs.EncryptRTCP(nil, clear, nil)
		both("RTCP", a, b, errA, errB, open.RTCP, func(pkt []byte) ([]byte, error) { return theirs.DecryptRTCP(nil, pkt, nil) })
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
