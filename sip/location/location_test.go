package location

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/sip/site"
)

var at = time.Date(2026, 11, 3, 14, 30, 0, 0, time.FixedZone("CST", -6*3600))

func room204() Location {
	return Location{
		Entity: "pres:+12175559204@branch.example.com",
		Device: "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		Civic: site.Civic{Country: "US", State: "IL", City: "Springfield", House: "100", StreetBefore: "N", Street: "Main", StreetType: "St",
			PostalCode: "62701", Name: `Fish & "Chips" <Ltd>`, Floor: "2", Room: "204"},
		At: at,
	}
}

// everything fills every field there is.
func everything() site.Civic {
	var c site.Civic
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetString("x é " + v.Type().Field(i).Name)
	}
	c.Country = "AT"
	return c
}

// validate checks a document against the schemas of the RFCs. It needs xmllint of Debian's libxml2-utils, which the
// continuous integration has: there its absence is a failure.
func validate(t *testing.T, doc []byte) error {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("xmllint is missing: install libxml2-utils")
		}
		t.Skip("xmllint is missing: install libxml2-utils to check against the schemas")
	}
	file := filepath.Join(t.TempDir(), "pidf.xml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmllint", "--noout", "--nonet", "--schema", "testdata/xsd/pidf-lo.xsd", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestPIDFFitsTheSchemas(t *testing.T) {
	all := room204()
	all.Civic = everything()
	least := Location{Entity: "sip:+12175559204@branch.example.com", Civic: site.Civic{Country: "US", City: "Springfield"}, At: at}
	for name, l := range map[string]Location{"room 204": room204(), "every field": all, "the least": least} {
		doc, err := PIDF(l)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, doc); err != nil {
			t.Errorf("%s: %v\n%s", name, err, doc)
		}
	}
}

// The schemas are worth something only if they refuse what is wrong.
func TestTheSchemasRefuse(t *testing.T) {
	doc, err := PIDF(room204())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown field":              {"<ca:FLR>2</ca:FLR>", "<ca:FLOOR>2</ca:FLOOR>"},
		"a field out of order":          {"<ca:country>US</ca:country>\n<ca:A1>IL</ca:A1>", "<ca:A1>IL</ca:A1><ca:country>US</ca:country>"},
		"a country of three letters":    {"US", "USA"},
		"no usage rules":                {"gp:usage-rules", "gp:rules"},
		"yes for true":                  {"<gbp:retransmission-allowed>true", "<gbp:retransmission-allowed>yes"},
		"a date that is none":           {"<gbp:retention-expiry>2026", "<gbp:retention-expiry>later"},
		"a device that is not known":    {"dm:deviceID", "dm:devID"},
		"no entity":                     {` entity="pres:+12175559204@branch.example.com"`, ""},
		"an element of no data model":   {"dm:device ", "dm:thing "},
		"a timestamp before the device": {"<dm:deviceID>", "<dm:timestamp>2026-11-03T20:30:00Z</dm:timestamp><dm:deviceID>"},
	} {
		bad := strings.ReplaceAll(string(doc), change[0], change[1])
		if name == "an element of no data model" {
			bad = strings.ReplaceAll(bad, "</dm:device>", "</dm:thing>")
			bad = strings.ReplaceAll(bad, "gp:geopriv>", "gp:geo>") // lax: unknown is ignored, what is in it is not
			bad = strings.Replace(bad, "<gp:location-info>", "<gp:geopriv>", 1)
		}
		if bad == string(doc) {
			t.Errorf("%s: nothing is changed", name)
		}
		if err := validate(t, []byte(bad)); err == nil {
			t.Errorf("%s fits:\n%s", name, bad)
		}
	}
}

