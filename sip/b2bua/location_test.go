package b2bua

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/location"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

// located is a helpful site with an address in fields, whose trunk takes it.
func located(d *site.Document) {
	helpful(d)
	d.Trunks[0].Location = true
	d.Emergency.Civic = &site.Civic{Country: "US", State: "IL", City: "Springfield", House: "1", Street: "Main", StreetType: "St"}
	d.Zones[0].Civic = &site.Civic{Floor: "2"}
	d.Users[1].Civic = &site.Civic{Room: "204"}
}

// fits checks a document against the RFCs' schemas.
func fits(t *testing.T, doc []byte) {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil && os.Getenv("CI") == "" {
		t.Log("xmllint is missing: install libxml2-utils to check against the schemas")
		return
	}
	file := filepath.Join(t.TempDir(), "pidf.xml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("xmllint", "--noout", "--nonet", "--schema", "../location/testdata/xsd/pidf-lo.xsd", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, doc)
	}
}

// TestLocation: what an SBC that takes locations gets with an emergency call, on the wire.
func TestLocation(t *testing.T) {
	w := newWorld(t, located)
	a, x := w.phone("1002"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing") // before what takes its time
	req := in.Request()
	body, parts, err := location.Split(req.ContentType().Value(), req.Body())
	if err != nil || len(parts) != 1 || parts[0].MediaType() != location.PIDFXML {
		t.Fatalf("%v, %d parts:\n%s", err, len(parts), req)
	}
	if _, err := sdp.Parse(body); err != nil {
		t.Errorf("the offer in the multipart: %v", err)
	}
	if g := header(req, "geolocation"); g != location.Reference(parts[0].ContentID()) || header(req, "geolocation-routing") != "yes" {
		t.Errorf("Geolocation %q of a part %q", g, parts[0].ContentID())
	}
	for _, want := range []string{">Springfield<", ">204<", ">2</ca:FLR>", "pres:" + floorELIN + "@"} {
		if !strings.Contains(string(parts[0].Body), want) {
			t.Errorf("no %s in %s", want, parts[0].Body)
		}
	}
	fits(t, parts[0].Body)
	ok := in.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "psap", Host: "127.0.0.1"}})
	setSDP(ok, answerTo(t, body, pcmu))
	in.Respond(ok)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()

	// An ordinary call says nothing of the sort.
	o = a.call("912175550142", pcmu)
	in = x.incoming(sip.INVITE)
	if header(in.Request(), "geolocation") != "" || header(in.Request(), "content-type") != location.SDP {
		t.Errorf("an ordinary call:\n%s", in.Request())
	}
	in.Reply(404, "Not Found")
	o.wait(404)
	w.ended()
}

// TestPhonesOwnLocation goes on as it came, before the site's; what its header does not name does not.
func TestPhonesOwnLocation(t *testing.T) {
	for name, document := range map[string]func(*site.Document){"with the site's": located, "alone": func(d *site.Document) {
		helpful(d)
		d.Trunks[0].Location = true
	}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, document)
			a, x := w.phone("1002"), w.sbc("sbc1")
			own := location.NewPart(location.PIDFXML, "mine@10.0.0.9", []byte("<presence>here &amp; now</presence>"))
			own.Header["Content-Disposition"] = []string{"by-reference"}
			kind, body, err := location.Compose("b1", location.NewPart(location.SDP, "", offer(pcmu)), own,
				location.NewPart(location.PIDFXML, "other@10.0.0.9", []byte("<presence/>")))
			if err != nil {
				t.Fatal(err)
			}
			req := a.request(sip.INVITE, "1002", "911", nil)
			req.AppendHeader(sip.NewHeader("Geolocation", `<cid:mine@10.0.0.9>;note="a, b", <https://lis.example/x?y=1,2>, <cid:nothing@there>`))
			setBody(req, kind, body)
			o := a.send(req)
			in := x.incoming(sip.INVITE)
			got := in.Request()
			_, parts, err := location.Split(got.ContentType().Value(), got.Body())
			want := []string{`<cid:mine@10.0.0.9>;note="a, b"`, "<https://lis.example/x?y=1,2>"}
			refs := location.References(header(got, "geolocation"))
			if err != nil || len(refs) < 2 || !slices.Equal(refs[:2], want) || len(parts) != len(refs)-1 || name == "alone" && len(refs) != 2 {
				t.Fatalf("%v: %q, %d parts", err, refs, len(parts))
			}
			if p := parts[0]; string(p.Body) != string(own.Body) || p.Header.Get("Content-Disposition") != "by-reference" || p.ContentID() != "mine@10.0.0.9" {
				t.Errorf("changed: %+v", p)
			}
			if name != "alone" {
				fits(t, parts[1].Body)
			}
			in.Reply(403, "Forbidden")
			o.tx.Cancel()
			w.ended()
		})
	}
}

// TestNoLocation: a trunk that takes one, and a site that has none: the call goes out, and somebody is told.
func TestNoLocation(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		helpful(d)
		d.Trunks[0].Location = true
	})
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, _ := w.callHelp(a, x)
	if !slices.Contains(w.kinds(""), AlarmRaised) {
		t.Error("no alarm")
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}
