package route

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/sip/number"
	"holdfast/sip/site"
)

// call is one call's circumstances, the same for Decide and After.
type call struct {
	site   *site.Site
	policy Policy
	view   View
	query  Query
}

// Decide says where a call goes. Emergency numbers are looked at before everything else, whatever the policy, domain
// or origin; only a trunk cannot dial them.
func Decide(s *site.Site, p Policy, v View, q Query) Decision {
	c := &call{site: s, policy: p, view: v, query: q}
	dialled := dialled(q.Target)
	if q.From.Trunk == nil {
		if d, ok := c.emergency(); ok {
			return d
		}
	} else if d, ok := c.callback(dialled); ok {
		return d
	}
	switch strings.ToLower(q.Scheme) {
	case "sip", "sips":
		if q.Host != "" && !s.IsDomain(q.Host) {
			return c.reject(404, "Not Found")
		}
	case "tel":
	case "urn":
		return c.reject(404, "Not Found") // a service that we do not know
	default:
		return c.reject(416, "Unsupported URI Scheme")
	}
	if q.From.Trunk != nil {
		return c.inbound(dialled)
	}
	return c.outbound(dialled)
}

// dialled is the target without escapes (RFC 3261 §19.1.4) and without the parameters of a tel URI (RFC 3966 §3).
func dialled(target string) string {
	if plain, err := url.PathUnescape(target); err == nil {
		target = plain
	}
	target, _, _ = strings.Cut(target, ";")
	return target
}

// start is the Decision that all others are made from.
func (c *call) start() Decision {
	return Decision{call: c, Visited: slices.Clone(c.query.Visited)}
}

func (c *call) reject(status int, reason string) Decision {
	d := c.start()
	d.Status, d.Reason = status, reason
	return d
}

// outbound decides a call from the access side: local first, in all four number forms, then the trunks.
func (c *call) outbound(dialled string) Decision {
	from := c.query.From
	switch {
	case from == Origin{}:
		return c.reject(403, "Forbidden")
	case !c.policy.serves(from.User):
		return c.reject(503, "Service Unavailable")
	}
	if d, ok := c.feature(dialled); ok {
		return d
	}
	u, n, err := c.site.Resolve(dialled)
	if err != nil {
		// An address of record is no number, but a phone may dial one that it was shown.
		var ok bool
		if u, ok = c.site.UserByUsername(dialled); !ok {
			if errors.Is(err, number.ErrIncomplete) {
				return c.reject(484, "Address Incomplete")
			}
			return c.reject(404, "Not Found")
		}
	}
	return c.to(c.start(), u, n)
}

// inbound decides a call from a trunk: it reaches users by their cloud and BYOC numbers, never an extension, and never
// another trunk but through a user's forward.
func (c *call) inbound(dialled string) Decision {
	if !c.policy.Serve || c.policy.EmergencyOnly {
		return c.reject(480, "Temporarily Unavailable") // so that the SBC tries its next route
	}
	u, ok := c.did(dialled)
	switch {
	case !ok:
		return c.reject(404, "Not Found")
	case !c.policy.serves(u):
		return c.reject(480, "Temporarily Unavailable")
	}
	return c.to(c.start(), u, "")
}

// did finds the user whose cloud or BYOC number a trunk dialled.
func (c *call) did(dialled string) (*site.User, bool) {
	for _, n := range c.e164(dialled) {
		if u, ok := c.site.Lookup(n); ok {
			return u, true
		}
	}
	return nil, false
}

// e164 is what a trunk's target may be in E.164: carriers write the number with and without "+", and in national form.
func (c *call) e164(dialled string) []string {
	var forms []string
	if digits, ok := number.Strip(dialled); ok {
		forms = append(forms, "+"+strings.TrimPrefix(digits, "+"))
	}
	if n, err := c.site.Plan().Normalize(dialled); err == nil {
		forms = append(forms, string(n))
	}
	return forms
}

// to sends the call on to a user, or to a number outside. Here is where a group's number will be one more case.
func (c *call) to(d Decision, u *site.User, n number.Number) Decision {
	if u != nil {
		return c.user(d, u)
	}
	return c.outside(d, string(n))
}

// user rings a user's phones, unless the user wants otherwise or has none here.
func (c *call) user(d Decision, u *site.User) Decision {
	d.Visited = append(d.Visited, u.ID)
	switch {
	case u.Forward.Always != "":
		return c.forward(d, u, u.Forward.Always, c.reject(482, "Loop Detected"))
	case u.DND:
		return c.busy(d, u, 486, "Busy Here")
	case !c.view.Registered(u.ID):
		return c.unreachable(d, u)
	}
	d.Kind, d.User = ToUser, u
	d.CallerID = c.callerInside()
	d.RingFor = time.Duration(u.NoAnswerAfter) * time.Second
	return d
}

// outside sends the call to the trunks.
func (c *call) outside(d Decision, n string) Decision {
	d.Visited = append(d.Visited, n)
	d.Trunks = c.site.Trunks()
	if len(d.Trunks) == 0 {
		return c.reject(480, "No Trunk")
	}
	d.Kind, d.Number = ToTrunk, n
	caller := c.query.From.User
	if c.query.From.Trunk != nil {
		caller = d.By // a carrier takes only its own customer's numbers
	}
	d.CallerID = c.callerOutside(caller)
	d.CallerID.Private = c.query.Privacy
	return d
}

// callerInside is what a user's phone shows.
func (c *call) callerInside() CallerID {
	from := c.query.From
	id := c.query.Caller
	switch {
	case from.Trunk != nil:
	case from.User != nil:
		id = CallerID{Number: from.User.Extension, Name: from.User.Name}
	case from.Device != nil:
		id = CallerID{Number: c.site.Doc().Site.MainNumber, Name: from.Device.ID}
	default:
		id = CallerID{}
	}
	id.Private = id.Private || c.query.Privacy
	return id
}

// callerOutside is what the trunk gets: the user's first BYOC number, else the site's main number.
func (c *call) callerOutside(u *site.User) CallerID {
	info := c.site.Doc().Site
	switch {
	case u == nil:
		return CallerID{Number: info.MainNumber, Name: info.Name}
	case len(u.BYOCNumbers) == 0:
		return CallerID{Number: info.MainNumber, Name: u.Name}
	}
	return CallerID{Number: u.BYOCNumbers[0], Name: u.Name}
}