// Without a validator at hand: what is read back is what was meant.
func TestPIDFSaysWhatItShould(t *testing.T) {
	l := room204()
	doc, err := PIDF(l)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		XMLName xml.Name `xml:"urn:ietf:params:xml:ns:pidf presence"`
		Entity  string   `xml:"entity,attr"`
		Device  struct {
			ID      string `xml:"id,attr"`
			Geopriv struct {
				Info struct {
					Civic struct {
						Fields []struct {
							XMLName xml.Name
							Value   string `xml:",chardata"`
						} `xml:",any"`
					} `xml:"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr civicAddress"`
				} `xml:"location-info"`
				Rules struct {
					Expiry string `xml:"urn:ietf:params:xml:ns:pidf:geopriv10:basicPolicy retention-expiry"`
				} `xml:"usage-rules"`
				Method string `xml:"method"`
			} `xml:"urn:ietf:params:xml:ns:pidf:geopriv10 geopriv"`
			DeviceID  string `xml:"deviceID"`
			Timestamp string `xml:"timestamp"`
		} `xml:"urn:ietf:params:xml:ns:pidf:data-model device"`
	}
	if err := xml.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	want := l.Civic.Fields()
	if len(got.Device.Geopriv.Info.Civic.Fields) != len(want) || len(want) != 11 {
		t.Fatalf("fields: %+v", got)
	}
	for i, f := range got.Device.Geopriv.Info.Civic.Fields {
		if f.XMLName.Local != want[i].Type || f.Value != want[i].Value {
			t.Errorf("%+v; want %+v", f, want[i])
		}
	}
	if got.Entity != l.Entity || got.Device.DeviceID != l.Device || got.Device.Timestamp != "2026-11-03T20:30:00Z" ||
		got.Device.Geopriv.Rules.Expiry != "2026-11-04T20:30:00Z" || got.Device.Geopriv.Method != "Manual" || got.Device.ID == "" {
		t.Errorf("%+v", got)
	}
}

func TestPIDFRefuses(t *testing.T) {
	for name, change := range map[string]func(*Location){
		"no country":             func(l *Location) { l.Civic.Country = "" },
		"no city":                func(l *Location) { l.Civic.City = "" },
		"no entity":              func(l *Location) { l.Entity = "" },
		"an entity with a blank": func(l *Location) { l.Entity = "pres:a b" },
		"an entity that closes":  func(l *Location) { l.Entity = `pres:a"><x` },
		"a device that is none":  func(l *Location) { l.Device = "phone 7" },
	} {
		l := room204()
		change(&l)
		if doc, err := PIDF(l); err == nil {
			t.Errorf("%s: %s", name, doc)
		}
	}
}

const offer = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"

func TestComposeAndSplit(t *testing.T) {
	doc, err := PIDF(room204())
	if err != nil {
		t.Fatal(err)
	}
	ct, body, err := Compose("b-7Xk2", NewPart(SDP, "", []byte(offer)), NewPart(PIDFXML, "loc1@branch.example.com", doc))
	if err != nil || ct != "multipart/mixed;boundary=b-7Xk2" {
		t.Fatalf("%q, %v", ct, err)
	}
	want := "--b-7Xk2\r\nContent-Type: application/sdp\r\n\r\n" + offer + "\r\n--b-7Xk2\r\nContent-Id: <loc1@branch.example.com>\r\n" +
		"Content-Type: application/pidf+xml\r\n\r\n" + string(doc) + "\r\n--b-7Xk2--\r\n"
	if string(body) != want {
		t.Errorf("body:\n%s", body)
	}
	sdp, rest, err := Split(ct, body)
	if err != nil || string(sdp) != offer || len(rest) != 1 || rest[0].MediaType() != PIDFXML || rest[0].ContentID() != "loc1@branch.example.com" ||
		!bytes.Equal(rest[0].Body, doc) {
		t.Errorf("%q, %+v, %v", sdp, rest, err)
	}
	if ref := Reference(rest[0].ContentID()); ref != "<cid:loc1@branch.example.com>" {
		t.Errorf("reference: %s", ref)
	}
	if ref := Reference("a b>c"); ref != "<cid:a%20b%3Ec>" {
		t.Errorf("reference: %s", ref)
	}
	// What a phone sent goes on as it came, with headers that nobody here knows.
	odd := rest[0]
	odd.Header["Content-Disposition"] = []string{"render;handling=optional"}
	_, again, err := Compose("other", NewPart(SDP, "", []byte(offer)), odd)
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, err := Split("multipart/mixed;boundary=other", again); err != nil || !reflect.DeepEqual(rest, []Part{odd}) {
		t.Errorf("%+v, %v", rest, err)
	}
}

