package raw

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// Peer is one connection. Write may be called concurrently.
type Peer struct {
	nc    net.Conn
	local netip.AddrPort
	bytes int // of the read buffer

	mu sync.Mutex
}

// NewPeer wraps a connection; Run reads it with a buffer of so many bytes (0: 4096).
func NewPeer(nc net.Conn, buffer int) *Peer {
	if buffer == 0 {
		buffer = 4096
	}
	p := &Peer{nc: nc, bytes: buffer}
	if a, ok := nc.LocalAddr().(*net.TCPAddr); ok {
		p.local = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return p
}

// Run reads messages until the connection ends, and returns why.
func (p *Peer) Run(handle func(*Message)) error {
	r := bufio.NewReaderSize(p.nc, p.bytes)
	for {
		m, err := Read(r)
		if err != nil {
			return err
		}
		handle(m)
	}
}

// Write sends text.
func (p *Peer) Write(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.nc.Write([]byte(text))
	return err
}

// Close ends the connection at once.
func (p *Peer) Close() { p.nc.Close() }

// Local is this end's address.
func (p *Peer) Local() netip.AddrPort { return p.local }

// Via is a Via value with a new branch.
func (p *Peer) Via() string {
	return fmt.Sprintf("SIP/2.0/TLS %s;branch=z9hG4bK%s;rport", p.local, Word())
}

// Word is a random word for tags, branches and Call-IDs, of letters that no number, address or other word is made of: who looks for one
// of those in a message does not find it here by chance.
func Word() string {
	const letters = "bdghjklmnpqrtvwz"
	word, n := make([]byte, 16), rand.Uint64()
	for i := range word {
		word[i], n = letters[n&15], n>>4
	}
	return string(word)
}
