package srtp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeyDerivation(t *testing.T) {
	tests := []struct {
		name, key, salt    string
		enc, auth, saltOut string
	}{{
		name: "RFC 3711 B.3",
		key:  "E1F97A0D3E018BE0D64FA32C06DE4139", salt: "0EC675AD498AFEEBB6960B3AABE6",
		enc:     "C61E7A93744F39EE10734AFE3FF7A087",
		auth:    "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
		saltOut: "30CBBC08863D8C85D49DB34A9AE1",
	}, {
		name: "RFC 6188 7.2",
		key:  "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", salt: "3b04803de51ee7c96423ab5b78d2",
		enc:  "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
		auth: "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05", saltOut: "fa31791685ca444a9e07c6c64e93",
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := newDeriver(unhex(t, tt.key), unhex(t, tt.salt))
			if err != nil {
				t.Fatal(err)
			}
			for label, want := range map[byte]string{labelEncryption: tt.enc, labelAuth: tt.auth, labelSalt: tt.saltOut} {
				w := unhex(t, want)
				if got := d.derive(label, len(w)); !bytes.Equal(got, w) {
					t.Errorf("label %d: %x, want %x", label, got, w)
				}
			}
		})
	}
}

func TestCounterMode(t *testing.T) {
	tests := []struct{ name, key, stream string }{
		{"RFC 3711 B.2", "2B7E151628AED2A6ABF7158809CF4F3C",
			"E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"},
		{"RFC 6188 7.1", "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
			"92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, k := &cm{Scratch: new(Scratch)}, counter{}
			if err := k.key.Init(unhex(t, tt.key)); err != nil {
				t.Fatal(err)
			}
			k.salt(unhex(t, "F0F1F2F3F4F5F6F7F8F9FAFBFCFD"))
			want := unhex(t, tt.stream)
			got := make([]byte, len(want))
			c.xor(&k, got, 0, 0)
			if !bytes.Equal(got, want) {
				t.Errorf("%x, want %x", got, want)
			}
		})
	}
}

// RFC 7714 §16 and §17.
func TestGCMVectors(t *testing.T) {
	const (
		salt = "51756964 2070726f 2071756f"
		rtp  = `8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573`
		rtcp = `81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef`
	)
	tests := []struct{ name, key, rtp, rtcp string }{{
		name: "AES-128", key: "000102030405060708090a0b0c0d0e0f",
		rtp: `8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d
			7f27beb1 6a9152cf 765ee439 0cce`,
		rtcp: `81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b
			c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`,
	}, {
		name: "AES-256", key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		rtp: `8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3
			db36dfff d6b0f9bb 7878d7a7 6c13`,
		rtcp: `81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad
			1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4`,
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &gcm{}
			for _, k := range []*aead{&g.rtp, &g.rtcp} {
				if err := k.init(unhex(t, tt.key), unhex(t, salt)); err != nil {
					t.Fatal(err)
				}
			}
			s, o := &Sealer{t: g}, &Opener{t: g}
			s.n, s.known[0] = 1, sent{ssrc: 0x4d617273, rtcp: 0x5d4}

			sealed, err := s.RTP(withRoom(unhex(t, rtp)))
			if err != nil || !bytes.Equal(sealed, unhex(t, tt.rtp)) {
				t.Fatalf("RTP sealed: %x, %v", sealed, err)
			}
			opened, err := o.RTP(sealed)
			if err != nil || !bytes.Equal(opened, unhex(t, rtp)) {
				t.Fatalf("RTP opened: %x, %v", opened, err)
			}
			sealed, err = s.RTCP(withRoom(unhex(t, rtcp)))
			if err != nil || !bytes.Equal(sealed, unhex(t, tt.rtcp)) {
				t.Fatalf("RTCP sealed: %x, %v", sealed, err)
			}
			opened, err = o.RTCP(sealed)
			if err != nil || !bytes.Equal(opened, unhex(t, rtcp)) {
				t.Fatalf("RTCP opened: %x, %v", opened, err)
			}
		})
	}
}

func TestMACAgainstStandardLibrary(t *testing.T) {
	for n := range 200 {
		key, a, b := make([]byte, 20), make([]byte, n), make([]byte, 4)
		rand.Read(key)
		rand.Read(a)
		rand.Read(b)
		x, err := newHasher()
		if err != nil {
			t.Fatal(err)
		}
		m := x.newMAC(key)
		ref := hmac.New(sha1.New, key)
		ref.Write(a)
		ref.Write(b)
		want := ref.Sum(nil)
		for range 2 { // again: the state must be restored
			if got := x.compute(&m, a, b); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %x, want %x", n, got, want)
			}
		}
		if !x.verify(&m, want[:4], a, b) || !x.verify(&m, want[:10], a, b) {
			t.Fatal("a right tag was refused")
		}
		want[3] ^= 1
		if x.verify(&m, want[:4], a, b) {
			t.Fatal("a wrong tag was accepted")
		}
	}
}

// withRoom copies pkt to where it can be sealed.
func withRoom(pkt []byte) []byte {
	return append(make([]byte, 0, len(pkt)+Overhead), pkt...)
}
