// Package route decides where a call goes and as whom: to a user's phones, to the trunks, to the emergency service, or
// nowhere. It is pure: Decide and After look at the site document, at a Policy that says whether the box serves, and at
// a View of who is registered and who called for help; they ring nobody. Forking, timers, trunk failover and rate limits
// are sip/b2bua's, emergency location numbers and pins sip/elin's.
package route

import (
	"time"

	"holdfast/sip/elin"
	"holdfast/sip/site"
)

// Origin is who calls. The zero Origin is a device that has not authenticated: only its emergency calls are served.
type Origin struct {
	User   *site.User   // an authenticated user's phone
	Trunk  *site.Trunk  // the SBC
	Device *site.Device // a device known by its address
}

// FromUser is a call by a phone that authenticated as the user.
func FromUser(u *site.User) Origin { return Origin{User: u} }

// FromTrunk is a call by a trunk.
func FromTrunk(t *site.Trunk) Origin { return Origin{Trunk: t} }

// FromDevice is a call by a device known by its address; u is its user, or nil.
func FromDevice(d *site.Device, u *site.User) Origin { return Origin{Device: d, User: u} }

// Query is a call as it comes in.
type Query struct {
	From    Origin
	Scheme  string   // of the Request-URI: "sip", "sips", "tel", "urn"
	Target  string   // user part as dialled, escaped or not, with or without parameters; or the urn
	Host    string   // host part of the Request-URI, without port; "" skips the domain check
	Visited []string // user IDs and numbers already tried for this call (3xx from a phone, transfer)
	Caller  CallerID // from a trunk: who it says is calling; shown to the user
	Privacy bool     // the caller asked for id privacy (RFC 3323, RFC 3325)

	PSAPCallback bool // the request has "Priority: psap-callback" (RFC 7090); believed of a trunk only
}

// CallerID is whom the called side sees.
type CallerID struct {
	Number  string // E.164; an extension for a call inside; "" if not known
	Name    string
	Private bool // not to be shown: anonymous From, Privacy: id
}

// View is who is here.
type View interface {
	// Registered reports whether a phone of the user can be reached.
	Registered(userID string) bool
	// Here reports whether the very phone that called for help can be rung.
	Here(who elin.Caller) bool
	// Stays reports whether it is known not to have left: a phone on UDP that has no binding may be elsewhere by now, though
	// it can still be rung.
	Stays(who elin.Caller) bool
	// Pinned says who called for help under a number in E.164 (sip/elin.Table.Callback); zero: nobody.
	Pinned(number string) elin.Callback
}

// Policy is what the mode allows. Emergency calls and emergency callbacks are outside of it. The zero Policy serves
// nobody.
type Policy struct {
	Serve         bool            // calls from phones and from the SBC are served
	DrillUsers    map[string]bool // by user ID: only these are served, a drill for named users; nil: all
	EmergencyOnly bool            // nothing else is served
	Cloud         bool            // the cloud is there: a callback may ring a caller by the cloud number
}

func (p Policy) serves(u *site.User) bool {
	return p.Serve && !p.EmergencyOnly && (p.DrillUsers == nil || u != nil && p.DrillUsers[u.ID])
}

// Kind is what becomes of a call. (Hunt groups and queues will be one more, chosen in call.to.)
type Kind int

const (
	Reject    Kind = iota // answer with Status and Reason
	ToUser                // ring the phones of User
	ToTrunk               // send Number to Trunks
	Emergency             // send Number to Trunks as each one's EmergencyForm says
	Pickup                // take the call that rings at User
	Park                  // fetch the call that is parked at Number, or park there the one that is transferred
)

func (k Kind) String() string {
	return [...]string{"reject", "user", "trunk", "emergency", "pickup", "park"}[k]
}

// Decision is what to do with a call. When that does not bring an answer, After says what is next.
type Decision struct {
	Kind     Kind
	User     *site.User    // ToUser, Pickup: whose phones ring. ToTrunk: whose cloud number it is, if any
	Number   string        // ToTrunk: E.164. Emergency: the emergency number without prefix, or the urn. Park: the place
	Trunks   []*site.Trunk // in the order in which to try them; may be empty for Emergency only
	CallerID CallerID
	RingFor  time.Duration // ToUser, Callback: how long before it is NoAnswer
	Test     bool          // Emergency: a test number, such as 933
	Callback bool          // a callback, or an emergency call at the security desk: never ended for another call, never refused as busy
	Targets  []Target      // Callback: what rings together, if it is not all the phones of User, or Number, alone
	Alarm    Alarm         // to be raised now
	Away     bool          // Callback: Number is a caller's own, by way of the cloud; it rings for RingFor only
	Announce bool          // the caller is to hear why, in words
	By       *site.User    // who forwarded the call here, or nil
	Status   int           // Reject: SIP status; with 503 the caller adds Retry-After
	Reason   string        // Reject: reason phrase
	Visited  []string      // user IDs and numbers tried, this one included

	call *call         // for After
	hops int           // forwards so far
	step step          // Callback: what comes next
	pins elin.Callback // Callback: who called for help
	desk []string      // security desk entries still to try
	away int           // callers rung by the cloud so far
}

// Alarm is why people have to be told, in words.
type Alarm string

const (
	AlarmNoTrunk Alarm = "no trunk took an emergency call" // the security desk is rung
	AlarmNobody  Alarm = "nobody took an emergency call or its callback"
)

// Target is one of those that ring together. The first target is also the Decision's User or Number.
type Target struct {
	User     *site.User   // whose phones ring; nil for Number, and for the phone of nobody in particular
	Only     *elin.Caller // just this phone
	But      *elin.Caller // all of the user's phones but this one; of nobody in particular: all that call from its address
	Number   string       // outside, E.164: by the Decision's Trunks
	CallerID CallerID     // what is shown there
}
