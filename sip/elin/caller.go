package elin

import (
	"cmp"
	"strings"
)

// Caller is who called for help, as a callback needs it. What tells callers apart is the device; without one the user
// with the phone's instance, or its binding, or neither; and for a phone that is no user's, the address that it calls
// from, since all else is only what it says of itself.
type Caller struct {
	User     string `json:"user,omitempty"`     // site.User.ID
	Device   string `json:"device,omitempty"`   // site.Device.ID
	Instance string `json:"instance,omitempty"` // +sip.instance (RFC 5626)
	Binding  string `json:"binding,omitempty"`  // Contact URI of the phone
	Source   string `json:"source,omitempty"`   // IP address of the phone, without port
	Number   string `json:"number,omitempty"`   // the caller's own: extension
	Display  string `json:"display,omitempty"`  // for people: "ROOM 204"
	Place    string `json:"place,omitempty"`    // for people: the address that the PSAP got
	CallID   string `json:"call,omitempty"`     // the box's id of the call
	Test     bool   `json:"test,omitempty"`     // a call to a test number
}

// stranger is the kind of a phone that is no user's and no known device.
const stranger = "stranger"

// who tells callers apart.
type who struct{ kind, user, id string }

func (c Caller) who() who {
	switch {
	case c.Device != "":
		return who{"device", "", c.Device}
	case c.User != "" && c.Instance != "":
		return who{"instance", c.User, c.Instance}
	case c.User != "" && c.Binding != "":
		return who{"binding", c.User, c.Binding}
	case c.User != "":
		return who{"user", c.User, ""}
	case c.Source != "":
		return who{stranger, "", c.Source}
	}
	return who{stranger, "", c.Binding}
}

// SamePhone reports whether two callers are one: the same device, user's phone or source.
func (c Caller) SamePhone(o Caller) bool { return c.who() == o.who() }

func (a who) compare(b who) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.user, b.user), cmp.Compare(a.id, b.id))
}

// Longest texts that are kept of a caller, bytes. Who a caller is must not be cut: what is longer is left out, and the
// next best thing tells callers apart.
const (
	maxIdentity = 1024
	maxText     = 256
)

// bounded copies the texts, which may be cut out of a whole message, and bounds them.
func (c Caller) bounded() Caller {
	for _, s := range []*string{&c.User, &c.Device, &c.Instance, &c.Binding, &c.Source, &c.CallID} {
		if len(*s) > maxIdentity {
			*s = ""
		}
		*s = strings.Clone(strings.ToValidUTF8(*s, "\uFFFD"))
	}
	for _, s := range []*string{&c.Number, &c.Display, &c.Place} {
		*s = strings.ToValidUTF8(strings.Clone((*s)[:min(len(*s), maxText)]), "")
	}
	return c
}
