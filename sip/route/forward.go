package route

import (
	"cmp"
	"slices"

	"holdfast/sip/site"
)

// maxHops bounds how often one call is forwarded.
const maxHops = 5

// Outcome is how an attempt ended without an answer.
type Outcome int

const (
	Busy        Outcome = iota // 486, 600
	NoAnswer                   // RingFor is over, 408, 480
	Unreachable                // no phone could be reached, no trunk took the call
	Declined                   // 603: the user does not want it
)

func (o Outcome) String() string {
	return [...]string{"busy", "no answer", "unreachable", "declined"}[o]
}

// After says what is next for a call whose Decision ended so. Only users have something next, and emergency calls and
// callbacks; a number outside that was dialled has not. It always ends: no user or number is tried twice in a call, and
// a call is forwarded at most five times.
func After(d Decision, o Outcome) Decision {
	c := d.call
	if c == nil || d.Kind == Reject {
		return d
	}
	if d.Kind == Pickup || d.Kind == Park {
		return c.reject(480, "Temporarily Unavailable") // nobody was rung
	}
	if d.Kind == Emergency || d.Callback {
		return c.nextCallback(d)
	}
	u := d.User
	next := d.blank()
	switch o {
	case Busy:
		return c.busy(next, u, 486, "Busy Here")
	case Declined: // like busy: whoever covers for the user gets the call
		return c.busy(next, u, 603, "Decline")
	case NoAnswer:
		return c.forward(next, u, targets(u).NoAnswer, c.reject(480, "Temporarily Unavailable"))
	}
	return c.unreachable(next, u)
}

// blank is the Decision to make the next one from.
func (d Decision) blank() Decision {
	d.Kind, d.User, d.Number, d.Trunks, d.CallerID, d.RingFor = Reject, nil, "", nil, CallerID{}, 0
	d.Visited = slices.Clone(d.Visited) // two outcomes of one Decision must not share a tail
	return d
}

// Redirect says what becomes of a call that one of by's phones sends on to another target (a 3xx, RFC 3261 §21.3): the
// same as when by had configured it, with the same bounds. Nobody is redirected to an emergency number, and an
// emergency call or a callback nowhere.
func Redirect(d Decision, by *site.User, target string) Decision {
	c := d.call
	if c == nil || d.Kind != ToUser || by == nil || d.Callback {
		return After(d, Unreachable)
	}
	target = dialled(target)
	otherwise := c.reject(480, "Temporarily Unavailable")
	if _, _, emergency := Recognise(c.site, target); emergency {
		otherwise.Visited = d.Visited
		return otherwise
	}
	return c.forward(d.blank(), by, target, otherwise)
}

// targets are a user's forward targets; none for no user.
func targets(u *site.User) site.Forward {
	if u == nil {
		return site.Forward{}
	}
	return u.Forward
}

func (c *call) busy(d Decision, u *site.User, status int, reason string) Decision {
	return c.forward(d, u, targets(u).Busy, c.reject(status, reason))
}

// unreachable is a user without a phone here: the user's cloud number, by the trunks, because the cloud may be there
// for others; then who is to take the call. Never a BYOC number: the SBC would send it right back. A call from a trunk
// does not go back out to the cloud number: its 480 makes the SBC try that by itself.
func (c *call) unreachable(d Decision, u *site.User) Decision {
	if u != nil && c.query.From.Trunk == nil && len(u.CloudNumbers) > 0 && len(c.site.Trunks()) > 0 &&
		!slices.Contains(d.Visited, u.CloudNumbers[0]) {
		d = c.outside(d, u.CloudNumbers[0])
		d.User = u
		return d
	}
	f := targets(u)
	return c.forward(d, u, cmp.Or(f.Unreachable, f.NoAnswer), c.reject(480, "Temporarily Unavailable"))
}

// forward sends the call on to a user's target, if there is one that has not been tried in this call.
func (c *call) forward(d Decision, by *site.User, target string, otherwise Decision) Decision {
	otherwise.Visited, otherwise.By, otherwise.hops = d.Visited, d.By, d.hops
	if target == "" || d.hops >= maxHops {
		return otherwise
	}
	u, n, err := c.site.Resolve(target)
	if err != nil {
		return otherwise // site.Load refuses such a target; a phone may name any
	}
	if u != nil && slices.Contains(d.Visited, u.ID) || u == nil && slices.Contains(d.Visited, string(n)) {
		return otherwise
	}
	d.By, d.hops = by, d.hops+1
	return c.to(d, u, n)
}
