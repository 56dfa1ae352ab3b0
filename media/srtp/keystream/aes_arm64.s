#include "textflag.h"

// Six blocks at a time: an AES round takes some cycles, but the next may begin in each. AESE adds the round key before it substitutes,
// so that the last key is added by itself.

#define MIX(V) \
	AESE V6.B16, V.B16; AESMC V.B16, V.B16

// func encryptSixes(rounds int, schedule *[15][16]byte, b *Blocks, groups int)
TEXT ·encryptSixes(SB), NOSPLIT, $0-32
	MOVD rounds+0(FP), R0
	MOVD schedule+8(FP), R1
	MOVD b+16(FP), R2
	MOVD groups+24(FP), R3

group:
	CBZ  R3, done
	MOVD R2, R4
	VLD1.P 64(R4), [V0.B16, V1.B16, V2.B16, V3.B16]
	VLD1 (R4), [V4.B16, V5.B16]
	MOVD R1, R5
	SUB  $1, R0, R6

round:
	VLD1.P 16(R5), [V6.B16]
	MIX(V0)
	MIX(V1)
	MIX(V2)
	MIX(V3)
	MIX(V4)
	MIX(V5)
	SUB  $1, R6
	CBNZ R6, round

	VLD1.P 16(R5), [V6.B16]
	VLD1 (R5), [V7.B16]
	AESE V6.B16, V0.B16
	AESE V6.B16, V1.B16
	AESE V6.B16, V2.B16
	AESE V6.B16, V3.B16
	AESE V6.B16, V4.B16
	AESE V6.B16, V5.B16
	VEOR V7.B16, V0.B16, V0.B16
	VEOR V7.B16, V1.B16, V1.B16
	VEOR V7.B16, V2.B16, V2.B16
	VEOR V7.B16, V3.B16, V3.B16
	VEOR V7.B16, V4.B16, V4.B16
	VEOR V7.B16, V5.B16, V5.B16
	VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R2)
	VST1.P [V4.B16, V5.B16], 32(R2)
	SUB  $1, R3
	JMP  group

done:
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	RET

// A round with an empty key is SubBytes and ShiftRows, and shifting rows of equal columns changes nothing.

// func substitute(word *[4]byte)
TEXT ·substitute(SB), NOSPLIT, $0-8
	MOVD  word+0(FP), R0
	MOVWU (R0), R1
	VDUP  R1, V0.S4
	VEOR  V1.B16, V1.B16, V1.B16
	AESE  V1.B16, V0.B16
	VMOV  V0.S[0], R1
	MOVW  R1, (R0)
	RET
