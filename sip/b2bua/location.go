package b2bua

import (
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/location"
	"holdfast/sip/stack"
)

// An emergency call towards a trunk that takes it says where the caller is (RFC 6442): what the phone itself has said,
// as it came, and behind it the address that the site document has for the place. Who
// adds a location to one that is there adds it last (RFC 6442).

// mostLocation bounds what of a phone's own is passed on, bytes of bodies and of header values.
const (
	mostLocation  = 64 << 10
	mostLocations = 5
)

// addLocation makes a multipart of the branch's offer. What cannot be said is left out: the call goes out in any case.
func (c *Call) addLocation(l *leg) {
	refs, parts := c.phoneLocation()
	if doc, ok := c.siteLocation(l); ok {
		id := strings.ToLower(stack.NewTag()) + "@" + l.dlg.local.uri.Host
		refs, parts = append(refs, location.Reference(id)), append(parts, location.NewPart(location.PIDFXML, id, doc))
	}
	if len(refs) == 0 {
		c.note(EmergencyEvent{Kind: AlarmRaised, Trunk: l.trunk.ID, Text: "the trunk takes a location, and there is none to send"})
		return
	}
	if len(parts) > 0 {
		kind, body, err := location.Compose("holdfast-"+stack.NewTag(), append([]location.Part{location.NewPart(location.SDP, "", l.body)}, parts...)...)
		if err != nil {
			c.log.Error("the location is left out", "err", err)
			return
		}
		l.bodyType, l.body = kind, body
	}
	l.extra = append(l.extra, sip.NewHeader(location.Header, strings.Join(refs, ", ")), sip.NewHeader(location.RoutingHeader, location.Routing),
		sip.NewHeader("Accept", "application/sdp"))
}

// siteLocation is the address that the site document has.
func (c *Call) siteLocation(l *leg) ([]byte, bool) {
	civic, ok := c.site.Place(c.callerDevice(), c.caller.user).Civic(l.elin)
	if !ok {
		return nil, false
	}
	from := l.dlg.local.uri
	doc, err := location.PIDF(location.Location{Entity: "pres:" + from.User + "@" + from.Host, Civic: civic, At: time.Now()})
	if err != nil {
		c.log.Error("the address cannot be sent", "err", err)
		return nil, false
	}
	return doc, true
}

// phoneLocation is what the phone has sent: Geolocation values, and the parts that they point to.
func (c *Call) phoneLocation() (refs []string, parts []location.Part) {
	req := c.invite.Request()
	var rest []location.Part
	if ct := req.ContentType(); ct != nil {
		_, rest, _ = location.Split(ct.Value(), req.Body())
	}
	left := mostLocation
	for _, h := range req.GetHeaders(location.Header) {
		for _, ref := range location.References(h.Value()) {
			if len(refs) == mostLocations || len(ref) > left {
				return refs, parts
			}
			id, inBody := location.ContentID(ref)
			if !inBody { // where it can be asked for
				refs, left = append(refs, ref), left-len(ref)
				continue
			}
			for _, p := range rest {
				if p.ContentID() == id && p.MediaType() == location.PIDFXML && len(p.Body) <= left {
					refs, parts, left = append(refs, ref), append(parts, p), left-len(p.Body)-len(ref)
					break
				}
			}
		}
	}
	return refs, parts
}
