package route

import (
	"slices"
	"time"

	"holdfast/sip/elin"
	"holdfast/sip/site"
)

// step is how far a callback has come; it only goes on.
type step int

const (
	deskNext    step = iota // the security desk, one after the other; an emergency call that no trunk took begins here
	callersOwn              // the phones that the calls came from
	callersAll              // the callers' other phones
	callersAway             // by their cloud numbers, those whose phones are not here
	ownerToo                // nobody is pinned: the ELIN's user, and the desk at the same time
)

// callback is a call from a trunk to an ELIN: somebody who was asked for help calls back. It is served in every mode,
// past do-not-disturb, forwarding and hours. A number that the document has lost is an ELIN as long as a pin lives. A call
// to a main number is a callback if the trunk says so: a call for help may have gone out under it. To any other number the
// mark counts nothing: a carrier may let it through from anybody.
func (c *call) callback(dialled string) (Decision, bool) {
	n, pins, owner, ok := c.helpline(dialled)
	if !ok {
		return Decision{}, false
	}
	return c.calledBack(n, pins, owner), true
}

// helpline reads a trunk's target as a number under which somebody has called for help, or may have. owner is the user
// whose number it is, where nobody is pinned to it.
func (c *call) helpline(dialled string) (number string, pins elin.Callback, owner *site.User, ok bool) {
	for _, n := range c.e164(dialled) {
		pins = c.view.Pinned(n)
		owner, known := c.site.ELIN(n)
		if known || len(pins.Callers) > 0 && (!pins.Main || c.query.PSAPCallback) {
			return n, pins, owner, true
		}
	}
	if !c.query.PSAPCallback || !mainNumber(c.site, dialled) {
		return "", elin.Callback{}, nil, false
	}
	owner, _ = c.did(dialled)
	return dialled, elin.Callback{}, owner, true
}

// CallsBack reports whether a trunk's call is a callback to a call for help, marked as one or not, in whichever form the
// trunk writes the number. It is what Decide would say, for who has to know before there is a call.
func CallsBack(st *site.Site, v View, target string, marked bool) bool {
	c := &call{site: st, view: v, query: Query{Target: target, PSAPCallback: marked}}
	_, _, _, ok := c.helpline(dialled(target))
	return ok
}

// mainNumber reports whether a trunk's target is a number that an emergency call without an ELIN shows: the site's main
// number or a trunk's.
func mainNumber(st *site.Site, dialled string) bool {
	for _, n := range (&call{site: st}).e164(dialled) {
		if n == st.Doc().Site.MainNumber || slices.ContainsFunc(st.Trunks(), func(t *site.Trunk) bool { return t.MainNumber == n }) {
			return true
		}
	}
	return false
}

func (c *call) calledBack(number string, pins elin.Callback, owner *site.User) Decision {
	d := c.start()
	d.Callback, d.pins, d.desk = true, pins, c.deskList()
	d.Visited = append(d.Visited, number)
	switch {
	case len(pins.Callers) > 0:
		d.step = callersOwn
	case owner != nil:
		d.step = ownerToo
		d.pins.Callers = []elin.Caller{{User: owner.ID}}
	}
	return c.nextCallback(d)
}

// deskList is the security desk; of a site that has none, who answers its main number.
func (c *call) deskList() []string {
	desk := c.site.Doc().Emergency.Security
	if u, ok := c.site.Lookup(c.site.Doc().Site.MainNumber); ok && len(desk) == 0 {
		return []string{u.Extension}
	}
	return desk
}

// AtDesk reports whether a user, or a number outside in E.164, is on the site's security desk list. Who merely answers the
// main number of a site without one is not: everybody's calls go there.
func AtDesk(st *site.Site, u *site.User, number string) bool {
	return slices.ContainsFunc(st.Doc().Emergency.Security, func(entry string) bool {
		who, n, err := st.Resolve(entry)
		return err == nil && (who == nil && number != "" && string(n) == number || who != nil && u != nil && who.ID == u.ID)
	})
}

// nextCallback takes the next step at which there is somebody to ring: the callers' phones, their other phones, the cloud
// numbers of those whose phones have gone back there, the security desk list, and in the end nobody, which is an alarm.
func (c *call) nextCallback(d Decision) Decision {
	next := c.start()
	next.Callback, next.pins, next.desk, next.step, next.away = true, d.pins, d.desk, d.step, d.away
	next.Visited = slices.Clone(d.Visited)
	if d.Kind == Emergency && !d.Test {
		next.Alarm, next.Announce = AlarmNoTrunk, true
	}
	for len(next.Targets) == 0 {
		switch next.step {
		case callersOwn:
			next.step = callersAll
			next.Targets = c.callers(next.pins, true)
			if next.pins.Desk && (len(next.Targets) > 0 || c.awayNumber(next) == "") {
				desk := c.fromDesk(&next)
				if len(desk) > 0 && desk[0].Number != "" { // it rings for long: the callers' other phones cannot wait for that
					if next.step = callersAway; c.awayNumber(next) == "" {
						next.step = deskNext
					}
					desk = append(c.callers(next.pins, false), desk...)
				}
				next.Targets = append(next.Targets, desk...)
			}
		case callersAll:
			next.step = callersAway
			next.Targets = c.callers(next.pins, false)
		case callersAway:
			if n := c.awayNumber(next); n != "" {
				return c.ringAway(next, n)
			}
			next.step = deskNext
		case ownerToo:
			next.step = deskNext
			next.Targets = append(c.callers(next.pins, true), c.fromDesk(&next)...)
		default:
			if next.Targets = c.fromDesk(&next); next.Targets == nil {
				return c.nobody(next, d)
			}
		}
	}
	return c.ring(next)
}

