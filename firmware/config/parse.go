package config

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// DefaultDataDir is where the image has its data partition.
const DefaultDataDir = "/var/lib/holdfast"

// MaxSize is the largest boot file that Parse reads, in bytes.
const MaxSize = 64 << 10

// maxFaults bounds what is listed about a file that is something else altogether.
const maxFaults = 100

// Parse reads a boot file. name is what errors call it. The error is of type Errors and holds all faults at once.
func Parse(name string, data []byte) (*Config, error) {
	if len(data) > MaxSize {
		return nil, Errors{{File: name, Problem: fmt.Sprintf("has %d bytes", len(data)), Fix: "a boot file is a page or two of text; is this the right file?"}}
	}
	r, err := newReader(name, data)
	if err != nil {
		return nil, err
	}
	c := r.config()
	r.unknown()
	if len(r.errors) == 0 {
		r.check(c) // comparing values makes sense only once each of them is right
	}
	if len(r.errors) > 0 {
		slices.SortStableFunc(r.errors, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
		if len(r.errors) > maxFaults {
			r.errors = append(r.errors[:maxFaults], Error{File: name, Problem: "has more faults than are listed", Fix: "is this the right file?"})
		}
		return nil, r.errors
	}
	return c, nil
}

// config reads every key, with the default of each.
func (r *reader) config() *Config {
	c := &Config{
		Name:    r.text("name", "holdfast"),
		DataDir: r.text("data_dir", DefaultDataDir),
		RunDir:  r.text("run_dir", "/run/holdfast"),
		Log: Log{
			Level:  r.choice("log.level", "info", "debug", "info", "warn", "error"),
			Format: r.choice("log.format", "text", "text", "json"),
		},
		Phones: Phones{
			Listen:         r.addrPort("phones.listen", "10.0.0.5:5061"),
			Gateways:       r.addrPort("phones.gateways", "10.0.0.5:5060"),
			Certificate:    r.text("phones.certificate", ""),
			Key:            r.text("phones.key", ""),
			MaxConnections: r.integer("phones.max_connections", 12000, 10, 100000),
			MediaAddress:   r.addr("phones.media_address", "10.0.0.5"),
		},
		Trunk: TrunkSide{
			Listen:       r.addrPort("trunk.listen", "10.0.1.5:5061"),
			Certificate:  r.text("trunk.certificate", ""),
			Key:          r.text("trunk.key", ""),
			Roots:        r.text("trunk.roots", ""),
			MediaAddress: r.addr("trunk.media_address", "10.0.1.5"),
		},
		Media: Media{
			PortMin:        uint16(r.integer("media.port_min", 20000, 1024, 65534)),
			PortMax:        uint16(r.integer("media.port_max", 29999, 1025, 65535)),
			Drain:          r.duration("media.drain", 10*time.Second, 0, 10*time.Minute),
			Silence:        r.duration("media.silence", 30*time.Second, 5*time.Second, time.Hour),
			EmergencyPorts: r.integer("media.emergency_ports", 16, 2, 1024),
			DSCPMedia:      r.integer("media.dscp_media", 46, 0, 63),
			DSCPSIP:        r.integer("media.dscp_sip", 24, 0, 63),
			SharedKeys:     r.flag("media.shared_keys"),
		},
		Cloud: r.cloud(),
		Portal: Portal{
			URL:       r.https("portal.url", "https://portal.example.com/sites/1/document"),
			TokenFile: r.text("portal.token_file", ""),
			PublicKey: r.publicKey("portal.public_key"),
			Roots:     r.text("portal.roots", ""),
			Interval:  r.duration("portal.interval", 10*time.Hour, time.Minute, 7*24*time.Hour),
		},
		Site: SiteFile{
			File:          r.text("site.file", ""),
			AllowUnsigned: r.flag("site.allow_unsigned"),
		},
		Webhook: Webhook{
			URL:        r.https("webhook.url", "https://alerts.example.com/holdfast"),
			SecretFile: r.text("webhook.secret_file", ""),
			Roots:      r.text("webhook.roots", ""),
		},
		Trace:  r.trace(),
		Homer:  r.homer(),
		Syslog: r.syslog(),
		Board: Board{
			Panel:    r.choice("board.panel", "auto", "auto", "none", "sim", "gpio"),
			Watchdog: r.text("board.watchdog", "auto"),
		},
		Update:  Update{PublicKey: r.publicKey("update.public_key")},
		Network: r.network(),
		DNS:     r.addrPort("dns.listen", "10.0.0.5:53"),
		Time:    Time{Servers: r.hosts("time.servers", "ntp.example.com")},
	}
	c.Report = r.report(c.Webhook)
	c.Admin = r.admin(c.Phones.Listen)
	r.pair("phones", c.DataDir, &c.Phones.Certificate, &c.Phones.Key)
	r.pair("trunk", c.DataDir, &c.Trunk.Certificate, &c.Trunk.Key)
	if c.Trunk.Roots == "" {
		c.Trunk.Roots = filepath.Join(c.DataDir, "certs", "sbc-roots.pem")
	}
	for _, key := range []string{"phones.listen", "trunk.listen"} {
		if _, ok := r.value(key); !ok {
			r.fail(key, "is missing", `write an IPv4 address and port, such as "10.0.0.5:5061"`)
		}
	}
	if v, _ := r.value("metrics.listen"); v != "off" {
		c.Metrics = r.addrPort("metrics.listen", defaultMetrics.String())
		if v == nil {
			c.Metrics = defaultMetrics
		}
	}
	if _, given := r.value("phones.gateways"); !given && c.Phones.Listen.IsValid() {
		c.Phones.Gateways = freePort(c)
	}
	if !c.Phones.MediaAddress.IsValid() {
		c.Phones.MediaAddress = c.Phones.Listen.Addr()
	}
	if !c.Trunk.MediaAddress.IsValid() {
		c.Trunk.MediaAddress = c.Trunk.Listen.Addr()
	}
	return c
}

// pair puts a certificate and its key where the box may write them, unless the file says where they are.
func (r *reader) pair(section, dataDir string, certificate, key *string) {
	_, hasCertificate := r.value(section + ".certificate")
	_, hasKey := r.value(section + ".key")
	switch {
	case !hasCertificate && !hasKey:
		*certificate, *key = filepath.Join(dataDir, "certs", section+".pem"), filepath.Join(dataDir, "certs", section+".key")
	case !hasCertificate:
		r.fail(section+".certificate", "is missing, but there is a "+section+".key", "name a PEM file with the certificate and its chain, or leave both out")
	case !hasKey:
		r.fail(section+".key", "is missing, but there is a "+section+".certificate", "name a PEM file with the certificate's key, or leave both out")
	}
}

// cloud reads the probes and their zones.
func (r *reader) cloud() Cloud {
	interval := r.duration("cloud.interval", 2*time.Second, 200*time.Millisecond, time.Minute)
	c := Cloud{
		HTTPS:    r.https("cloud.https", "https://phones.example.com/"),
		Interval: interval,
		Timeout:  r.duration("cloud.timeout", min(2*time.Second, interval), 100*time.Millisecond, time.Minute),
		Missed:   r.integer("cloud.missed", 3, 1, 20),
		HoldOff:  r.duration("cloud.hold_off", time.Minute, 0, time.Hour),
		Roots:    r.text("cloud.roots", ""),
	}
	n := r.elements("cloud.zone")
	if n < 1 || n > 4 {
		r.fail("cloud.zone", fmt.Sprintf("there are %d zones", n), "write one to four [[cloud.zone]] sections, the primary first")
	}
	for i := range max(n, 1) { // at least once, so that the keys are known even without a zone
		zone := element("cloud.zone", i)
		if n == 0 {
			for _, key := range []string{"name", "address", "tls_name"} {
				r.asked[zone+"."+key] = true
			}
			break
		}
		address, host := r.hostPort(zone+".address", "zone1.phones.example.com:5061")
		c.Zones = append(c.Zones, Zone{
			Name:    r.required(zone+".name", `give the zone a name, such as "east"`),
			Address: address,
			TLSName: r.text(zone+".tls_name", host),
		})
	}
	return c
}

// publicKey reads a base64 ed25519 key.
func (r *reader) publicKey(key string) string {
	s := r.text(key, "")
	if s == "" {
		return ""
	}
	if raw, err := base64.StdEncoding.DecodeString(s); err != nil || len(raw) != ed25519.PublicKeySize {
		r.fail(key, "is not an ed25519 public key", "write its 32 bytes in base64 (44 characters)")
		return ""
	}
	return s
}