func TestComposeRefuses(t *testing.T) {
	part := NewPart(SDP, "", []byte(offer))
	for name, c := range map[string]struct {
		boundary string
		parts    []Part
	}{
		"no boundary":           {"", []Part{part}},
		"a long one":            {strings.Repeat("x", 71), []Part{part}},
		"one that needs quotes": {"a b", []Part{part}},
		"one in a part":         {"audio", []Part{part}},
		"one in a header":       {"application", []Part{NewPart(SDP, "", nil), NewPart("application/x", "", nil)}},
		"nothing to compose":    {"x1", nil},
		"a header with a break": {"x1", []Part{NewPart(SDP, "a\r\nVia: x", nil)}},
	} {
		if ct, body, err := Compose(c.boundary, c.parts...); err == nil {
			t.Errorf("%s: %s\n%s", name, ct, body)
		}
	}
}

func TestSplit(t *testing.T) {
	const b = "multipart/mixed; boundary=\"x\""
	part := func(kind, body string) string { return "--x\r\nContent-Type: " + kind + "\r\n\r\n" + body + "\r\n" }
	for _, tt := range []struct {
		name, kind, body string
		sdp              string
		rest             int
		noSDP            bool
	}{
		{"plain SDP", "Application/SDP; charset=utf-8", offer, offer, 0, false},
		{"text", "text/plain", "hello", "", 0, true},
		{"nothing", "", "", "", 0, true},
		{"SDP first", b, part(SDP, offer) + part(PIDFXML, "<x/>") + "--x--", offer, 1, false},
		{"SDP last", b, part(PIDFXML, "<x/>") + part("text/x", "y") + part("Application/Sdp ;x=y", offer) + "--x--\r\n", offer, 2, false},
		{"two of SDP", b, part(SDP, offer) + part(SDP, "v=1") + "--x--", offer, 1, false},
		{"no SDP", b, part(PIDFXML, "<x/>") + "--x--", "", 0, true},
		{"within another multipart", b, part("multipart/mixed;boundary=y", "--y\r\nContent-Type: application/sdp\r\n\r\n"+offer+"--y--") + "--x--", "", 0, true},
		{"line feeds only", b, strings.ReplaceAll(part(SDP, "v=0\r\n")+part(PIDFXML, "<x/>")+"--x--", "\r\n", "\n"), "v=0\n", 1, false},
		{"a preamble", b, "for people\r\n" + part(SDP, offer) + "--x--", offer, 0, false},
		{"breaks off after the SDP", b, part(SDP, offer) + "--x\r\nContent-Type: applicat", offer, 0, false},
		{"breaks off in the location", b, part(SDP, offer) + "--x\r\nContent-Type: application/pidf+xml\r\n\r\n<pres", offer, 0, false},
		{"breaks off in the SDP", b, "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n", "v=0", 0, false},
		{"many parts", b, part(SDP, offer) + strings.Repeat(part("text/x", ""), 100) + "--x--", offer, maxParts - 1, false},
		{"encoded parts stay so", b, "--x\r\nContent-Type: application/pidf+xml\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3Cx/>\r\n" + part(SDP, offer) + "--x--", offer, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sdp, rest, err := Split(tt.kind, []byte(tt.body))
			if string(sdp) != tt.sdp || len(rest) != tt.rest || errors.Is(err, ErrNoSDP) != tt.noSDP || (err != nil) != tt.noSDP {
				t.Errorf("%q, %d parts, %v", sdp, len(rest), err)
			}
			for _, p := range rest {
				if p.Header.Get("Content-Transfer-Encoding") != "" && string(p.Body) != "=3Cx/>" {
					t.Errorf("changed: %q", p.Body)
				}
			}
		})
	}
	for _, kind := range []string{"multipart/mixed", "multipart/mixed;boundary=", "multipart/mixed;;;=", "multipart/"} {
		if _, _, err := Split(kind, []byte(part(SDP, offer))); err == nil || errors.Is(err, ErrNoSDP) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if _, _, err := Split(b, make([]byte, maxBody+1)); err == nil {
		t.Error("a huge body is taken")
	}
	if (Part{}).MediaType() != "text/plain" || (Part{}).ContentID() != "" {
		t.Error("a part without headers")
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("multipart/mixed;boundary=x", []byte("--x\r\nContent-Type: application/sdp\r\n\r\n"+offer+"\r\n--x\r\nContent-Type: application/pidf+xml\r\nContent-ID: <a@b>\r\n\r\n<x/>\r\n--x--\r\n"))
	f.Add("application/sdp", []byte(offer))
	f.Add("multipart/related;boundary=\"a b\"", []byte("--a b\n\nx\n--a b--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		sdp, rest, err := Split(kind, body)
		if err != nil {
			if sdp != nil || rest != nil {
				t.Fatalf("%v, and %q %v", err, sdp, rest)
			}
			return
		}
		if len(sdp) > len(body) || len(rest) >= maxParts {
			t.Fatalf("%d bytes of SDP, %d parts", len(sdp), len(rest))
		}
		// What is passed on arrives as it was.
		ct, out, err := Compose("holdfast-0123456789", append([]Part{NewPart(SDP, "", sdp)}, rest...)...)
		if err != nil {
			return
		}
		sdp2, rest2, err := Split(ct, out)
		if err != nil || !bytes.Equal(sdp, sdp2) || len(rest) != len(rest2) {
			t.Fatalf("%v: %q %v\n%q %v", err, sdp, rest, sdp2, rest2)
		}
		for i := range rest {
			if !bytes.Equal(rest[i].Body, rest2[i].Body) {
				t.Fatalf("%q became %q", rest[i].Body, rest2[i].Body)
			}
		}
	})
}

func FuzzPIDF(f *testing.F) {
	f.Add("pres:a@b", "Springfield", "Fish & <Chips>\x00\xff")
	f.Fuzz(func(t *testing.T, entity, city, room string) {
		doc, err := PIDF(Location{Entity: entity, Civic: site.Civic{Country: "US", City: city, Room: room}, At: at})
		if err != nil {
			return
		}
		d := xml.NewDecoder(bytes.NewReader(doc))
		depth, elements := 0, 0
		for {
			tok, err := d.Token()
			if tok == nil {
				if depth != 0 || err == nil {
					t.Fatalf("%v at depth %d:\n%s", err, depth, doc)
				}
				break
			}
			switch tok.(type) {
			case xml.StartElement:
				depth++
				elements++
			case xml.EndElement:
				depth--
			}
		}
		want := 13
		if room != "" {
			want++
		}
		if elements != want {
			t.Fatalf("%d elements:\n%s", elements, doc)
		}
	})
}

func TestReferences(t *testing.T) {
	for value, want := range map[string][]string{
		"":                                     nil,
		"<cid:a@b>":                            {"<cid:a@b>"},
		`<cid:a@b>;x="1,2" , <https://c/d,e>`:  {`<cid:a@b>;x="1,2"`, "<https://c/d,e>"},
		"junk, <cid:a>":                        {"<cid:a>"},
		"<cid:a":                               nil,
		`"<cid:a>`:                             nil,
		"<sip:user@host;x=y>;inserted-by=a.b,": {"<sip:user@host;x=y>;inserted-by=a.b"},
	} {
		if got := References(value); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q", value, got)
		}
	}
	for ref, want := range map[string]string{"<cid:a%20b>": "a b", "<CID:x@y>;p=1": "x@y", "<https://x>": "", "<ci": "", "<cid:%zz>": ""} {
		if id, in := ContentID(ref); id != want || in != (want != "") {
			t.Errorf("%q: %q, %v", ref, id, in)
		}
	}
}
