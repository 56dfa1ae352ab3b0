// Package location writes where an emergency caller is, for trunks that take it: a PIDF-LO document (RFC 4119, RFC 5139,
// RFC 5491) and the multipart body that carries it beside the SDP (RFC 6442). It also takes such a body apart, since
// phones send them too. The package is pure. What the address is, is sip/site's to say; the Geolocation header and the
// message are sip/b2bua's to write.
package location

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"holdfast/sip/site"
)

// The headers that refer to a location in the body (RFC 6442 §4.1, §4.2): routing by it is allowed.
const (
	Header        = "Geolocation"
	RoutingHeader = "Geolocation-Routing"
	Routing       = "yes"
)

// Reference is the Geolocation header's value for the part with a Content-ID (RFC 2392).
func Reference(contentID string) string { return "<cid:" + url.PathEscape(contentID) + ">" }

// References are the locationValues of a Geolocation header, as they stand there: "<cid:…>;inserted-by=…".
func References(value string) (refs []string) {
	from, inside, quoted := 0, false, false
	add := func(to int) {
		if ref := strings.TrimSpace(value[from:to]); strings.HasPrefix(ref, "<") && strings.Contains(ref, ">") {
			refs = append(refs, ref)
		}
	}
	for i, b := range []byte(value) {
		switch {
		case b == '"' && !inside:
			quoted = !quoted
		case quoted:
		case b == '<':
			inside = true
		case b == '>':
			inside = false
		case b == ',' && !inside:
			add(i)
			from = i + 1
		}
	}
	add(len(value))
	return refs
}

// ContentID is what a reference points to in the same body (RFC 2392); false for one that points elsewhere.
func ContentID(ref string) (id string, inBody bool) {
	uri, _, _ := strings.Cut(strings.TrimPrefix(ref, "<"), ">")
	if len(uri) < 4 || !strings.EqualFold(uri[:4], "cid:") {
		return "", false
	}
	id, err := url.PathUnescape(uri[4:])
	return id, err == nil
}

// Location is what a document says.
type Location struct {
	Entity string     // who is there, a URI: "pres:+12175559204@branch.example.com"
	Device string     // the phone, a URI: its instance URN; default Entity
	Civic  site.Civic // a complete address
	At     time.Time  // when this was known to be so
	Keep   time.Duration
}

// keep is how long a recipient may keep the location unless told otherwise (RFC 4119 §2.2.2 has a day as the default).
const keep = 24 * time.Hour

// PIDF writes the document. It is an error if the address has no country or city, or Entity or Device is no URI.
func PIDF(l Location) ([]byte, error) {
	if l.Civic.Country == "" || l.Civic.City == "" {
		return nil, errors.New("location: the address has no country or no city")
	}
	if l.Device == "" {
		l.Device = l.Entity
	}
	for _, uri := range []string{l.Entity, l.Device} {
		if u, err := url.Parse(uri); err != nil || u.Scheme == "" || strings.ContainsAny(uri, " \t\r\n<>\"") {
			return nil, fmt.Errorf("location: %q is no URI", uri)
		}
	}
	if l.Keep <= 0 {
		l.Keep = keep
	}
	var b strings.Builder
	write := func(before, text, after string) {
		b.WriteString(before)
		xml.EscapeText(&b, []byte(text)) // a Builder takes everything
		b.WriteString(after)
	}
	// RFC 5491 §3.4: the location of a phone stands in a device. Whoever sends help may pass the location on: nobody is
	// served by a rule against that.
	write(xml.Header+`<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"`+
		` xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:gbp="urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy"`+
		` xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr" entity="`, l.Entity, `">`+"\n")
	b.WriteString("<dm:device id=\"caller\">\n<gp:geopriv>\n<gp:location-info>\n<ca:civicAddress>\n")
	for _, f := range l.Civic.Fields() {
		write("<ca:"+f.Type+">", f.Value, "</ca:"+f.Type+">\n")
	}
	b.WriteString("</ca:civicAddress>\n</gp:location-info>\n<gp:usage-rules>\n<gbp:retransmission-allowed>true</gbp:retransmission-allowed>\n")
	write("<gbp:retention-expiry>", l.At.Add(l.Keep).UTC().Format(time.RFC3339), "</gbp:retention-expiry>\n")
	b.WriteString("</gp:usage-rules>\n<gp:method>Manual</gp:method>\n</gp:geopriv>\n")
	write("<dm:deviceID>", l.Device, "</dm:deviceID>\n")
	write("<dm:timestamp>", l.At.UTC().Format(time.RFC3339), "</dm:timestamp>\n</dm:device>\n</presence>\n")
	return []byte(b.String()), nil
}
