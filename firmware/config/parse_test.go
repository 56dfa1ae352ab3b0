package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// minimal is the shortest boot file that works.
const minimal = `[phones]
listen = "10.0.0.5:5061"
certificate = "p.pem"
key = "p.key"
[trunk]
listen = "10.0.0.5:5062"
certificate = "t.pem"
key = "t.key"
roots = "r.pem"
[[cloud.zone]]
name = "east"
address = "zone1.example.com:5061"
[site]
file = "site.json"
allow_unsigned = true
`

const nic = "[network]\ninterface = \"eth0\"\naddress = \"10.0.0.5/24\"\n[network.sbc]\n"

// A mistake elsewhere in the file leaves the network what it is; one in it does not.
func TestParseNetwork(t *testing.T) {
	network := "[network]\ninterface = \"eth0\"\naddress = \"10.0.0.5/24\"\n[time]\nservers = [\"10.0.0.2\"]\n"
	for name, c := range map[string]struct {
		file        string
		good, fault bool
	}{
		"all right":        {minimal + network, true, false},
		"phones wrong":     {strings.Replace(minimal, "10.0.0.5:5061", "::1", 1) + network, true, true},
		"unknown key":      {"colour = 1\n" + minimal + network, true, true},
		"zones missing":    {network, true, true},
		"gateway wrong":    {minimal + strings.Replace(network, "[time]", "gateway = \"10.1.0.1\"\n[time]", 1), false, true},
		"both wrong":       {strings.Replace(minimal, "10.0.0.5:5061", "::1", 1) + strings.Replace(network, "[time]", "gateway = \"10.1.0.1\"\n[time]", 1), false, true},
		"unknown in it":    {minimal + strings.Replace(network, "[time]", "adress = 1\n[time]", 1), false, true},
		"time wrong":       {minimal + strings.Replace(network, "10.0.0.2", "::1", 1), false, true},
		"no TOML":          {minimal + network + "=", false, true},
		"something bigger": {strings.Repeat("#", MaxSize+1), false, true},
	} {
		n, when, err := ParseNetwork("holdfast.toml", []byte(c.file))
		if (err != nil) != c.fault || n.Address.IsValid() != c.good || (len(when.Servers) == 1) != c.good {
			t.Errorf("%s: %+v %+v %v", name, n, when, err)
		}
	}
}

