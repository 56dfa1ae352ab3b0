package keystream

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// TestStandard is FIPS 197 appendix B and C.
func TestStandard(t *testing.T) {
	for _, c := range []struct{ key, plain, want string }{
		{"2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"},
		{"000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"},
		{"000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff", "dda97ca4864cdfe06eaf70a0ec0d7191"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff", "8ea2b7ca516745bfeafc49904b496089"},
	} {
		var k Key
		if err := k.Init(unhex(t, c.key)); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= Max; n++ {
			var b Blocks
			for i := range n {
				copy(b[i*aes.BlockSize:], unhex(t, c.plain))
			}
			k.Encrypt(&b, n)
			for i := range n {
				if got := b[i*aes.BlockSize:][:aes.BlockSize]; !bytes.Equal(got, unhex(t, c.want)) {
					t.Fatalf("key %s, block %d of %d: %x, want %s", c.key, i, n, got, c.want)
				}
			}
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAgainstStandardLibrary with random keys and blocks, with and without the processor's instructions.
func TestAgainstStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	fill := func(b []byte) {
		for i := range b {
			b[i] = byte(random.Uint32())
		}
	}
	for range 2000 {
		key := make([]byte, []int{16, 24, 32}[random.IntN(3)])
		fill(key)
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		var fast, slow Key
		if err := fast.Init(key); err != nil {
			t.Fatal(err)
		}
		slow.block = block
		n := 1 + random.IntN(Max)
		var a, b, want Blocks
		fill(a[:])
		b, want = a, a
		for i := range n {
			block.Encrypt(want[i*aes.BlockSize:], want[i*aes.BlockSize:])
		}
		fast.Encrypt(&a, n)
		slow.Encrypt(&b, n)
		if end := n * aes.BlockSize; !bytes.Equal(a[:end], want[:end]) || !bytes.Equal(b[:end], want[:end]) {
			t.Fatalf("key %x, %d blocks:\n%x\n%x, want\n%x", key, n, a[:end], b[:end], want[:end])
		}
	}
}

func TestBadKeyAndWipe(t *testing.T) {
	var k Key
	for _, n := range []int{0, 15, 17, 33} {
		if k.Init(make([]byte, n)) == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
	if err := k.Init(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	k.Wipe()
	if k.schedule != [15][aes.BlockSize]byte{} || k.rounds != 0 || k.block != nil {
		t.Errorf("left: %+v", k)
	}
}

func TestNoAllocation(t *testing.T) {
	var k Key
	var b Blocks
	if err := k.Init(make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { k.Encrypt(&b, Max) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncrypt(b *testing.B) {
	var k Key
	var s Blocks
	if err := k.Init(make([]byte, 16)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		k.Encrypt(&s, 10)
	}
}
