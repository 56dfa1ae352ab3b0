package branch

import (
	"crypto/tls"
	"net/netip"
)

// Door is where phones reach the box, and what they trust; for tests that speak to it without being a phone.
func (b *Branch) Door() (netip.AddrPort, *tls.Config) {
	return b.phonesAddr, &tls.Config{RootCAs: b.authority.Pool(), ServerName: boxName, MinVersion: tls.VersionTLS12}
}
