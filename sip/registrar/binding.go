package registrar

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// Flow is the connection that a phone registered over and is reached by (RFC 5626). 0: none, the phone is not reachable
// now: its connection is lost, or the binding comes from a snapshot. A device on UDP has no connection; its flow is a number that
// the caller chooses and never loses.
type Flow uint64

// Contact is one Contact header value of a REGISTER.
type Contact struct {
	URI      string
	Instance string  // +sip.instance; "" not given
	RegID    int     // reg-id; 0 not given
	Expires  int     // s; negative: not given
	Q        float64 // 0 to 1; the caller puts in 1 where none is given
}

// Binding is a phone's place in the registrar.
type Binding struct {
	AOR        string // user id
	Contact           // its Expires is as asked for; the time below is what was granted
	CallID     string
	CSeq       uint32
	Flow       Flow `json:"-"` // does not outlive the process
	Source     netip.AddrPort
	UserAgent  string
	Registered time.Time // last refreshed
	Expires    time.Time
}

// Reachable reports whether there is a connection to the phone.
func (b Binding) Reachable() bool { return b.Flow != 0 }

// same: RFC 5626 §6 by instance and reg-id; where one of the two has no instance, by the address alone (RFC 3261 §10.3).
func (c Contact) same(d Contact) bool {
	if c.Instance != "" && d.Instance != "" {
		return c.Instance == d.Instance && c.RegID == d.RegID
	}
	return c.URI == d.URI
}

// arrange puts first what a call should try first: reachable, higher q, fresher.
func arrange(list []Binding) []Binding {
	slices.SortStableFunc(list, func(a, b Binding) int {
		if a.Reachable() != b.Reachable() {
			if a.Reachable() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Q, a.Q), b.Registered.Compare(a.Registered), cmp.Compare(a.URI, b.URI))
	})
	return list
}

// Targets leaves the first of each phone in a list that Bindings made: a phone with several flows must get a call once only
// (RFC 5626 §5).
func Targets(list []Binding) []Binding {
	var out []Binding
	for _, b := range list {
		if b.Instance == "" || !slices.ContainsFunc(out, func(o Binding) bool { return o.Instance == b.Instance }) {
			out = append(out, b)
		}
	}
	return out
}

func clampQ(q float64) float64 {
	if math.IsNaN(q) {
		return 0
	}
	return min(max(q, 0), 1)
}
