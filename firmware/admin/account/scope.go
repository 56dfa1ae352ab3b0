// Package account keeps who may use the admin page and its API: people with a password and a role, scripts with a token
// and scopes. They stand in one file on the card, written atomically, which the running box and the command line share.
// Sessions and the limits on guessing are package admin's job.
package account

import (
	"fmt"
	"strings"
)

// Scope is what somebody may do; a set of them is also a Scope.
type Scope uint8

// The scopes.
const (
	Read        Scope = 1 << iota // look at everything but what Trace shows
	Acknowledge                   // take note of emergency calls
	Drill                         // start and end drills, make test calls
	Trace                         // signalling of calls, and the log: who called whom, word by word
	Maintain                      // fetch the site document, update the box, bring certificates
	Accounts                      // make, change and remove accounts and tokens, which may do no more than who makes them
	None        Scope = 0
	All               = Read | Acknowledge | Drill | Trace | Maintain | Accounts
)

var scopeNames = []string{"read", "acknowledge", "drill", "trace", "maintain", "accounts"}

// Has reports whether all of want are in s.
func (s Scope) Has(want Scope) bool { return s&want == want }

// Names are the scopes of a set, in a fixed order.
func (s Scope) Names() []string {
	names := []string{}
	for i, name := range scopeNames {
		if s.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// ParseScopes reads names separated by commas.
func ParseScopes(text string) (Scope, error) {
	var s Scope
	for name := range strings.SplitSeq(text, ",") {
		one := None
		for i, known := range scopeNames {
			if strings.TrimSpace(name) == known {
				one = 1 << i
			}
		}
		if one == None {
			return None, fmt.Errorf("there is no scope %q; write some of %s", strings.TrimSpace(name), strings.Join(scopeNames, ", "))
		}
		s |= one
	}
	return s, nil
}

// Role is a person's set of scopes under a name.
type Role string

// The roles.
const (
	Viewer    Role = "viewer"
	FrontDesk Role = "front-desk"
	Admin     Role = "admin"
)

// ParseRole reads a role's name.
func ParseRole(text string) (Role, error) {
	switch r := Role(text); r {
	case Viewer, FrontDesk, Admin:
		return r, nil
	}
	return "", fmt.Errorf("there is no role %q; write %s, %s or %s", text, Viewer, FrontDesk, Admin)
}

// Scopes are what the role may do; none for a role that is not known.
func (r Role) Scopes() Scope {
	switch r {
	case Viewer:
		return Read
	case FrontDesk:
		return Read | Acknowledge
	case Admin:
		return All
	}
	return None
}

// Title is the role for people.
func (r Role) Title() string {
	switch r {
	case FrontDesk:
		return "Front desk"
	case Admin:
		return "Admin"
	}
	return "Viewer"
}
