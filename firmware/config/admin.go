package config

import "net/netip"

// Admin is the box's own page and API.
type Admin struct {
	Listen            netip.AddrPort // TLS with the phones' certificate (default: the address of phones.listen, port 8443; zero: off)
	FirstPasswordFile string         // the first password of the account admin, used while there is no account; "" for none
}

const adminPort = 8443

// admin reads where the page is.
func (r *reader) admin(phones netip.AddrPort) Admin {
	a := Admin{FirstPasswordFile: r.text("admin.first_password_file", "")}
	if v, ok := r.value("admin.listen"); !ok && phones.IsValid() {
		a.Listen = netip.AddrPortFrom(phones.Addr(), adminPort)
	} else if v != "off" {
		a.Listen = r.addrPort("admin.listen", "10.0.0.5:8443")
	}
	return a
}
