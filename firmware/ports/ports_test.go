package ports

import (
	"slices"
	"strings"
	"testing"

	"holdfast/firmware/config"
	"holdfast/sip/site"
)

const document = `{"version": 1, "serial": 7,
  "site": {"id": "s", "name": "Branch", "domain": "branch.example.com", "timezone": "UTC", "main_number": "+12175551000"},
  "dial_plan": {"country": "US"}, "emergency": {}, "users": [],
  "devices": [{"id": "fax", "transport": "udp", "address": "10.0.0.77", "plain_rtp": true}, {"id": "door", "transport": "tcp", "address": "10.0.0.78"}],
  "trunks": [{"id": "sbc1", "address": "10.0.1.60:5061", "tls_name": "sbc.example.com"}, {"id": "sbc2", "address": "sbc2.example.com:5071", "tls_name": "sbc2.example.com"}]}`

func settings(t *testing.T) (*config.Config, *site.Document) {
	t.Helper()
	c, err := config.Parse("example.toml", []byte(config.Example()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return c, s.Doc()
}

// Every address that the example's settings name is in the table, on the right side of it.
func TestTable(t *testing.T) {
	c, doc := settings(t)
	flows := Table(c, doc)
	for id, want := range map[string]Flow{
		"phones.sip":             {Protocol: "tcp", Source: "any", Address: "10.0.0.5", Ports: "5061", Inbound: true, Endpoint: "10.0.0.5:5061"},
		"phones.media":           {Protocol: "udp", Source: "any", Address: "10.0.0.5", Ports: "20000-29999", Inbound: true},
		"trunk.sbc1.out":         {Protocol: "tcp", Source: "10.0.1.5", Address: "10.0.1.60", Ports: "5061", Endpoint: "10.0.1.60:5061"},
		"trunk.sbc1.in":          {Protocol: "tcp", Source: "10.0.1.60", Address: "10.0.1.5", Ports: "5061", Inbound: true},
		"trunk.sbc2.out":         {Protocol: "tcp", Source: "10.0.1.5", Address: "sbc2.example.com", Ports: "5071", Endpoint: "sbc2.example.com:5071"},
		"cloud.east":             {Protocol: "tcp", Source: "10.0.0.5", Address: "zone1.phones.example.com", Ports: "5061", Endpoint: "zone1.phones.example.com:5061"},
		"cloud.https":            {Protocol: "tcp", Source: "10.0.0.5", Address: "phones.example.com", Ports: "443", Endpoint: "phones.example.com:443"},
		"admin":                  {Protocol: "tcp", Source: "any", Address: "10.0.0.5", Ports: "8443", Inbound: true, Endpoint: "10.0.0.5:8443"},
		"ownname":                {Protocol: "udp", Source: "any", Address: "10.0.0.5", Ports: "53", Inbound: true},
		"portal":                 {Protocol: "tcp", Source: "10.0.0.5", Address: "portal.example.com", Ports: "443", Endpoint: "portal.example.com:443"},
		"webhook":                {Protocol: "tcp", Source: "10.0.0.5", Address: "alerts.example.com", Ports: "443", Endpoint: "alerts.example.com:443"},
		"dns.10.0.0.2":           {Protocol: "udp+tcp", Source: "10.0.0.5", Address: "10.0.0.2", Ports: "53", Endpoint: "10.0.0.2:53"},
		"time.10.0.0.1":          {Protocol: "udp", Source: "10.0.0.5", Address: "10.0.0.1", Ports: "123"},
		"time.10.0.0.2":          {Protocol: "udp", Source: "10.0.0.5", Address: "10.0.0.2", Ports: "123"},
		"metrics":                {Protocol: "tcp", Source: "127.0.0.1", Address: "127.0.0.1", Ports: "9464", Inbound: true, Local: true, Endpoint: "127.0.0.1:9464"},
		"trunk.sbc1.media":       {Protocol: "udp", Source: "10.0.1.60 or its media address", Address: "10.0.1.5", Ports: "20000-29999", Inbound: true},
		"gateway.fax.sip":        {Protocol: "udp", Source: "10.0.0.77", Address: "10.0.0.5", Ports: "5060", Inbound: true},
		"gateway.fax.sip.back":   {Protocol: "udp", Source: "10.0.0.5", Address: "10.0.0.77", Ports: "any"},
		"gateway.fax.media":      {Protocol: "udp", Source: "10.0.0.77", Address: "10.0.0.5", Ports: "20000-29999", Inbound: true},
		"gateway.fax.media.back": {Protocol: "udp", Source: "10.0.0.5", Address: "10.0.0.77", Ports: "any"},
		"gateway.door.sip":       {Protocol: "tcp", Source: "10.0.0.78", Address: "10.0.0.5", Ports: "5060", Inbound: true, Endpoint: "10.0.0.5:5060"},
	} {
		i := slices.IndexFunc(flows, func(f Flow) bool { return f.ID == id })
		if i < 0 {
			t.Errorf("%s is missing", id)
			continue
		}
		got := flows[i]
		if got.What == "" || got.Setting == "" || got.Needed == "" || got.From == "" || got.To == "" {
			t.Errorf("%s says too little: %+v", id, got)
		}
		got.ID, got.From, got.To, got.What, got.Setting, got.Needed = "", "", "", "", "", ""
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", id, got, want)
		}
	}
	seen := make(map[string]bool)
	for _, f := range flows {
		if seen[f.ID] {
			t.Errorf("%s stands there twice", f.ID)
		}
		seen[f.ID] = true
	}
}

// Without a site document the rest is there all the same, and without optional settings their lines are not.
func TestLess(t *testing.T) {
	c, _ := settings(t)
	c.Cloud.HTTPS, c.Portal.URL, c.Webhook.URL, c.Report.URL, c.Homer.Address, c.Syslog.Address, c.Time.Servers, c.Network = "", "", "", "", "", "", nil, config.Network{}
	var ids []string
	for _, f := range Table(c, nil) {
		ids = append(ids, f.ID)
	}
	for _, gone := range []string{"cloud.https", "portal", "webhook", "report", "homer", "syslog", "dns", "time", "trunk", "gateway"} {
		if slices.ContainsFunc(ids, func(id string) bool { return id == gone || strings.HasPrefix(id, gone+".") }) {
			t.Errorf("%s is there: %q", gone, ids)
		}
	}
	if !slices.Contains(ids, "phones.sip") || !slices.Contains(ids, "cloud.west") {
		t.Errorf("%q", ids)
	}
}

func TestPrinted(t *testing.T) {
	c, doc := settings(t)
	flows := Table(c, doc)
	text, markdown := Text(flows), Markdown(flows)
	for _, want := range []string{"To the box\n", "From the box\n", "  tcp      5061         phones → box (10.0.0.5)\n", "box (10.0.0.5) → cloud zone east (zone1.phones.example.com)"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(markdown, "| phones | box (10.0.0.5) | tcp | 5061 | SIP over TLS: registration and calls | always | phones.listen |\n") || strings.Contains(markdown, "9464") {
		t.Error(markdown)
	}
	for line := range strings.Lines(markdown) {
		if strings.Count(line, "|") != 8 {
			t.Errorf("columns: %s", line)
		}
	}
}
