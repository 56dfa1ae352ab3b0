// Package site is the site document: who works in this branch, under which numbers, with which devices, over which
// trunks. It is what the portal prepares while the cloud is up and what the box serves from when the cloud is gone.
//
// A Document is the JSON as written; a Site is the validated, indexed, immutable form that everything else reads.
// The package is pure: no I/O, no goroutine, no clock. Fetching, signatures and storage are firmware/provision's job.
package site

// FormatVersion is the value of Document.Version that this package reads.
const FormatVersion = 1

// Document is the site document as it stands in JSON. Field names are the JSON names in camel case.
type Document struct {
	Version      int       `json:"version"`                // FormatVersion
	Serial       uint64    `json:"serial"`                 // monotonic; a lower one is refused by provision unless forced
	KeyRotation  string    `json:"key_rotation,omitempty"` // base64 ed25519 public key that signs the next documents
	Site         Info      `json:"site"`
	Registration string    `json:"registration,omitempty"` // "resilience" (default) or "always"
	DialPlan     DialPlan  `json:"dial_plan"`
	Emergency    Emergency `json:"emergency"`
	Users        []User    `json:"users"`
	Zones        []Zone    `json:"zones,omitempty"`
	Devices      []Device  `json:"devices,omitempty"`
	Trunks       []Trunk   `json:"trunks"`
	Options      Options   `json:"options,omitempty"`
}

// Info names the site.
type Info struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Domain     string `json:"domain"`      // SIP domain of the users and Digest realm of the HA1 values
	Timezone   string `json:"timezone"`    // IANA name
	MainNumber string `json:"main_number"` // E.164; caller ID of a user without a BYOC number
}

// DialPlan turns what people dial into E.164.
type DialPlan struct {
	Country             string `json:"country"`                        // ISO 3166-1 alpha-2
	AreaCode            string `json:"area_code,omitempty"`            // put before a local number
	ExternalPrefix      string `json:"external_prefix,omitempty"`      // "9"
	NationalPrefix      string `json:"national_prefix,omitempty"`      // trunk prefix: "1" in the US, "0" in Germany
	InternationalPrefix string `json:"international_prefix,omitempty"` // "011", "00"
	SiteCode            string `json:"site_code,omitempty"`            // long extension = site code + extension
}

// User is a person or a common-area phone with numbers. All number forms reach the user's phones.
type User struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Extension     string   `json:"extension"`                // short form, digits
	LongExtension string   `json:"long_extension,omitempty"` // default: site code + extension
	CloudNumbers  []string `json:"cloud_numbers,omitempty"`  // E.164
	BYOCNumbers   []string `json:"byoc_numbers,omitempty"`   // E.164; the first is the outbound caller ID
	Auth          Auth     `json:"auth"`
	Zone          string   `json:"zone,omitempty"` // Zone.ID
	ELINs         []ELIN   `json:"elins,omitempty"`
	Civic         *Civic   `json:"civic,omitempty"` // the user's place in the zone: room, seat
	DND           bool     `json:"dnd,omitempty"`
	Forward       Forward  `json:"forward,omitempty"`
	NoAnswerAfter int      `json:"no_answer_after_s,omitempty"` // seconds of ringing, default Options.NoAnswerAfter
}

// Auth holds what a phone of the user authenticates with (RFC 8760). Only HA1 = H(username:realm:password) is kept.
type Auth struct {
	Username string            `json:"username"`
	HA1      map[string]string `json:"ha1"` // "SHA-256" and/or "MD5" → lower-case hex
}

// Forward says where a call goes that the user does not take: an extension, an E.164 number, or "".
type Forward struct {
	Always      string `json:"always,omitempty"`
	Busy        string `json:"busy,omitempty"`
	NoAnswer    string `json:"no_answer,omitempty"`
	Unreachable string `json:"unreachable,omitempty"`
}

// Zone is a place with an address of its own: a building, a floor.
type Zone struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	ELINs []ELIN `json:"elins,omitempty"`
	Civic *Civic `json:"civic,omitempty"` // building, floor, or an address of its own
}

