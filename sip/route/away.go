package route

import (
	"slices"
	"time"
)

// A caller's phone may have gone back to the cloud while the pin lives. There it is reached by the user's cloud number, over the
// trunks, as a call from inside to a user without a phone is. What answers there may be the user's voicemail, and what the cloud
// makes of the call is out of sight: so it is tried after all phones that are here, for less time than voicemail takes to answer an
// unanswered phone, and not where the site forbids it.

const (
	awayFor  = 15 * time.Second
	mostAway = 2 // callers of a shared number: the desk has to hear of it soon
)

// awayNumber is the cloud number of the caller who called last, may have left, and has not been tried; "" if there is none. It is no
// ELIN and no number of the carrier's (site.Load), and not one under which a call for help may have gone out.
func (c *call) awayNumber(d Decision) string {
	if !c.policy.Cloud || c.site.Doc().Emergency.NoCloudBack || d.away >= mostAway || len(c.site.Trunks()) == 0 {
		return ""
	}
	for _, caller := range d.pins.Callers {
		u, ok := c.site.UserByID(caller.User)
		if !ok || c.view.Stays(caller) {
			continue
		}
		i := slices.IndexFunc(u.CloudNumbers, func(n string) bool { return !mainNumber(c.site, n) })
		if i >= 0 && !slices.Contains(d.Visited, u.CloudNumbers[i]) {
			return u.CloudNumbers[i]
		}
	}
	return ""
}

// ringAway rings a cloud number, and together with it who is next at the security desk, if that is a phone here and all callers of
// a shared number were to ring with it.
func (c *call) ringAway(d Decision, number string) Decision {
	d.away++
	d.Visited = append(d.Visited, number)
	if d.pins.Desk { // its own turn comes all the same: this is too short for it
		with := d
		with.Visited = slices.Clone(d.Visited)
		if desk := c.fromDesk(&with); desk != nil && desk[0].User != nil {
			d.Targets = desk
		}
	}
	id := c.callerOutside(nil)
	id.Name = awayName
	d.Targets = append(d.Targets, Target{Number: number, CallerID: id})
	d = c.ring(d)
	d.Away, d.RingFor = true, awayFor
	return d
}

// awayName is what the caller's phone shows, since the number is the site's own.
const awayName = "Emergency callback"
