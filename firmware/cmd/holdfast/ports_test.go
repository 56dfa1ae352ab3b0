package main

import (
	"strings"
	"testing"

	"holdfast/firmware/ports"
)

func (f *fake) Ports() []ports.Flow {
	return []ports.Flow{{ID: "phones.sip", From: "phones", To: "box", Source: "any", Address: "10.0.0.5", Protocol: "tcp", Ports: "5061", What: "SIP", Needed: ports.Always, Inbound: true}}
}

func TestPorts(t *testing.T) {
	served(t, &fake{})
	boot := bootFolder(t)
	doc := write(t, "other.json", strings.Replace(goodSite, `"trunks": []`, `"trunks": [{"id": "main", "address": "10.0.1.60:5071", "tls_name": "sbc.example.com"}]`, 1))
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"running":   {nil, 0, "To the box\n  tcp      5061         phones → box (10.0.0.5)\n"},
		"JSON":      {[]string{"--format", "json"}, 0, `"id": "phones.sip"`},
		"markdown":  {[]string{"--format", "markdown"}, 0, "| phones | box (10.0.0.5) | tcp | 5061 |"},
		"no format": {[]string{"--format", "xml"}, 2, `"xml" is no format`},
		"files":     {[]string{"-c", boot}, 0, "cloud zone east (zone1.phones.example.com)"},
		"document":  {[]string{"-c", boot, "-site", doc}, 0, "  tcp      5071         box (10.0.1.5) → SBC main (10.0.1.60)"},
		"none":      {[]string{"-c", boot, "-site", boot + "x"}, 1, "site document"},
	} {
		out, status, err := call(t, append([]string{"ports"}, c.args...)...)
		if err != nil {
			out += err.Error()
		}
		if status != c.status || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, %q is missing in\n%s", name, status, c.want, out)
		}
	}
}