// ELIN is an emergency location identification number on one trunk.
type ELIN struct {
	Trunk     string `json:"trunk"`               // Trunk.ID
	Number    string `json:"number"`              // E.164, never a user's number
	Address   string `json:"address,omitempty"`   // civic address registered with the carrier
	Confirmed string `json:"confirmed,omitempty"` // date (YYYY-MM-DD) of the carrier's last confirmation
	Civic     *Civic `json:"civic,omitempty"`     // the address in fields, if it differs from that of its place
}

// Emergency holds the site's emergency numbers besides those of its country, and the site-wide ELINs.
type Emergency struct {
	Numbers       []string `json:"numbers,omitempty"`
	TestNumbers   []string `json:"test_numbers,omitempty"`
	ELINs         []ELIN   `json:"elins,omitempty"`
	Security      []string `json:"security_desk,omitempty"`          // extensions, then an external number at the end
	Notify        []string `json:"notify,omitempty"`                 // users whose phones ring with the notice; default: those of the security desk
	Civic         *Civic   `json:"civic,omitempty"`                  // the site's address, in fields
	ConfirmDays   int      `json:"confirm_within_days,omitempty"`    // addresses not confirmed for longer are a warning; default 365
	RefuseUnknown bool     `json:"refuse_unknown_devices,omitempty"` // no emergency calls by phones that have not authenticated
	NoCloudBack   bool     `json:"no_callback_by_cloud,omitempty"`   // a callback does not try the caller's cloud number where the phone is not here
}

// Device names a phone and its place; an analogue gateway may be allowed another transport from one address.
type Device struct {
	ID        string `json:"id"`             // +sip.instance URN, MAC, or a name for a gateway
	User      string `json:"user,omitempty"` // User.ID
	Zone      string `json:"zone,omitempty"` // Zone.ID
	ELINs     []ELIN `json:"elins,omitempty"`
	Transport string `json:"transport,omitempty"` // "tls" (default); "udp" or "tcp" of a gateway that knows no TLS: from Address alone, with Digest as all
	Address   string `json:"address,omitempty"`   // IPv4 of a udp/tcp device, required there
	PlainRTP  bool   `json:"plain_rtp,omitempty"` // no SRTP for this device (needs Address)
	Civic     *Civic `json:"civic,omitempty"`     // the device's place in the zone: room, seat
}

// Trunk is one on-site SBC.
type Trunk struct {
	ID              string `json:"id"`
	Address         string `json:"address"`                      // IPv4 or host, with port: "10.0.0.60:5061"
	TLSName         string `json:"tls_name,omitempty"`           // SAN (RFC 5922) that its certificate must carry
	Fingerprint     string `json:"fingerprint_sha256,omitempty"` // instead of, or besides, TLSName: hex of the leaf
	MainNumber      string `json:"main_number,omitempty"`        // default Info.MainNumber
	Domain          string `json:"domain,omitempty"`             // host part towards the SBC, default the host of Address
	MaxCalls        int    `json:"max_calls,omitempty"`          // 0: no limit
	OptionsInterval int    `json:"options_interval_s,omitempty"` // seconds, default 10
	EmergencyForm   string `json:"emergency_form,omitempty"`     // "as-dialled" (default), "urn", or a number
	Location        bool   `json:"location,omitempty"`           // takes a PIDF-LO with an emergency call (RFC 6442)
}

// Options are site-wide switches.
type Options struct {
	NoAnswerAfter int      `json:"no_answer_after_s,omitempty"` // seconds of ringing, default 30
	MaxExpires    int      `json:"max_expires_s,omitempty"`     // registration expiry cap, default 600
	MinExpires    int      `json:"min_expires_s,omitempty"`     // 423 below it, default 60
	MaxContacts   int      `json:"max_contacts,omitempty"`      // per user, default 10
	AllowedHosts  []string `json:"allowed_domains,omitempty"`   // further domains that mean this site (old cloud names)
	Features      Features `json:"features,omitempty"`
}

// Features are the codes that people dial for what their phone has no key for: "*" or "#" and digits, or FeatureOff.
type Features struct {
	Pickup      string `json:"pickup,omitempty"`         // followed by an extension: take the call that rings there; default "*8"
	Park        string `json:"park,omitempty"`           // followed by a place's digits: a call is transferred there, and fetched by dialling it; default "*5"
	ParkTimeout int    `json:"park_timeout_s,omitempty"` // seconds before a parked call comes back to who parked it, default 120
}
