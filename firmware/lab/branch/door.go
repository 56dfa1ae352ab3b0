package branch

import (
	"crypto/tls"
	"net/netip"
)

// Door is where phones reach the box, and what they trust; for tests that speak to it without being a phone.
func (b *Branch) Door() (netip.AddrPort, *tls.Config) {
	return b.phonesAddr, &tls.Config{RootCAs: b.authority.Pool(), ServerName: boxName, MinVersion: tls.VersionTLS12}
}

// Certificate is one of the branch's authority, for more that belongs to the world around the box.
func (b *Branch) Certificate(name string, addr netip.Addr) (tls.Certificate, error) {
	return b.authority.Leaf([]string{name}, addr)
}