func TestMinimalGetsDefaults(t *testing.T) {
	c, err := Parse("holdfast.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Name: "holdfast", DataDir: "/var/lib/holdfast", RunDir: "/run/holdfast",
		Log: Log{"info", "text"},
		Phones: Phones{netip.MustParseAddrPort("10.0.0.5:5061"), "p.pem", "p.key", netip.MustParseAddrPort("10.0.0.5:5060"), 12000,
			netip.MustParseAddr("10.0.0.5")},
		Trunk: TrunkSide{netip.MustParseAddrPort("10.0.0.5:5062"), "t.pem", "t.key", "r.pem",
			netip.MustParseAddr("10.0.0.5")},
		Media: Media{20000, 29999, 10 * time.Second, 30 * time.Second, 16, 46, 24, false},
		Cloud: Cloud{Zones: []Zone{{"east", "zone1.example.com:5061", "zone1.example.com"}},
			Interval: 2 * time.Second, Timeout: 2 * time.Second, Missed: 3, HoldOff: time.Minute},
		Portal:  Portal{Interval: 10 * time.Hour},
		Site:    SiteFile{"site.json", true},
		Metrics: netip.MustParseAddrPort("127.0.0.1:9464"),
		Trace:   Trace{4},
		Report:  Report{Keep: 50},
		Homer:   Homer{Transport: "udp", CaptureID: 2001},
		Syslog:  Syslog{Facility: "local0"},
		Board:   Board{"auto", "auto"},
		Admin:   Admin{Listen: netip.MustParseAddrPort("10.0.0.5:8443")},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// TestGatewaysPort: where nothing is said gateways get a port that nothing else has; a file that was good stays good.
func TestGatewaysPort(t *testing.T) {
	for _, c := range []struct{ phones, trunk, want string }{
		{"10.0.0.5:5061", "10.0.0.5:5062", "10.0.0.5:5060"},
		{"10.0.0.5:5060", "10.0.0.5:5061", "10.0.0.5:5062"},
		{"10.0.0.5:5062", "10.0.0.5:5060", "10.0.0.5:5064"},
		{"10.0.0.5:5061", "10.0.1.5:5060", "10.0.0.5:5060"},
		{"10.0.0.5:5061", "0.0.0.0:5060\"\nmedia_address = \"10.0.1.5", "10.0.0.5:5062"},
	} {
		text := strings.Replace(strings.Replace(minimal, "10.0.0.5:5062", "T", 1), "10.0.0.5:5061", c.phones, 1)
		cfg, err := Parse("x", []byte(strings.Replace(text, "\"T\"", "\""+c.trunk+"\"", 1)))
		if err != nil {
			t.Errorf("%v: %v", c, err)
		} else if got := cfg.Phones.Gateways.String(); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

func TestExample(t *testing.T) {
	c, err := Parse("example.toml", []byte(Example()))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Cloud.Zones) != 2 || c.Cloud.Zones[1].TLSName != "zone2.phones.example.com" {
		t.Errorf("zones: %+v", c.Cloud.Zones)
	}
	if c.Network.Address != netip.MustParsePrefix("10.0.0.5/24") || len(c.Network.DNS) != 2 {
		t.Errorf("network: %+v", c.Network)
	}
	// Every field is set, so that the example is complete; these are the ones whose shown value is zero.
	c.Site.AllowUnsigned, c.Media.SharedKeys = true, true
	requireSet(t, "Config", reflect.ValueOf(*c))
}

func requireSet(t *testing.T, path string, v reflect.Value) {
	if v.IsZero() {
		t.Errorf("example.toml leaves %s unset", path)
	}
	switch {
	case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[Config]().PkgPath():
		for i := range v.NumField() {
			requireSet(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case v.Kind() == reflect.Slice && v.Len() > 0:
		requireSet(t, path+"[0]", v.Index(0))
	}
}

// TestExampleHasEveryKey keeps the example from falling behind the code: what Parse asks for stands in it, and the
// defaults that it shows are the real ones.
func TestExampleHasEveryKey(t *testing.T) {
	r, err := newReader("example.toml", []byte(Example()))
	if err != nil {
		t.Fatal(err)
	}
	r.config()
	for key := range r.asked {
		if strings.HasPrefix(key, "cloud.zone#1") {
			continue // the second zone shows that tls_name may be left out
		}
		if _, ok := r.values[key]; !ok {
			t.Errorf("example.toml does not show %s", display(key))
		}
	}
	shown, err := Parse("example.toml", []byte(Example()))
	if err != nil {
		t.Fatal(err)
	}
	def, err := Parse("minimal", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if shown.Media != def.Media || shown.Log != def.Log || shown.Metrics != def.Metrics || shown.DataDir != def.DataDir ||
		shown.RunDir != def.RunDir || shown.Phones.MaxConnections != def.Phones.MaxConnections || shown.Portal.Interval != def.Portal.Interval {
		t.Error("example.toml shows a value that is not the default")
	}
	a, b := shown.Cloud, def.Cloud
	if a.Interval != b.Interval || a.Timeout != b.Timeout || a.Missed != b.Missed || a.HoldOff != b.HoldOff {
		t.Error("example.toml shows a probe timing that is not the default")
	}
}

// with replaces one line of minimal, or appends text when line is "".
func with(line, text string) string {
	if line == "" {
		return minimal + text
	}
	if !strings.Contains(minimal, line+"\n") {
		panic("no line " + line)
	}
	return strings.Replace(minimal, line+"\n", text, 1)
}

func TestFaults(t *testing.T) {
	const key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	listen := `listen = "10.0.0.5:5061"`
	for name, c := range map[string]struct {
		file string
		want []string // whole lines of the error
	}{
		"IPv6 listener": {with(listen, "listen = \"::1:5061\"\n"),
			[]string{`holdfast.toml:2: phones.listen: "::1:5061" is IPv6; write an IPv4 address and port, such as "10.0.0.5:5061"`}},
		"quotes of a word processor": {with(listen, "listen = \u201c10.0.0.5:5061\u201d\n"), []string{`at start of value; write straight quotes, "like this"`}},
		"the same from Windows":      {with(listen, "listen = \x9310.0.0.5:5061\x94\n"), []string{`at start of value; save the file as UTF-8 (in Notepad: Save as, Encoding), and write straight quotes`}},
		"a space that is none":       {with(listen, "listen\u00a0= \"10.0.0.5:5061\"\n"), []string{`write straight quotes, "like this", and plain spaces`}},
		"a name as on Windows":       {with(`certificate = "p.pem"`, "certificate = \"C:\\certs\\p.pem\"\n"), []string{`invalid escape character U+0063 'c'; write file names with / instead of \`}},
		"something else":             {"<html>", []string{`:1: invalid character at start of key: U+003C '<'; write key = "value" lines in [sections]`}},
		"bracketed IPv6":             {with(listen, "listen = \"[::1]:5061\"\n"), []string{`:2: phones.listen: "[::1]:5061" is IPv6`}},
		"mapped IPv6":                {with(listen, "listen = \"[::ffff:10.0.0.5]:5061\"\n"), []string{`:2: phones.listen: "[::ffff:10.0.0.5]:5061" is IPv6`}},
		"no port":                    {with(listen, "listen = \"10.0.0.5\"\n"), []string{`:2: phones.listen: "10.0.0.5" is not an address and port`}},
		"port 0":                     {with(listen, "listen = \"10.0.0.5:0\"\n"), []string{`:2: phones.listen: "10.0.0.5:0" has port 0`}},
		"listener missing":           {with(listen, ""), []string{`:1: phones.listen: is missing; write an IPv4`}},
		"listener is number":         {with(listen, "listen = 5061\n"), []string{`:2: phones.listen: 5061 is not a text; write it in quotes`}},
		"certificate missing":        {with(`certificate = "p.pem"`, ""), []string{`:1: phones.certificate: is missing, but there is a phones.key; name a PEM file`}},
		"certificate empty":          {with(`certificate = "p.pem"`, "certificate = \" \"\n"), []string{`:3: phones.certificate: is empty`}},
		"control characters":         {with(`certificate = "p.pem"`, "certificate = \"a\\nb\"\n"), []string{`:3: phones.certificate: "a\nb" has control characters`}},
		"no trunk at all": {strings.Split(minimal, "[trunk]")[0] + "[[cloud.zone]]\nname='a'\naddress='a.example:5061'\n[site]\nfile='s'\nallow_unsigned=true\n",
			[]string{"holdfast.toml: trunk.listen: is missing"}},
		"listeners clash":         {with(`listen = "10.0.0.5:5062"`, "listen = \"10.0.0.5:5061\"\n"), []string{`:6: trunk.listen: 10.0.0.5:5061 is taken by phones.listen (10.0.0.5:5061)`}},
		"gateways clash":          {with(listen, listen+"\ngateways = \"10.0.0.5:5062\"\n"), []string{`:7: trunk.listen: 10.0.0.5:5062 is taken by phones.gateways (10.0.0.5:5062)`}},
		"gateways on phones":      {with(listen, listen+"\ngateways = \"10.0.0.5:5061\"\n"), []string{`:3: phones.gateways: 10.0.0.5:5061 is taken by phones.listen`}},
		"gateways on IPv6":        {with(listen, listen+"\ngateways = \"[::1]:5060\"\n"), []string{`:3: phones.gateways: "[::1]:5060" is IPv6`}},
		"metrics clash":           {with(`listen = "10.0.0.5:5062"`, "listen = \"127.0.0.1:9464\"\n"), []string{`metrics.listen: 127.0.0.1:9464 is taken by trunk.listen`}},
		"listen everywhere":       {with(listen, "listen = \"0.0.0.0:5061\"\n"), []string{`phones.media_address: is missing, and phones.listen names no address`}},
		"everywhere clashes":      {with(listen, "listen = \"0.0.0.0:5062\"\nmedia_address = \"10.0.0.5\"\n"), []string{`:7: trunk.listen: 10.0.0.5:5062 is taken by phones.listen`}},
		"media to everyone":       {with(listen, listen+"\nmedia_address = \"224.0.0.1\"\n"), []string{`:3: phones.media_address: "224.0.0.1" is not the address of one machine`}},
		"too many connections":    {with(listen, listen+"\nmax_connections = 9999999\n"), []string{`:3: phones.max_connections: 9999999 is out of range; write a number from 10 to 100000, such as 12000`}},
		"connections in quotes":   {with(listen, listen+"\nmax_connections = \"many\"\n"), []string{`:3: phones.max_connections: "many" is not a whole number`}},
		"unknown key":             {with("", "[media]\nport_mni = 20000\n"), []string{`:17: media.port_mni: is unknown; did you mean media.port_min?`}},
		"key in wrong section":    {with("", "[media]\nhold_off = \"1s\"\n"), []string{`:17: media.hold_off: is unknown; did you mean cloud.hold_off?`}},
		"unknown section once":    {with("", "[fones]\nlisten = 1\nkey = 2\n"), []string{`:16: fones: is unknown; did you mean phones?`}},
		"nothing like it":         {with("", "[coffee]\n"), []string{`:16: coffee: is unknown; remove it`}},
		"quoted key":              {with("", "[media]\n\"port.min\" = 1\n"), []string{`:17: media."port\x2emin": is unknown`}},
		"section as value":        {"log = 3\n" + minimal, []string{`:1: log: 3 is a value, but this is a section; write [log] on a line of its own`}},
		"value as section":        {with("", "[log.level]\nx = 1\n"), []string{`:16: log.level: is a section, but this is a value; write level = …`, `:17: log.level.x: is unknown`}},
		"log level":               {with("", "[log]\nlevel = \"loud\"\n"), []string{`:17: log.level: "loud" is unknown; write one of debug, info, warn, error`}},
		"odd port":                {with("", "[media]\nport_min = 20001\n"), []string{`:17: media.port_min: 20001 is odd`}},
		"few ports":               {with("", "[media]\nport_min = 20000\nport_max = 20009\n"), []string{`:18: media.port_max: ports 20000 to 20009 make 5 pairs, of which 16 are reserved for emergency calls; write at least 20063`}},
		"ports backwards":         {with("", "[media]\nport_min = 30000\n"), []string{`:16: media.port_max: ports 30000 to 29999 make 0 pairs`}},
		"privileged port":         {with("", "[media]\nport_min = 80\n"), []string{`:17: media.port_min: 80 is out of range`}},
		"time without unit":       {with("", "[media]\ndrain = 10\n"), []string{`:17: media.drain: 10 has no unit; write a time from 0s to 10m, such as "10s"`}},
		"no time":                 {with("", "[media]\ndrain = \"soon\"\n"), []string{`:17: media.drain: "soon" is not a time`}},
		"silence too short":       {with("", "[media]\nsilence = \"1ms\"\n"), []string{`:17: media.silence: "1ms" is out of range; write a time from 5s to 1h, such as "30s"`}},
		"DSCP":                    {with("", "[media]\ndscp_sip = 64\n"), []string{`:17: media.dscp_sip: 64 is out of range`}},
		"no zone":                 {strings.Replace(minimal, "[[cloud.zone]]\nname = \"east\"\naddress = \"zone1.example.com:5061\"\n", "", 1), []string{`cloud.zone: there are 0 zones; write one to four`}},
		"five zones":              {minimal + strings.Repeat("[[cloud.zone]]\nname='a'\naddress='a.b:1'\n", 4), []string{`there are 5 zones`}},
		"zone in single brackets": {strings.Replace(minimal, "[[cloud.zone]]", "[cloud.zone]", 1), []string{`:10: cloud.zone: there are 0 zones`, `:11: cloud.zone.name: belongs to a section that there may be several of; write [[cloud.zone]] in double brackets`, `:12: cloud.zone.address`}},
		"same zone twice": {with("", "[[cloud.zone]]\nname = \"east\"\naddress = \"zone1.example.com:5061\"\n"),
			[]string{`:17: cloud.zone.name: "east" is also the zone before`, `:18: cloud.zone.address: "zone1.example.com:5061" is also zone "east"`}},
		"zone without address": {with(`address = "zone1.example.com:5061"`, ""), []string{`:10: cloud.zone.address: is missing; write a host and port`}},
		"zone without port":    {with(`address = "zone1.example.com:5061"`, "address = \"zone1.example.com\"\n"), []string{`:12: cloud.zone.address: "zone1.example.com" has no port`}},
		"zone with bad port":   {with(`address = "zone1.example.com:5061"`, "address = \"zone1.example.com:70000\"\n"), []string{`:12: cloud.zone.address: "70000" is not a port`}},
		"zone with bad host":   {with(`address = "zone1.example.com:5061"`, "address = \"zone_1 x:5061\"\n"), []string{`:12: cloud.zone.address: "zone_1 x" is not a host name`}},
		"zone is IPv6":         {with(`address = "zone1.example.com:5061"`, "address = \"2001:db8::1:5061\"\n"), []string{`:12: cloud.zone.address: "2001:db8::1:5061" is IPv6`}},
		"half an address":      {with(`address = "zone1.example.com:5061"`, "address = \"10.0.0:5061\"\n"), []string{`"10.0.0" is not a host name`}},
		"probe too often":      {with("", "[cloud]\ninterval = \"1ms\"\n"), []string{`cloud.interval: "1ms" is out of range`}},
		"probes overlap":       {with("", "[cloud]\ntimeout = \"3s\"\n"), []string{`:17: cloud.timeout: 3s is longer than the interval of 2s`}},
		"https is http":        {with("", "[cloud]\nhttps = \"http://a.example/\"\n"), []string{`cloud.https: "http://a.example/" is not https`}},
		"password in URL":      {with("", "[portal]\nurl = \"https://u:p@a.example/\"\n"), []string{`portal.url: a URL with a password in it ends up in logs`}},
		"no source":            {strings.Split(minimal, "[site]")[0], []string{`site.file: is missing, and there is no portal.url either`}},
		"unsigned file":        {with("allow_unsigned = true", ""), []string{`:14: site.file: no key is known to check its signature`}},
		"unsigned portal":      {strings.Split(minimal, "[site]")[0] + "[site]\nallow_unsigned = true\n[portal]\nurl=\"https://p.example/\"\ntoken_file=\"t\"\npublic_key=\"" + key + "\"\n", []string{`:14: site.allow_unsigned: is set, but there is no site.file`}},
		"portal without rest":  {with("", "[portal]\nurl = \"https://p.example/doc\"\n"), []string{`:16: portal.token_file: is missing`, `:16: portal.public_key: is missing`}},
		"bad public key":       {with("", "[portal]\npublic_key = \"AAAA\"\n"), []string{`:17: portal.public_key: is not an ed25519 public key`}},
		"token without url":    {with("", "[portal]\ntoken_file = \"t\"\n"), []string{`:17: portal.token_file: is set, but portal.url is not`}},
		"panel unknown":        {with("", "[board]\npanel = \"pi\"\n"), []string{`:17: board.panel: "pi" is unknown; write one of auto, none, sim, gpio`}},
		"watchdog no device":   {with("", "[board]\nwatchdog = \"on\"\n"), []string{`:17: board.watchdog: "on" is no watchdog; write "auto", "off" or the name of a device`}},
		"update key":           {with("", "[update]\npublic_key = \"xx\"\n"), []string{`:17: update.public_key: is not an ed25519 public key`}},
		"report unsigned":      {with("", "[report]\nurl = \"https://a.example/\"\n"), []string{`:16: report.secret_file: is missing; name a file with a secret`}},
		"report nowhere":       {with("", "[report]\nsecret_file = \"s\"\n"), []string{`:17: report.secret_file: is set, but report.url is not`}},
		"homer nowhere":        {with("", "[homer]\ncapture_id = 7\n"), []string{`:16: homer.address: is missing; write a host and port, or remove the section`}},
		"homer without a port": {with("", "[homer]\naddress = \"h\"\n"), []string{`:17: homer.address: "h" has no port`}},
		"homer in the clear":   {with("", "[homer]\naddress = \"h:1\"\nroots = \"r\"\n"), []string{`:18: homer.roots: has no use with transport udp`}},
		"syslog nowhere":       {with("", "[syslog]\nfacility = \"local7\"\n"), []string{`:16: syslog.address: is missing`}},
		"syslog of the kernel": {with("", "[syslog]\naddress = \"h:1\"\nfacility = \"kern\"\n"), []string{`:18: syslog.facility: "kern" is unknown; write one of daemon, local0`}},
		"syslog without a key": {with("", "[syslog]\naddress = \"h:1\"\ncertificate = \"c\"\n"), []string{`syslog.key: and syslog.certificate belong together`}},
		"trace of everything":  {with("", "[trace]\nmemory_mib = 9999\n"), []string{`:17: trace.memory_mib: 9999 is out of range; write a number from 0 to 256`}},
		"webhook unsigned":     {with("", "[webhook]\nurl = \"https://a.example/\"\n"), []string{`:16: webhook.secret_file: is missing; name a file with a secret`}},
		"webhook is http":      {with("", "[webhook]\nurl = \"http://a.example/\"\nsecret_file = \"s\"\n"), []string{`:17: webhook.url: "http://a.example/" is not https`}},
		"webhook nowhere":      {with("", "[webhook]\nsecret_file = \"s\"\nroots = \"r\"\n"), []string{`:17: webhook.secret_file: is set, but webhook.url is not`, `:18: webhook.roots: is set, but webhook.url is not`}},
		"flag in quotes":       {with("allow_unsigned = true", "allow_unsigned = \"yes\"\n"), []string{`:15: site.allow_unsigned: yes is neither true nor false`}},
		"metrics outside":      {with("", "[metrics]\nlisten = \"10.0.0.5:9464\"\n"), []string{`:17: metrics.listen: 10.0.0.5:9464 can be reached from outside`}},
		"network size":         {with("", "[network]\naddress = \"10.0.0.5\"\n"), []string{`:17: network.address: "10.0.0.5" is not an address with a network size`}},
		"network of one":       {with("", "[network]\naddress = \"10.0.0.5/32\"\n"), []string{`:17: network.address: a network of /32 holds no branch`}},
		"broadcast address":    {with("", "[network]\naddress = \"10.0.0.255/24\"\n"), []string{`:17: network.address: "10.0.0.255/24" is the network's own or its broadcast address`}},
		"gateway elsewhere":    {with("", "[network]\naddress = \"10.0.0.5/24\"\ngateway = \"10.0.1.1\"\n"), []string{`:18: network.gateway: 10.0.1.1 is no other machine in 10.0.0.0/24`}},
		"gateway alone":        {with("", "[network]\ngateway = \"10.0.1.1\"\n"), []string{`:17: network.gateway: is set, but network.address is not`}},
		"listener elsewhere": {with("", "[network]\naddress = \"10.0.0.6/24\"\n"), []string{`:2: phones.listen: 10.0.0.5 is no address of the box; write that of network.address, 10.0.0.6; or correct it there`,
			`trunk.listen: 10.0.0.5 is no address of the box`}},
		"own DNS everywhere":  {with("", "[dns]\nlisten = \"0.0.0.0:53\"\n"), []string{`:17: dns.listen: 0.0.0.0:53 names no address; write the one that the LAN's DNS server`}},
		"DNS no list":         {with("", "[network]\naddress = \"10.0.0.5/24\"\ndns = \"10.0.0.1\"\n"), []string{`:18: network.dns: 10.0.0.1 is not a list`}},
		"interface":           {with("", "[network]\ninterface = \"enx001122334455\"\naddress = \"10.0.0.5/24\"\n"), []string{`:17: network.interface: "enx001122334455" is no name of an interface; write at most 12 letters`}},
		"VLAN":                {with("", "[network]\naddress = \"10.0.0.5/24\"\nvlan = 4095\n"), []string{`:18: network.vlan: 4095 is out of range; write a number from 1 to 4094, such as 1`}},
		"VLAN alone":          {with("", "[network]\nvlan = 20\n"), []string{`:17: network.vlan: is set, but network.address is not`}},
		"fallback's network":  {with("", "[network]\naddress = \"169.254.1.2/16\"\n"), []string{`:17: network.address: 169.254.1.2/16 is where the fallback address is`}},
		"SBC alone":           {with("", "[network.sbc]\ninterface = \"eth1\"\naddress = \"10.0.1.5/24\"\n"), []string{`:17: network.sbc.interface: is set, but network.interface`}},
		"SBC without":         {with("", "[network.sbc]\naddress = \"10.0.1.5/24\"\n"), []string{`:17: network.sbc.address: is set, but network.sbc.interface is not`}},
		"SBC no address":      {with("", nic+"interface = \"eth1\"\n"), []string{`:19: network.sbc.address: is missing`}},
		"SBC same interface":  {with("", nic+"interface = \"eth0\"\naddress = \"10.0.1.5/24\"\n"), []string{`:20: network.sbc.interface: "eth0" is the phones' interface`}},
		"SBC same network":    {with("", nic+"interface = \"eth1\"\naddress = \"10.0.0.6/25\"\n"), []string{`:21: network.sbc.address: 10.0.0.6/25 and network.address 10.0.0.5/24 are one network`}},
		"SBC gateway":         {with("", nic+"interface = \"eth1\"\naddress = \"10.0.1.5/24\"\ngateway = \"10.0.2.1\"\nnetworks = [\"10.9.0.0/16\"]\n"), []string{`:22: network.sbc.gateway: 10.0.2.1 is no other machine`}},
		"SBC gateway to none": {with("", nic+"interface = \"eth1\"\naddress = \"10.0.1.5/24\"\ngateway = \"10.0.1.1\"\n"), []string{`network.sbc.networks: and network.sbc.gateway need each other`}},
		"SBC networks":        {with("", nic+"interface = \"eth1\"\naddress = \"10.0.1.5/24\"\ngateway = \"10.0.1.1\"\nnetworks = [\"10.9.1.0/16\", \"0.0.0.0/0\", \"x\"]\n"), []string{`"10.9.1.0/16" is an address in a network; write "10.9.0.0/16"`, `everything cannot be behind`, `"x" is not a network`}},
		"SBC takes phones":    {with("", nic+"interface = \"eth1\"\naddress = \"10.0.1.5/24\"\ngateway = \"10.0.1.1\"\nnetworks = [\"10.0.0.0/8\"]\n"), []string{`10.0.0.0/8 is on the phones' side`}},
		"time server":         {with("", "[time]\nservers = [\"ntp.example.com:123\", \"fe80::1\", \"a b\", 1]\n"), []string{`"ntp.example.com:123" is not a host name`, `"fe80::1" is IPv6 or has a port`, `"a b" is not a host name`, `1 is not a text`}},
		"UTF-16":              {"\xff\xfe[\x00", []string{`is written in UTF-16; save it as UTF-8`}},
		"DNS of numbers":      {with("", "[network]\naddress = \"10.0.0.5/24\"\ndns = [1, \"fe80::1\"]\n"), []string{`:18: network.dns: 1 is not a text`, `:18: network.dns: "fe80::1" is IPv6`}},
		"several at once":     {"log.level = 'x'\n" + with(listen, "listen = \"x\"\nbogus = 1\n"), []string{`:1: log.level`, `:3: phones.listen`, `:4: phones.bogus`}},
		"inline zone":         {strings.Replace(minimal, "[[cloud.zone]]\nname = \"east\"\naddress = \"zone1.example.com:5061\"\n", "[cloud]\nzone = [{name = \"a\", address = \"b\"}]\n", 1), []string{`:11: cloud.zone.address: "b" has no port`}},
		"same key twice":      {with(listen, listen+"\n"+listen+"\n"), []string{`holdfast.toml:3:`}},
		"not TOML":            {"phones listen 5061\n", []string{`holdfast.toml:1:`}},
		"cut short":           {"[phones]\nlisten = \"10.0", []string{`holdfast.toml:2:`}},
		"not UTF-8":           {"name = \"\xff\"\n", []string{`holdfast.toml:1:`}},
		"too big":             {strings.Repeat("#", MaxSize+1), []string{`holdfast.toml: has 65537 bytes`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("holdfast.toml", []byte(c.file))
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			var list Errors
			if !errors.As(err, &list) || got != nil {
				t.Fatalf("want Errors and no Config, got %T, %v", err, got)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(c.want) {
				t.Errorf("want %d faults, got:\n%s", len(c.want), err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %s\ngot:\n%s", want, err)
				}
			}
		})
	}
}

// TestWorstFile: a long file of nothing but faults is refused soon and with a bounded list.
func TestWorstFile(t *testing.T) {
	var b strings.Builder
	for n := 0; b.Len() < MaxSize/4; n++ {
		fmt.Fprintf(&b, "k%d=1\n", n)
	}
	begin := time.Now()
	_, err := Parse("worst", []byte(b.String()))
	var list Errors
	if !errors.As(err, &list) || len(list) != maxFaults+1 {
		t.Fatalf("%d faults listed, want %d", len(list), maxFaults+1)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestAccepted(t *testing.T) {
	for name, file := range map[string]string{
		"metrics off":         with("", "[metrics]\nlisten = \"off\"\n"),
		"no certificates":     strings.NewReplacer("certificate = \"p.pem\"", "", "key = \"p.key\"", "").Replace(minimal),
		"byte order mark":     "\xef\xbb\xbf" + strings.ReplaceAll(minimal, "\n", "\r\n"),
		"two interfaces":      minimal + nic + "interface = \"eth1\"\naddress = \"10.0.1.5/24\"\ngateway = \"10.0.1.1\"\nnetworks = [\"10.9.0.0/16\"]\n",
		"windows line ends":   strings.ReplaceAll(minimal, "\n", "\r\n"),
		"dotted keys":         "log.level = \"debug\"\nlog.format = \"json\"\n" + minimal,
		"inline table":        "log = {level = \"debug\"}\n" + minimal,
		"zone by IP":          with(`address = "zone1.example.com:5061"`, "address = \"192.0.2.1:5061\"\n"),
		"short interval":      with("", "[cloud]\ninterval = \"500ms\"\n"),
		"same port, other IP": with(`listen = "10.0.0.5:5062"`, "listen = \"10.0.0.6:5061\"\n"),
	} {
		if _, err := Parse(name, []byte(file)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	c, err := Parse("x", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	c.Resolve("/boot/firmware")
	for got, want := range map[string]string{
		c.Phones.Certificate: "/boot/firmware/p.pem", c.Trunk.Roots: "/boot/firmware/r.pem",
		c.Site.File: "/boot/firmware/site.json", c.DataDir: "/var/lib/holdfast", c.Cloud.Roots: "", c.Portal.TokenFile: "",
	} {
		if got != filepath.FromSlash(want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzParse: nothing makes it panic; what is refused says where (a line of the file) and why; what is accepted keeps
// the promises that callers rely on.
func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(Example()))
	f.Add([]byte("[cloud]\nzone = [{name = 1}, {}]\n[[a.b]]\n[a.b.c]\nx = {y = [1, {z = 2}]}"))
	f.Add([]byte("phones = 3\n\"\" = 1\n'a#0.b' = 2\n[log.level.deep]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			lines := strings.Count(string(data), "\n") + 1
			for _, e := range list {
				if e.Line < 0 || e.Line > lines || e.Problem == "" {
					t.Fatalf("%#v in %d lines", e, lines)
				}
			}
			return
		}
		if !c.Phones.Listen.Addr().Is4() || !c.Trunk.Listen.Addr().Is4() || !c.Phones.MediaAddress.Is4() ||
			c.Media.PortMin%2 != 0 || c.Media.PortMin >= c.Media.PortMax || len(c.Cloud.Zones) < 1 || len(c.Cloud.Zones) > 4 ||
			(c.Portal.URL == "" && c.Site.File == "") || c.Cloud.Interval <= 0 || c.Cloud.Timeout <= 0 || c.Cloud.Missed < 1 {
			t.Fatalf("accepted %+v", c)
		}
	})
}
