package registrar

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Why a REGISTER is refused; nothing has changed then. Beside these there is *TooBriefError.
var (
	ErrTooManyContacts = errors.New("too many contacts for one user")                       // 403
	ErrFull            = errors.New("registrar is full")                                    // 503
	ErrOutOfOrder      = errors.New("CSeq not above that of the binding's last request")    // 500, RFC 3261 §10.3 step 7
	ErrBadStar         = errors.New("Contact: * with other contacts or without Expires: 0") // 400
	ErrTooLong         = errors.New("AOR, Contact or Call-ID empty or too long")            // 400
)

// TooBriefError asks the phone to register for longer: 423 with Min-Expires.
type TooBriefError struct{ Min time.Duration }

func (e *TooBriefError) Error() string { return fmt.Sprintf("expiry under %v", e.Min) }

// Bounds in bytes of what is kept.
const (
	maxField     = 512 // refused above it
	maxUserAgent = 128 // cut off
)

// Request is an authenticated REGISTER.
type Request struct {
	AOR       string // user id
	CallID    string
	CSeq      uint32
	Contacts  []Contact // empty without Star: a query
	Star      bool      // Contact: *
	Expires   int       // s, of the header; negative: none
	Brief     bool      // the phone is to come back soon: the shortest lifetime is the longest
	Flow      Flow
	Source    netip.AddrPort
	UserAgent string
}

// Register puts a REGISTER into effect, as a whole or not at all, and returns the AOR's bindings, for the 200.
//
// A request out of order is let through if the binding's connection is gone: some phones start their CSeq anew after a reboot, and
// must not wait for the binding to run out. A user with too many contacts loses those that cannot be reached before one is refused.
//
// A connection can be lost while its REGISTER is on the way here. The caller looks again after Register whether it is still there, and
// calls FlowGone if not.
func (r *Registrar) Register(now time.Time, q Request) ([]Binding, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !q.Star && len(q.Contacts) == 0 {
		return r.bindings(now, q.AOR), nil
	}
	p, err := r.plan(now, q)
	if err != nil {
		return nil, err
	}
	for _, e := range p.drop {
		r.table.remove(e)
	}
	for _, b := range p.add {
		r.table.insert(b)
	}
	if len(p.drop)+len(p.add) > 0 {
		r.generation++
	}
	return r.bindings(now, q.AOR), nil
}

func (q Request) check() error {
	if q.Star && (len(q.Contacts) > 0 || q.Expires != 0) {
		return ErrBadStar
	}
	if q.AOR == "" || len(q.AOR) > maxField || q.CallID == "" || len(q.CallID) > maxField {
		return ErrTooLong
	}
	for _, c := range q.Contacts {
		if c.URI == "" || len(c.URI) > maxField || len(c.Instance) > maxField {
			return ErrTooLong
		}
	}
	return nil
}

// plan is what a request would change.
type plan struct {
	drop []*entry
	add  []Binding
}

func (r *Registrar) plan(now time.Time, q Request) (plan, error) {
	var p plan
	if len(q.Contacts) > 4*r.maxContacts {
		return p, ErrTooManyContacts
	}
	have := r.table.users[q.AOR]
	if q.Star {
		for _, e := range have {
			if e.live(now) && late(e, q) {
				return p, ErrOutOfOrder
			}
		}
		p.drop = slices.Clone(have)
		return p, nil
	}
	for _, c := range q.Contacts {
		lifetime, err := r.lifetime(c, q)
		if err != nil {
			return p, err
		}
		for _, e := range have {
			if !e.same(c) || slices.Contains(p.drop, e) {
				continue
			}
			if e.live(now) && late(e, q) {
				return p, ErrOutOfOrder
			}
			p.drop = append(p.drop, e)
		}
		p.add = slices.DeleteFunc(p.add, func(b Binding) bool { return b.same(c) })
		if lifetime > 0 {
			c.Q, c.RegID = clampQ(c.Q), max(c.RegID, 0)
			p.add = append(p.add, Binding{AOR: q.AOR, Contact: c, CallID: q.CallID, CSeq: q.CSeq, Flow: q.Flow, Source: q.Source,
				UserAgent: q.UserAgent[:min(len(q.UserAgent), maxUserAgent)], Registered: now, Expires: now.Add(lifetime)})
		}
	}
	return p, r.fit(now, have, &p)
}

// late: the request is older than what the binding has from the same phone.
func late(e *entry, q Request) bool {
	return e.CallID == q.CallID && q.CSeq <= e.CSeq && e.Reachable()
}

// fit makes room by dropping the user's unreachable bindings, stalest first, and reports whether there is room.
func (r *Registrar) fit(now time.Time, have []*entry, p *plan) error {
	if len(p.add) == 0 {
		return nil
	}
	var stay []*entry
	for _, e := range have {
		if e.live(now) && !slices.Contains(p.drop, e) {
			stay = append(stay, e)
		}
	}
	slices.SortStableFunc(stay, func(a, b *entry) int { return a.Registered.Compare(b.Registered) })
	over := len(stay) + len(p.add) - r.maxContacts
	for _, e := range stay {
		if over > 0 && !e.Reachable() {
			p.drop = append(p.drop, e)
			over--
		}
	}
	if over > 0 {
		return ErrTooManyContacts
	}
	if len(r.table.expiry)-len(p.drop)+len(p.add) > r.maxBindings {
		return ErrFull
	}
	return nil
}

// lifetime granted to a contact; 0 removes it.
func (r *Registrar) lifetime(c Contact, q Request) (time.Duration, error) {
	seconds := c.Expires
	if seconds < 0 {
		seconds = q.Expires
	}
	longest := r.max
	if q.Brief {
		longest = r.min
	}
	if seconds < 0 {
		return min(r.standard, longest), nil
	}
	d := time.Duration(min(seconds, 1<<30)) * time.Second
	if d > 0 && d < r.min {
		return 0, &TooBriefError{r.min}
	}
	return min(d, longest), nil
}
