package g711

import (
	"bytes"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"
)

// Values of ITU-T G.711 tables 1a and 2a, positive side: the quantized values at the segments' ends, scaled to 16 bits.
func TestStandardValues(t *testing.T) {
	for _, v := range []struct {
		code  byte
		value int16
	}{
		{0xff, 0}, {0x7f, 0}, {0xfe, 8}, {0x7e, -8}, {0xf0, 120}, {0xef, 132}, {0xe0, 372}, {0xdf, 396}, {0xcf, 924}, {0xbf, 1980},
		{0xaf, 4092}, {0x9f, 8316}, {0x8f, 16764}, {0x80, 32124}, {0x00, -32124},
	} {
		if got := DecodeULaw(v.code); got != v.value {
			t.Errorf("µ-law %#x is %d, want %d", v.code, got, v.value)
		}
	}
	for _, v := range []struct {
		code  byte
		value int16
	}{
		{0xd5, 8}, {0x55, -8}, {0xd4, 24}, {0xda, 248}, {0xc5, 264}, {0xca, 504}, {0xf5, 528}, {0xe5, 1056}, {0x95, 2112}, {0x85, 4224},
		{0xb5, 8448}, {0xa5, 16896}, {0xaa, 32256}, {0x2a, -32256},
	} {
		if got := DecodeALaw(v.code); got != v.value {
			t.Errorf("A-law %#x is %d, want %d", v.code, got, v.value)
		}
	}
}

// Every sample becomes a value that is off by half an interval of its segment at most, order is kept, and every code comes back as itself.
func TestIntervals(t *testing.T) {
	for _, law := range []struct {
		name   string
		encode func(int16) byte
		decode func(byte) int16
		half   func(code byte) int // half an interval
		most   int
	}{
		{"µ-law", EncodeULaw, DecodeULaw, func(c byte) int { return 4 << (^c >> 4 & 7) }, clip},
		{"A-law", EncodeALaw, DecodeALaw, func(c byte) int { return 8 << max(int(c^0x55)>>4&7-1, 0) }, 32767},
	} {
		for c := range 256 {
			code := byte(c)
			if back := law.encode(law.decode(code)); back != code && law.decode(code) != 0 {
				t.Errorf("%s: %#x comes back as %#x", law.name, code, back)
			}
		}
		before := math.MinInt16
		for s := math.MinInt16; s <= math.MaxInt16; s++ {
			code := law.encode(int16(s))
			got := int(law.decode(code))
			if got < before {
				t.Fatalf("%s: %d becomes %d, and the sample before it %d", law.name, s, got, before)
			}
			before = got
			if clipped := max(-law.most, min(s, law.most)); max(got-clipped, clipped-got) > law.half(code) {
				t.Fatalf("%s: %d becomes %d", law.name, s, got)
			}
		}
	}
}

// sox, where it is installed, decodes all codes to the same values.
func TestSox(t *testing.T) {
	sox, err := exec.LookPath("sox")
	if err != nil {
		t.Skip("sox is not installed")
	}
	var codes []byte
	for c := range 256 {
		codes = append(codes, byte(c))
	}
	for encoding, decode := range map[string]func(byte) int16{"mu-law": DecodeULaw, "a-law": DecodeALaw} {
		cmd := exec.Command(sox, "-D", "-t", "raw", "-r", "8000", "-c", "1", "-e", encoding, "-b", "8", "-",
			"-t", "raw", "-e", "signed", "-b", "16", "-L", "-")
		cmd.Stdin = bytes.NewReader(codes)
		out, err := cmd.Output()
		if err != nil || len(out) != 512 {
			t.Fatalf("sox: %v, %d bytes", err, len(out))
		}
		for c := range 256 {
			if want := int16(binary.LittleEndian.Uint16(out[2*c:])); decode(byte(c)) != want {
				t.Errorf("%s %#x: %d, sox has %d", encoding, c, decode(byte(c)), want)
			}
		}
	}
}
