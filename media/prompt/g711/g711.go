// Package g711 converts between linear samples and the two companded forms of ITU-T G.711, sample by sample, without tables and
// without state. Linear samples have 16 bits and full scale; the standard's 14 (µ-law) and 13 bits (A-law) are their upper ones.
// Prompts are built with it; nothing on a call's way transcodes.
package g711

import "math/bits"

const (
	bias = 0x84  // what makes µ-law's segments begin at powers of two
	clip = 32635 // the greatest magnitude that µ-law holds: 0x7fff less the bias
)

// EncodeULaw gives the µ-law code of the interval that a sample lies in.
func EncodeULaw(sample int16) byte {
	sign, x := byte(0x80), int(sample) // codes of positive values begin with 1, all bits of a code are sent inverted
	if x < 0 {
		sign, x = 0, -x
	}
	x = min(x, clip) + bias
	segment := bits.Len(uint(x)) - 8 // 0…7
	return sign | ^byte(segment<<4|x>>(segment+3)&0x0f)&0x7f
}

// DecodeULaw gives the value of a µ-law code.
func DecodeULaw(code byte) int16 {
	code = ^code
	x := (int(code&0x0f)<<3+bias)<<(code>>4&7) - bias
	if code&0x80 != 0 {
		x = -x
	}
	return int16(x)
}

// EncodeALaw gives the A-law code of the interval that a sample lies in.
func EncodeALaw(sample int16) byte {
	sign, x := byte(0x80), int(sample)
	if x < 0 {
		sign, x = 0, -x-1
	}
	segment := max(bits.Len(uint(x))-8, 0)
	mantissa := x >> (max(segment, 1) + 3) & 0x0f
	return (sign | byte(segment<<4|mantissa)) ^ 0x55 // every other bit is sent inverted
}

// DecodeALaw gives the value of an A-law code.
func DecodeALaw(code byte) int16 {
	code ^= 0x55
	segment := int(code >> 4 & 7)
	x := int(code&0x0f)<<4 + 8
	if segment > 0 {
		x = (x + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		x = -x
	}
	return int16(x)
}
