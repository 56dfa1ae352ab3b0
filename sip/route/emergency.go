package route

import (
	"strings"

	"holdfast/sip/site"
)

// Recognise says whether a target is an emergency: a number of the site, as dialled or with the external prefix, a sos
// urn (RFC 5031), or a number or urn that tests the path (RFC 6881 §15). It is what Decide asks first, for callers who
// have to know before there is an Origin. The number comes without prefix.
func Recognise(s *site.Site, target string) (number string, test, ok bool) {
	dialled := dialled(target)
	if urn, test, ok := sos(dialled); ok {
		return urn, test, true
	}
	if n, ok := s.Plan().Emergency(dialled, s.EmergencyNumbers()); ok {
		return n, false, true
	}
	n, ok := s.Plan().Emergency(dialled, s.TestNumbers())
	return n, ok, ok
}

// emergency decides emergency calls. What shows here as caller ID is the caller's own number and, if the site has it, is
// replaced by the emergency location's; privacy does not apply. Only a site that said so refuses those of strangers.
func (c *call) emergency() (Decision, bool) {
	n, test, ok := Recognise(c.site, c.query.Target)
	switch {
	case !ok:
		return Decision{}, false
	case c.query.From == Origin{} && c.site.Doc().Emergency.RefuseUnknown:
		return c.reject(403, "Forbidden"), true
	}
	d := c.start()
	d.Kind, d.Number, d.Test = Emergency, n, test
	d.Trunks = c.site.Trunks()
	d.CallerID = c.callerOutside(c.query.From.User)
	d.Visited = append(d.Visited, n)
	if !test { // a test never rings the security desk
		d.desk = c.deskList()
	}
	return d, true
}

const (
	sosURN     = "urn:service:sos"
	testSosURN = "urn:service:test.sos"
)

// sos recognises urn:service:sos, its test, and their sub-services, with or without "urn:"; case does not matter (RFC
// 5031 §3). A sub-service that is spelt as none can be is help all the same, but is not repeated to a trunk.
func sos(target string) (urn string, test, ok bool) {
	name := "urn:" + strings.TrimPrefix(strings.ToLower(target), "urn:")
	urn = sosURN
	sub, ok := strings.CutPrefix(name, sosURN)
	if !ok {
		urn, test = testSosURN, true
		sub, ok = strings.CutPrefix(name, testSosURN)
	}
	if !ok || sub != "" && sub[0] != '.' {
		return "", false, false
	}
	plain := len(sub) <= 64 && !strings.ContainsFunc(sub, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
	if !plain || strings.HasSuffix(sub, ".") || strings.Contains(sub, "..") {
		sub = ""
	}
	return urn + sub, test, true
}

// NumberFor is what an Emergency decision's call is addressed to on a trunk, a number or a urn: Number in the form that
// the trunk takes (site.Trunk.EmergencyForm). A test never becomes a real emergency number on the way, whatever the form.
func (d Decision) NumberFor(t *site.Trunk) string {
	if d.Kind != Emergency || d.call == nil {
		return d.Number
	}
	isURN := strings.HasPrefix(d.Number, "urn:")
	urn, numbers := sosURN, d.call.site.EmergencyNumbers()
	if d.Test {
		urn, numbers = testSosURN, d.call.site.TestNumbers()
	}
	switch form := t.EmergencyForm; {
	case form == "urn" && isURN:
		return d.Number
	case form == "urn":
		return urn
	case form != "" && form != "as-dialled" && !d.Test:
		return form
	case isURN && len(numbers) > 0: // the trunk wants digits, and there are none for a sub-service
		return numbers[0]
	}
	return d.Number
}
