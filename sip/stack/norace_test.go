//go:build !race

package stack

// How many connections the memory test opens, and what one may cost in the server (bytes).
const (
	idlePhones   = 500
	mostPerPhone = 16 << 10
)
