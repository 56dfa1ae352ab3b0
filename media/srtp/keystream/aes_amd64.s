#include "textflag.h"

// Six blocks at a time: an AES round takes some cycles, but the next may begin in each.

#define ROUND(OP) \
	OP X6, X0; OP X6, X1; OP X6, X2; OP X6, X3; OP X6, X4; OP X6, X5

// func encryptSixes(rounds int, schedule *[15][16]byte, b *Blocks, groups int)
TEXT ·encryptSixes(SB), NOSPLIT, $0-32
	MOVQ rounds+0(FP), AX
	MOVQ schedule+8(FP), BX
	MOVQ b+16(FP), DI
	MOVQ groups+24(FP), DX

group:
	TESTQ DX, DX
	JZ    done
	MOVOU 0(DI), X0
	MOVOU 16(DI), X1
	MOVOU 32(DI), X2
	MOVOU 48(DI), X3
	MOVOU 64(DI), X4
	MOVOU 80(DI), X5
	MOVQ  BX, SI
	MOVOU 0(SI), X6
	ROUND(PXOR)
	LEAQ  -1(AX), CX

round:
	ADDQ  $16, SI
	MOVOU 0(SI), X6
	ROUND(AESENC)
	DECQ  CX
	JNZ   round

	MOVOU 16(SI), X6
	ROUND(AESENCLAST)
	MOVOU X0, 0(DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVOU X4, 64(DI)
	MOVOU X5, 80(DI)
	ADDQ  $96, DI
	DECQ  DX
	JMP   group

done:
	PXOR X6, X6
	RET

// The last round without a key is ShiftRows and SubBytes, and shifting rows of equal columns changes nothing.

// func substitute(word *[4]byte)
TEXT ·substitute(SB), NOSPLIT, $0-8
	MOVQ       word+0(FP), DI
	MOVL       0(DI), X0
	PSHUFD     $0, X0, X0
	PXOR       X1, X1
	AESENCLAST X1, X0
	MOVL       X0, 0(DI)
	RET
