//go:build race

package stack

// Under the race detector stack frames are about twice as large, and handshakes slow.
const (
	idlePhones   = 150
	mostPerPhone = 24 << 10
)
