package b2bua

import (
	"strconv"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// TestWaysToDialHelp: whatever a phone writes into its Request-URI for 911 goes out as 911, and what is no emergency number does not.
func TestWaysToDialHelp(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	for uri, want := range map[string]string{
		"sip:911@lsp.test":                             "911",
		"sips:911@lsp.test":                            "911",
		"SIP:911@LSP.TEST;transport=tls":               "911",
		"sip:9911@somewhere.else.example":              "911",
		"sip:911@192.0.2.1:5061;user=phone":            "911",
		"sip:911;phone-context=+1@lsp.test;user=phone": "911",
		"sip:%39%31%31@lsp.test":                       "911",
		"sip:9-1-1@lsp.test":                           "911",
		"sip:911%23@lsp.test":                          "911",
		"sip:911#@lsp.test":                            "911",
		"sip:911:secret@lsp.test":                      "911",
		"tel:911":                                      "911",
		"tel:911;phone-context=+1":                     "911",
		"TEL:9-1-1;phone-context=lsp.test":             "911",
		"urn:service:sos":                              "911",
		"URN:Service:SOS.fire":                         "911",
		"sip:urn%3Aservice%3Asos.police@lsp.test":      "911",
		"sip:service%3Asos@lsp.test":                   "911",
		"sip:+911@lsp.test":                            "484",
		"sip:91%231@lsp.test":                          "404",
		"sip:911911@lsp.test":                          "484",
		"urn:service:counseling":                       "404",
	} {
		a := w.phone("1001") // a connection has a limit of requests
		req := a.request(sip.INVITE, "1001", "911", offer(pcmu))
		if err := sip.ParseUri(uri, &req.Recipient); err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		o := a.send(req)
		if want != "911" {
			status, _ := strconv.Atoi(want)
			o.wait(status)
			w.ended()
			x.quiet()
			continue
		}
		in := x.incoming(sip.INVITE)
		if got := in.Request().Recipient.User; got != want || in.Request().From().Address.User != siteELIN {
			t.Errorf("%s goes out as %s of %s", uri, got, in.Request().From().Address.User)
		}
		x.answer(in, pcmu)
		o.up(nil)
		x.acked()
		o.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	}
}
