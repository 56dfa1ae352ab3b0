package config

import "slices"

// What the box shows of itself to those who watch it.

// Trace is the memory for SIP messages.
type Trace struct {
	MemoryMiB int // default 4; 0: nothing is kept
}

// trace reads what is kept of SIP messages.
func (r *reader) trace() Trace {
	return Trace{MemoryMiB: r.integer("trace.memory_mib", 4, 0, 256)}
}

// Report says what becomes of the reports of outages and drills.
type Report struct {
	Keep       int    // reports on the card, default 50
	URL        string // where they are sent; default: the webhook's; "" for nowhere
	SecretFile string // as in Webhook
	Roots      string
}

// report reads what becomes of reports. Without an address of their own they go where alerts go.
func (r *reader) report(w Webhook) Report {
	p := Report{
		Keep:       r.integer("report.keep", 50, 1, 1000),
		URL:        r.https("report.url", "https://alerts.example.com/reports"),
		SecretFile: r.text("report.secret_file", ""),
		Roots:      r.text("report.roots", ""),
	}
	if p.URL == "" && p.SecretFile == "" && p.Roots == "" {
		p.URL, p.SecretFile, p.Roots = w.URL, w.SecretFile, w.Roots
	}
	return p
}

// checkReport wants a secret with an address, and an address with a secret.
func (r *reader) checkReport(p Report) {
	if p.URL != "" {
		if p.SecretFile == "" && r.has("report.url") {
			r.fail("report.secret_file", "is missing", "name a file with a secret of 16 bytes or more: who receives reports must know that they are the box's")
		}
		return
	}
	for _, key := range []string{"secret_file", "roots"} {
		if r.has("report." + key) {
			r.fail("report."+key, "is set, but report.url is not", "write where reports go, or remove the line")
		}
	}
}

// Homer is a server that collects SIP by HEP3. Secrets are overwritten before.
type Homer struct {
	Address   string // host:port; "" for none
	Transport string // udp, tcp or tls; default udp
	CaptureID int    // this box's number there, default 2001
	TLSName   string // default the host of Address
	Roots     string // PEM file; "" means the system's
}

// homer reads where SIP goes besides.
func (r *reader) homer() Homer {
	h := Homer{
		Transport: r.choice("homer.transport", "udp", "udp", "tcp", "tls"),
		CaptureID: r.integer("homer.capture_id", 2001, 1, 1<<30),
		Roots:     r.text("homer.roots", ""),
	}
	host := ""
	h.Address, host = r.optionalHostPort("homer.address", "homer.example.com:9060")
	h.TLSName = r.text("homer.tls_name", host)
	return h
}

// Syslog is a server that gets the box's log over TLS (RFC 5424, RFC 5425).
type Syslog struct {
	Address     string // host:port; "" for none
	TLSName     string // default the host of Address
	Roots       string // PEM file; "" means the system's
	Certificate string // of the box, where the server asks for one; "" for none
	Key         string
	Facility    string // default local0
}

// facilities of syslog that a program may use, in the order of their numbers from 16 on (RFC 5424 §6.2.1); daemon is 3.
var facilities = []string{"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// syslog reads where the log goes besides.
func (r *reader) syslog() Syslog {
	s := Syslog{
		Roots:       r.text("syslog.roots", ""),
		Certificate: r.text("syslog.certificate", ""),
		Key:         r.text("syslog.key", ""),
		Facility:    r.choice("syslog.facility", "local0", append([]string{"daemon"}, facilities...)...),
	}
	host := ""
	s.Address, host = r.optionalHostPort("syslog.address", "syslog.example.com:6514")
	s.TLSName = r.text("syslog.tls_name", host)
	return s
}

// FacilityCode is the facility's number.
func (s Syslog) FacilityCode() int {
	if n := slices.Index(facilities, s.Facility); n >= 0 {
		return 16 + n
	}
	return 3
}

// optionalHostPort is hostPort for what may be left out.
func (r *reader) optionalHostPort(key, example string) (whole, host string) {
	if _, ok := r.value(key); !ok {
		return "", ""
	}
	return r.hostPort(key, example)
}

// checkWatchers wants no settings for watchers that are not there.
func (r *reader) checkWatchers(c *Config) {
	for section, there := range map[string]bool{"homer": c.Homer.Address != "", "syslog": c.Syslog.Address != ""} {
		if r.has(section) && !there {
			r.fail(section+".address", "is missing", "write a host and port, or remove the section")
		}
	}
	if (c.Syslog.Certificate == "") != (c.Syslog.Key == "") {
		r.fail("syslog.key", "and syslog.certificate belong together", "write both or none")
	}
	if c.Homer.Transport != "tls" && r.has("homer.roots") {
		r.fail("homer.roots", "has no use with transport "+c.Homer.Transport, `write transport = "tls", or remove the line`)
	}
}
