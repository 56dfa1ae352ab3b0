package certs

import (
	"crypto/x509"
	"net/netip"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	leaf := &x509.Certificate{DNSNames: []string{"Box.Example.com", "*.example.com", "10.0.0.5", "box", "example.com", "sip.cloud.example", "portal.example"}}
	for _, c := range []struct {
		others []string
		want   string
	}{
		{nil, "box.example.com example.com sip.cloud.example portal.example"},
		{[]string{"Example.com", ""}, "box.example.com sip.cloud.example portal.example"},
		{[]string{"example.com", "SIP.cloud.example", "portal.example"}, "box.example.com"},
	} {
		if got := strings.Join(Hosts(leaf, c.others...), " "); got != c.want {
			t.Errorf("without %q: %s, want %s", c.others, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	if n := ParseNames(" box.example.com,10.0.0.5;\r\n*.example.com "); n.String() != "box.example.com, *.example.com, 10.0.0.5" || n.check() != nil {
		t.Errorf("%s %v", n, n.check())
	}
	if n := ParseNames(" ,; \n"); n.String() != "" {
		t.Errorf("%s", n)
	}
	many := ParseNames(strings.Repeat("10.0.0.5 ", mostNames+1))
	for text, want := range map[string]string{
		"": "needs a name", "https://box": "no name", "box:5061": "no name", "-box": "no name", "box-.example": "no name", "a..b": "no name", "box.": "no name", "a.*.b": "no name",
		"bücher.example": "no name", "a_b": "no name", strings.Repeat("a", 64): "no name", strings.Repeat("a.", 126) + "a": "", strings.Repeat("a.", 126) + "ab": "no name",
		"0.0.0.0": "no address", "fe80::1%eth0": "no address", many.String(): "too many",
	} {
		if err := ParseNames(text).check(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.80q: %v, want %q", text, err, want)
		}
	}
	if (Names{IP: []netip.Addr{{}}}).check() == nil {
		t.Error("no address is an address")
	}
}
