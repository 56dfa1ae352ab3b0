package elin

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Caller is who called for help, as a callback needs it. What tells callers apart is the device; without one the user, and
// for a phone that is no user's the address that it calls from; and of those the phone, by its instance or its binding. What
// a phone says of itself counts only among the phones of its user or its address.
type Caller struct {
	User     string         `json:"user,omitempty"`     // site.User.ID
	Device   string         `json:"device,omitempty"`   // site.Device.ID
	Instance string         `json:"instance,omitempty"` // +sip.instance (RFC 5626)
	Binding  string         `json:"binding,omitempty"`  // Contact URI of the phone
	Source   string         `json:"source,omitempty"`   // IP address of the phone, without port
	At       netip.AddrPort `json:"at,omitzero"`        // of a device on UDP: where it is reached, connection or not
	Flows    Flows          `json:"-"`                  // connections that it has called over in this life of the program
	Number   string         `json:"number,omitempty"`   // the caller's own: extension
	Display  string         `json:"display,omitempty"`  // for people: "ROOM 204"
	Place    string         `json:"place,omitempty"`    // for people: the address that the PSAP got
	CallID   string         `json:"call,omitempty"`     // the box's id of the call
	Test     bool           `json:"test,omitempty"`     // a call to a test number
	Plain    bool           `json:"plain,omitempty"`    // the phone has called with plain RTP only: it may know nothing else
}

// Flows are numbers of connections, the latest first; 0: none.
type Flows [4]uint64

// before puts those of earlier calls after these.
func (f Flows) before(earlier Flows) Flows {
	out, n := Flows{}, 0
	for _, x := range append(f[:], earlier[:]...) {
		if x != 0 && n < len(out) && !slices.Contains(out[:n], x) {
			out[n] = x
			n++
		}
	}
	return out
}

// The kinds of those who own pins.
const (
	device   = "device"
	user     = "user"
	stranger = "stranger" // a phone that is no user's and no known device: its address
)

// owner is whose pins count together, so that nobody takes more than a share of the table.
type owner struct{ kind, id string }

// who tells callers apart: the owner's phones. Where an owner has too many, phone is "" for those after them.
type who struct {
	owner
	phone string
}

func (c Caller) who() who {
	switch {
	case c.Device != "" && c.User == "": // a line of a gateway, perhaps
		return who{owner{device, c.Device}, c.phone(at(c.Binding))}
	case c.Device != "":
		return who{owner{device, c.Device}, ""}
	case c.User != "":
		return who{owner{user, c.User}, c.phone(c.Binding)}
	case c.Source != "":
		return who{owner{stranger, c.Source}, c.phone(at(c.Binding))}
	}
	return who{owner{stranger, ""}, c.Binding}
}

func (c Caller) phone(binding string) string {
	switch {
	case c.Instance != "":
		return "instance " + c.Instance
	case binding != "":
		return "binding " + binding
	}
	return ""
}

// any is the caller as one of all its owner's phones.
func (c Caller) any() Caller {
	c.Instance, c.Binding, c.Plain = "", "", false
	return c
}

// at is a Contact URI's user and host: a phone that has no instance comes back from another port.
func at(uri string) string {
	if _, after, ok := strings.Cut(uri, ":"); ok {
		uri = after
	}
	uri, _, _ = strings.Cut(uri, ";")
	uri, _, _ = strings.Cut(uri, "?")
	if i := strings.LastIndexByte(uri, ':'); i > strings.LastIndexAny(uri, "]@") {
		uri = uri[:i]
	}
	return strings.ToLower(uri)
}

// SamePhone reports whether two callers are one: the same device, or the same phone of one user or one address.
func (c Caller) SamePhone(o Caller) bool { return c.who() == o.who() }

// Is reports whether a phone, given by its instance, its binding and its connection, is the one that called; any is, where
// nothing is known of that.
func (c Caller) Is(instance, binding string, flow uint64) bool {
	switch {
	case flow != 0 && slices.Contains(c.Flows[:], flow):
		return true
	case c.Instance != "":
		return c.Instance == instance
	case c.Binding != "":
		return c.Binding == binding
	}
	return true
}

// MayBe is Is for a phone without an instance that may have come back from another port.
func (c Caller) MayBe(instance, binding string, flow uint64) bool {
	return c.Is(instance, binding, flow) || c.Instance == "" && instance == "" && at(c.Binding) == at(binding)
}

func (a who) compare(b who) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id), cmp.Compare(a.phone, b.phone))
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
