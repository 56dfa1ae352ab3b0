// Package keystream encrypts counter blocks with AES (FIPS 197), several at a time and in place, without allocating, under a key that is
// kept by value: what a packet needs lies in one piece. crypto/cipher's counter mode allocates half a kilobyte for each packet, and block
// by block AES waits for itself.
//
// On amd64 and arm64 it uses the processor's AES instructions, whose time does not depend on the data; elsewhere, and on processors without
// them (Raspberry Pi 4), the standard library's AES. What the counters are is its caller's business; media/srtp is the only one.
package keystream

import (
	"crypto/aes"
	"crypto/cipher"
	"reflect"
)

// Max is how many blocks are encrypted at a time: enough for 20 ms of G.711.
const Max = 12

// Blocks are counter blocks, and then the key stream.
type Blocks [Max * aes.BlockSize]byte

// Key is an AES key. The zero Key encrypts nothing.
type Key struct {
	rounds   int // 0: block is used
	block    cipher.Block
	schedule [15][aes.BlockSize]byte // round keys (FIPS 197 §5.2), rounds+1 of them
}

// Init takes a key of 16, 24 or 32 bytes. It keeps no reference to it.
func (k *Key) Init(key []byte) (err error) {
	k.Wipe()
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if !accelerated() {
		k.block = block
		return nil
	}
	defer zero(block)
	k.expand(key)
	return nil
}

// Encrypt encrypts the first n blocks. What lies behind them may change too.
func (k *Key) Encrypt(b *Blocks, n int) {
	if k.rounds != 0 {
		encryptSixes(k.rounds, &k.schedule, b, (min(n, Max)+5)/6)
		return
	}
	for p := b[:n*aes.BlockSize]; len(p) > 0; p = p[aes.BlockSize:] {
		k.block.Encrypt(p, p)
	}
}

// Expect reads the key, so that the processor has it near by. What it gives means nothing.
func (k *Key) Expect() uint64 {
	return uint64(k.schedule[0][0]) + uint64(k.schedule[4][0]) + uint64(k.schedule[8][0]) + uint64(k.schedule[10][15]) + uint64(k.rounds)
}

// Wipe overwrites the key.
func (k *Key) Wipe() {
	zero(k.block)
	*k = Key{}
}

// expand is FIPS 197 §5.2. Byte by byte, as the instructions take round keys.
func (k *Key) expand(key []byte) {
	words := len(key) / 4
	k.rounds = words + 6
	w := func(i int) []byte { return k.schedule[i/4][i%4*4:][:4] }
	for i := range words {
		copy(w(i), key[4*i:])
	}
	constant := byte(1)
	for i := words; i < 4*(k.rounds+1); i++ {
		t := [4]byte(w(i - 1))
		switch {
		case i%words == 0:
			t = [4]byte{t[1], t[2], t[3], t[0]}
			substitute(&t)
			t[0] ^= constant
			constant = constant<<1 ^ constant>>7*0x1b // times x in GF(2^8)
		case words > 6 && i%words == 4:
			substitute(&t)
		}
		for j, b := range w(i - words) {
			w(i)[j] = b ^ t[j]
		}
	}
}

// zero overwrites what p points to. The standard library's ciphers offer no other way to forget a key.
func zero(p any) {
	if v := reflect.ValueOf(p); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero()
	}
}
