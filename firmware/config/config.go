// Package config is the box's own settings: the boot file holdfast.toml on the SD card. Parse is pure; every error
// names the file, the line and the key and says what would be right. What people and numbers there are is not
// here but in the site document (sip/site). Reading files, certificates and the portal's token is the caller's job.
package config

import (
	"net/netip"
	"time"
)

// Config is the validated boot file; defaults are filled in.
type Config struct {
	Name    string // the box's name in logs, records and the portal
	DataDir string // card: last good site document, outbox, records (default /var/lib/holdfast)
	RunDir  string // tmpfs: control socket, snapshot (default /run/holdfast)
	Log     Log
	Phones  Phones
	Trunk   TrunkSide
	Media   Media
	Cloud   Cloud
	Portal  Portal
	Site    SiteFile
	Webhook Webhook
	Metrics netip.AddrPort // Prometheus, loopback only (default 127.0.0.1:9464; zero: off)
	Network Network
	DNS     netip.AddrPort // where the box answers for its own name by UDP; zero: nowhere
	Trace   Trace
	Report  Report
	Homer   Homer
	Syslog  Syslog
	Board   Board
	Update  Update
	Time    Time
	Admin   Admin
}

// Log says how much is written to standard error.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text or json
}

// Phones is the access side.
type Phones struct {
	Listen         netip.AddrPort // TLS; IPv4 only
	Certificate    string         // PEM file: leaf and chain
	Key            string         // PEM file
	Gateways       netip.AddrPort // UDP and TCP, for devices that the site document names (default: the address of Listen, port 5060)
	MaxConnections int            // default 12000
	MediaAddress   netip.Addr     // default: the address of Listen
}

// TrunkSide is the side of the SBC: mutual TLS in both directions.
type TrunkSide struct {
	Listen       netip.AddrPort
	Certificate  string
	Key          string
	Roots        string // PEM file with the authorities that SBCs' certificates come from
	MediaAddress netip.Addr
}

// Media is the anchor's port range and marking.
type Media struct {
	PortMin, PortMax uint16        // even start; default 20000–29999
	Drain            time.Duration // pause before a port is used again, default 10s
	Silence          time.Duration // neither RTP nor RTCP for so long ends an ordinary call, default 30s
	EmergencyPorts   int           // port pairs reserved for emergency calls, default 16
	DSCPMedia        int           // default 46 (EF)
	DSCPSIP          int           // default 24 (CS3)
	SharedKeys       bool          // two phones may have each other's SRTP keys; default false
}

// Cloud says how reachability is probed.
type Cloud struct {
	Zones    []Zone        // 1 to 4
	HTTPS    string        // evidence only; "" for none
	Interval time.Duration // default 2s
	Timeout  time.Duration // default 2s, per probe; never longer than Interval
	Missed   int           // default 3
	HoldOff  time.Duration // stable for so long before "recovering" ends, default 60s
	Roots    string        // PEM file; "" means the system's
}

// Zone is one zone of the cloud phone system.
type Zone struct {
	Name    string
	Address string // host:port, SIP over TLS
	TLSName string // name in its certificate, default the host of Address
}

// Portal is where the site document comes from by HTTPS.
type Portal struct {
	URL       string        // of the site document; "" for none
	TokenFile string        // holds the bearer token
	PublicKey string        // base64 ed25519 key that signs the document
	Roots     string        // PEM file; "" means the system's
	Interval  time.Duration // default 10h
}

// SiteFile is a site document on the card.
type SiteFile struct {
	File          string // "" for none
	AllowUnsigned bool   // a local file needs no signature only if this says so
}

// Webhook is whom the box tells of emergency calls by HTTPS, besides the local notice.
type Webhook struct {
	URL        string // "" for none
	SecretFile string // holds the secret that signs what is sent, 16 bytes or more
	Roots      string // PEM file; "" means the system's
}

// Network is the box's own addresses; applied by `holdfast netcfg`, not by the call path. Without an address the
// machine's are left alone, and only the fallback address is added.
type Network struct {
	Interface string // "": the first wired one
	Address   netip.Prefix
	Gateway   netip.Addr
	DNS       []netip.Addr
	VLAN      int // 802.1Q tag of Address; 0: none
	SBC       SBCNetwork
}

// SBCNetwork is a second interface, towards the SBC.
type SBCNetwork struct {
	Interface string // "": there is none
	Address   netip.Prefix
	Gateway   netip.Addr     // the way to Networks
	Networks  []netip.Prefix // what is reached through Gateway, besides the interface's own network
}

// Time says who is asked for the time. The gateway is asked too when none of them answers.
type Time struct {
	Servers []string // SNTP (RFC 5905): IPv4 addresses or host names
}

// Board is what of the hardware the box uses.
type Board struct {
	Panel    string // auto, none, sim, gpio
	Watchdog string // auto, off, or the path of a watchdog device
}

// Update is whose software the box takes.
type Update struct {
	PublicKey string // base64 ed25519 key that signs bundles; "" for the one that came with the image
}
