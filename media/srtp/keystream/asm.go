//go:build amd64 || arm64

package keystream

import "golang.org/x/sys/cpu"

// accelerated reports whether the processor has what the assembly uses.
func accelerated() bool {
	return cpu.X86.HasAES && cpu.X86.HasSSE2 || cpu.ARM64.HasAES
}

// encryptSixes encrypts groups of six blocks.
//
//go:noescape
func encryptSixes(rounds int, schedule *[15][16]byte, b *Blocks, groups int)

// substitute is SubWord: the S-box for four bytes.
//
//go:noescape
func substitute(word *[4]byte)
