package box

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"

	"holdfast/firmware/config"
)

// The phones' certificate may carry names that lead to the cloud. The box answers for its own alone, and says so.
func TestOwnNames(t *testing.T) {
	b := &Box{cfg: &config.Config{DNS: netip.MustParseAddrPort("10.0.0.5:53"),
		Cloud:  config.Cloud{Zones: []config.Zone{{Address: "east.cloud.example:5061", TLSName: "sip.cloud.example"}}, HTTPS: "https://app.cloud.example/"},
		Portal: config.Portal{URL: "https://portal.example/site"}}}
	b.site.Store(rigSite(t, 1, "127.0.0.1:9", nil)) // its domain is rigDomain
	if own, clouds := b.ownNames(); own != nil || clouds != nil || b.ownName("") {
		t.Errorf("without a certificate: %q %q", own, clouds)
	}
	shows := func(names ...string) {
		b.phoneCert.Store(&tls.Certificate{Leaf: &x509.Certificate{DNSNames: names}})
	}
	shows("Box.branch.example", rigDomain)
	if a := b.nameAlarms(); len(a) > 0 || !b.ownName("box.branch.example") || b.ownName(rigDomain) {
		t.Errorf("its own alone: %q", a)
	}
	others := []string{"east.cloud.example", "sip.cloud.example", "app.cloud.example", "portal.example"}
	shows(append(others, "box.branch.example", rigDomain)...)
	for _, n := range others {
		if b.ownName(n) {
			t.Errorf("the box answers for %s", n)
		}
	}
	if !b.ownName("box.branch.example") {
		t.Error("it does not answer for its own name")
	}
	if a := b.nameAlarms(); len(a) != 1 || !strings.Contains(a[0], "answers no DNS questions for "+strings.Join(others, ", ")+", which") {
		t.Errorf("alarms %q", a)
	}
	b.cfg.DNS = netip.AddrPort{}
	if a := b.nameAlarms(); len(a) > 0 {
		t.Errorf("it answers nobody: %q", a)
	}
}
