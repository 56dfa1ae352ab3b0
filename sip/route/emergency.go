package route

import (
	"slices"
	"strings"
	"time"
)

// emergency recognises emergency numbers, as dialled or with the external prefix, sos urns (RFC 5031), and the numbers
// that test the path. What shows here as caller ID is the caller's own number and, if the site has it, is replaced by
// the emergency location's; privacy does not apply.
func (c *call) emergency(dialled string) (Decision, bool) {
	d := c.start()
	if urn, ok := sos(dialled); ok {
		d.Number = urn
	} else if n, ok := c.site.Plan().Emergency(dialled, c.site.EmergencyNumbers()); ok {
		d.Number = n
	} else if n, ok := c.site.Plan().Emergency(dialled, c.site.TestNumbers()); ok {
		d.Number, d.Test = n, true
	} else {
		return Decision{}, false
	}
	d.Kind = Emergency
	d.Trunks = c.site.Trunks()
	d.CallerID = c.callerOutside(c.query.From.User)
	d.Visited = append(d.Visited, d.Number)
	if !d.Test { // a test never rings the security desk
		d.desk = c.site.Doc().Emergency.Security
	}
	return d, true
}

// sos recognises urn:service:sos and its sub-services, with or without "urn:"; case does not matter (RFC 5031 §3). A
// sub-service that is spelt as none can be is help all the same, but is not repeated to a trunk.
func sos(target string) (string, bool) {
	name := strings.TrimPrefix(strings.ToLower(target), "urn:")
	sub, ok := strings.CutPrefix(name, "service:sos")
	if !ok || sub != "" && sub[0] != '.' {
		return "", false
	}
	plain := len(sub) <= 64 && !strings.ContainsFunc(sub, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
	if !plain || strings.HasSuffix(sub, ".") || strings.Contains(sub, "..") {
		sub = ""
	}
	return "urn:service:sos" + sub, true
}

// callback is a call from a trunk to an ELIN: somebody who was asked for help calls back. It is served in every mode,
// past do-not-disturb and forwarding: the ELIN's user if it is one's, then the security desk. (Who called for help is
// for the pins of sip/elin to say; they will come first.)
func (c *call) callback(dialled string) (Decision, bool) {
	for _, n := range c.e164(dialled) {
		owner, ok := c.site.ELIN(n)
		if !ok {
			continue
		}
		d := c.start()
		d.Callback = true
		d.Visited = append(d.Visited, n)
		d.desk = c.site.Doc().Emergency.Security
		if owner != nil {
			d.desk = append([]string{owner.Extension}, d.desk...)
		}
		return c.nextAtDesk(d), true
	}
	return Decision{}, false
}

// nextAtDesk rings the next of those who take a callback, or an emergency call that no trunk took.
func (c *call) nextAtDesk(d Decision) Decision {
	visited := slices.Clone(d.Visited)
	for i, target := range d.desk {
		u, n, err := c.site.Resolve(target)
		next := c.start()
		next.Callback, next.desk = true, d.desk[i+1:]
		switch {
		case err != nil:
		case u != nil && c.view.Registered(u.ID) && !slices.Contains(visited, u.ID):
			next.Kind, next.User, next.CallerID = ToUser, u, c.callerInside()
			next.RingFor = time.Duration(u.NoAnswerAfter) * time.Second
			next.Visited = append(visited, u.ID)
			return next
		case u == nil && len(c.site.Trunks()) > 0 && !slices.Contains(visited, string(n)):
			next.Kind, next.Number, next.Trunks = ToTrunk, string(n), c.site.Trunks()
			next.CallerID = c.callerOutside(c.query.From.User)
			next.Visited = append(visited, string(n))
			return next
		}
	}
	end := c.reject(480, "Temporarily Unavailable")
	end.Visited, end.Callback = visited, d.Callback
	return end
}