// maxTogether bounds the callers of one ELIN whose phones ring at once; the most recent ones, and the desk with them.
const maxTogether = 16

// callers are the pinned callers' own phones, or their others.
func (c *call) callers(pins elin.Callback, own bool) []Target {
	var out []Target
	for _, caller := range pins.Callers[:min(len(pins.Callers), maxTogether)] {
		u, known := c.site.UserByID(caller.User)
		phone := &caller
		if caller.Device == "" && caller.Instance == "" && caller.Binding == "" {
			phone = nil // whichever phone it was
		}
		id := c.callerInside()
		switch {
		case !known && own && (phone != nil || caller.Source != ""): // a phone of nobody, or of somebody who is gone
			out = append(out, Target{Only: &caller, CallerID: id})
		case !known && caller.Source != "" && !own: // whoever else is there
			out = append(out, Target{But: &caller, CallerID: id})
		case !known || !c.view.Registered(u.ID) && !(own && phone != nil && c.view.Here(caller)):
		case own:
			out = append(out, Target{User: u, Only: phone, CallerID: id})
		case phone != nil:
			out = append(out, Target{User: u, But: phone, CallerID: id})
		}
	}
	return out
}

// fromDesk takes the next of the security desk list who can be reached; nil when there is none left.
func (c *call) fromDesk(d *Decision) []Target {
	for len(d.desk) > 0 {
		u, n, err := c.site.Resolve(d.desk[0])
		d.desk = d.desk[1:]
		switch {
		case err != nil: // site.Load refuses such an entry
		case u != nil && c.view.Registered(u.ID) && !slices.Contains(d.Visited, u.ID) && !pinned(d.pins, u.ID):
			d.Visited = append(d.Visited, u.ID)
			return []Target{{User: u, CallerID: c.callerInside()}}
		case u == nil && len(c.site.Trunks()) > 0 && !slices.Contains(d.Visited, string(n)):
			d.Visited = append(d.Visited, string(n))
			return []Target{{Number: string(n), CallerID: c.callerOutside(c.query.From.User)}}
		}
	}
	return nil
}

func pinned(pins elin.Callback, userID string) bool {
	return slices.ContainsFunc(pins.Callers, func(c elin.Caller) bool { return c.User == userID })
}

// How long the security desk outside may ring: a person has to get to a phone, but while somebody else is to be rung after
// it the chain goes on. The last of all is left to ring as long as any call outside (timer C, RFC 3261 §16.6).
const (
	outsideRings = time.Minute
	lastRings    = 3 * time.Minute
)

// ring makes the Decision of its targets.
func (c *call) ring(d Decision) Decision {
	// First a phone, for whoever looks at the first only.
	slices.SortStableFunc(d.Targets, func(a, b Target) int { return outside(a) - outside(b) })
	first := d.Targets[0]
	d.Kind, d.User, d.Number, d.CallerID = ToUser, first.User, first.Number, first.CallerID
	if first.Number != "" {
		d.Kind = ToTrunk
	} else {
		d.RingFor = time.Duration(c.site.Doc().Options.NoAnswerAfter) * time.Second
	}
	for _, t := range d.Targets {
		if t.Number != "" {
			d.Trunks = c.site.Trunks()
			d.RingFor = max(d.RingFor, outsideRings)
			if d.step == deskNext && len(d.desk) == 0 {
				d.RingFor = lastRings
			}
		}
		if t.User != nil && d.Kind == ToUser {
			d.RingFor = max(d.RingFor, time.Duration(t.User.NoAnswerAfter)*time.Second)
		}
	}
	if len(d.Targets) == 1 {
		if first.User != nil {
			d.RingFor = time.Duration(first.User.NoAnswerAfter) * time.Second
		}
		if first.Only == nil && first.But == nil {
			d.Targets = nil
		}
	}
	return d
}

func outside(t Target) int {
	if t.Number != "" {
		return 1
	}
	return 0
}

// nobody ends the chain; a test that fails is its tester's to see.
func (c *call) nobody(d, before Decision) Decision {
	end := c.reject(480, "Temporarily Unavailable")
	end.Visited, end.Callback = d.Visited, before.Callback || before.Kind == Emergency && !before.Test
	if end.Callback {
		end.Alarm, end.Announce = AlarmNobody, true
	}
	return end
}
