package site

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"holdfast/sip/number"
)

// check is one validation under way: the site as indexed so far, what is wrong and what is doubtful.
type check struct {
	*Site
	errs     []Error
	warnings []Error
	forms    map[string]string // number in any form → path of its first use
	civicOf  map[string]*Civic // ELIN → its address in fields
}

// validate checks a document as a whole and indexes it. The order matters only where a check looks things up: trunks,
// zones and users come before what refers to them.
func validate(d *Document) (*Site, []Error, []Error) {
	c := &check{Site: newSite(d), forms: make(map[string]string, 4*len(d.Users)), civicOf: make(map[string]*Civic)}
	c.header()
	c.dialPlan()
	c.emergencyNumbers()
	c.trunkList()
	c.zoneList()
	c.users()
	c.devices()
	c.places()
	c.civics()
	c.forwards()
	c.securityDesk()
	c.noticeList()
	c.options()
	return c.Site, c.errs, c.warnings
}

func (c *check) wrong(path, problem, fix string) {
	c.errs = note(c.errs, Error{Path: path, Problem: problem, Fix: fix})
}

func (c *check) doubtful(path, problem, fix string) {
	c.warnings = note(c.warnings, Error{Path: path, Problem: problem, Fix: fix})
}

func at(list string, i int) string { return "/" + list + "/" + strconv.Itoa(i) }

func (c *check) header() {
	d := c.doc
	if d.Version != FormatVersion {
		c.wrong("/version", fmt.Sprintf("format version %d is not known", d.Version), fmt.Sprintf("use %d", FormatVersion))
	}
	if d.Serial == 0 {
		c.wrong("/serial", "serial is missing", "start at 1 and raise it with every change")
	}
	if d.KeyRotation != "" {
		if key, err := base64.StdEncoding.DecodeString(d.KeyRotation); err != nil || len(key) != 32 {
			c.wrong("/key_rotation", "is not an ed25519 public key", "give its 32 bytes in base64")
		}
	}
	c.filled("/site/id", d.Site.ID)
	c.filled("/site/name", d.Site.Name)
	c.host("/site/domain", d.Site.Domain)
	c.e164("/site/main_number", d.Site.MainNumber)
	c.oneOf("/registration", d.Registration, RegisterInResilience, RegisterAlways)
	// LoadLocation takes "" for UTC and "Local" for wherever the box is: neither says where the site is.
	location, err := time.LoadLocation(d.Site.Timezone)
	if err != nil || d.Site.Timezone == "" || d.Site.Timezone == "Local" {
		c.wrong("/site/timezone", fmt.Sprintf("%q is no time zone", d.Site.Timezone), `use an IANA name, such as "America/Chicago"`)
	}
	c.location = location
}

func (c *check) dialPlan() {
	p := c.doc.DialPlan
	plan, err := number.New(number.Config{
		Country: p.Country, AreaCode: p.AreaCode, ExternalPrefix: p.ExternalPrefix,
		NationalPrefix: p.NationalPrefix, InternationalPrefix: p.InternationalPrefix,
	})
	c.plan = plan
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			if e, ok := errors.AsType[*number.ConfigError](err); ok {
				c.wrong("/dial_plan/"+e.Field, e.Problem, e.Fix)
			}
		}
	}
	if p.SiteCode != "" && (!number.IsDigits(p.SiteCode) || len(p.SiteCode) > 8) {
		c.wrong("/dial_plan/site_code", fmt.Sprintf("%q is not 1 to 8 digits", p.SiteCode), "give only the digits, or leave it out")
	}
}

func (c *check) emergencyNumbers() {
	e := c.doc.Emergency
	if len(c.Site.emergency) == 0 && c.plan != nil {
		c.wrong("/emergency/numbers", fmt.Sprintf("the emergency numbers of country %q are not known here", c.doc.DialPlan.Country), "list them")
	}
	c.between("/emergency/confirm_within_days", e.ConfirmDays, 1, 3650)
	c.strangers()
	seen := make(map[string]bool)
	for _, n := range c.Site.emergency {
		seen[n] = true
	}
	for i, n := range e.Numbers {
		c.shortNumber(at("emergency/numbers", i), n)
	}
	for i, n := range e.TestNumbers {
		path := at("emergency/test_numbers", i)
		c.shortNumber(path, n)
		if seen[n] {
			c.wrong(path, fmt.Sprintf("%q is a real emergency number", n), "remove it here: a test must never reach a PSAP")
		}
	}
}

// strangers: whoever stands before a phone of the branch may need help, whether or not the phone has a password.
func (c *check) strangers() {
	if c.doc.Emergency.RefuseUnknown {
		c.doubtful("/emergency/refuse_unknown_devices", "a phone on this network that has not authenticated cannot call for help",
			"leave it out: such calls are limited in number and show the site's ELIN")
	}
}

func (c *check) shortNumber(path, n string) {
	if !number.IsDigits(n) || len(n) < 2 || len(n) > 8 {
		c.wrong(path, fmt.Sprintf("%q is not 2 to 8 digits", n), "give the number as people dial it, without the external prefix")
	}
}

func (c *check) options() {
	o := c.doc.Options
	c.between("/options/no_answer_after_s", o.NoAnswerAfter, 1, 600)
	c.between("/options/min_expires_s", o.MinExpires, 1, 3600)
	c.between("/options/max_expires_s", o.MaxExpires, 1, 86400)
	if o.MinExpires > o.MaxExpires {
		c.wrong("/options/min_expires_s", "is more than max_expires_s", "lower it: no phone could register")
	}
	c.between("/options/max_contacts", o.MaxContacts, 1, 100)
	for i, host := range o.AllowedHosts {
		c.host(at("options/allowed_domains", i), host)
	}
	c.features()
}

func (c *check) filled(path, s string) {
	if strings.TrimSpace(s) == "" {
		c.wrong(path, "is missing or empty", "give it a value")
	}
}

func (c *check) between(path string, n, low, high int) {
	if n < low || n > high {
		c.wrong(path, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use %d to %d", low, high))
	}
}

func (c *check) oneOf(path, s string, allowed ...string) {
	for _, a := range allowed {
		if s == a {
			return
		}
	}
	c.wrong(path, fmt.Sprintf("%q is not known", s), "use "+strings.Join(allowed, " or "))
}

func (c *check) e164(path, n string) bool {
	if number.IsE164(n) {
		return true
	}
	c.wrong(path, fmt.Sprintf("%q is not E.164", n), `write "+", country code and number, digits only, such as "+12175550100"`)
	return false
}

// host checks a domain name or an IPv4 address, without port.
func (c *check) host(path, host string) {
	switch {
	case strings.Contains(host, ":"):
		c.wrong(path, fmt.Sprintf("%q has a port or is IPv6", host), "give a domain name or an IPv4 address only; IPv6 is not supported")
	case !isHost(host):
		c.wrong(path, fmt.Sprintf("%q is no domain name", host), `write it as in "pbx.example.com"`)
	}
}

// isHost reports whether s is an IPv4 address or a host name (RFC 1123 §2.1).
func isHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Is4()
	}
	if s = strings.TrimSuffix(s, "."); len(s) == 0 || len(s) > 253 {
		return false
	}
	letter := false
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			switch {
			case c|0x20 >= 'a' && c|0x20 <= 'z':
				letter = true
			case c >= '0' && c <= '9', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	return letter // digits and dots alone are a mistyped address
}
