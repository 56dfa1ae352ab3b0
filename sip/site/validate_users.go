package site

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/sip/number"
)

func (c *check) users() {
	if len(c.doc.Users) == 0 {
		c.doubtful("/users", "the site has no users", "list them: without them no phone can register")
	}
	for i := range c.doc.Users {
		u, path := &c.doc.Users[i], at("users", i)
		c.filled(path+"/id", u.ID)
		if _, twice := c.byID[u.ID]; twice {
			c.wrong(path+"/id", fmt.Sprintf("user %q is there already", u.ID), "give every user an id of its own")
		}
		c.byID[u.ID] = u
		c.filled(path+"/name", u.Name)
		c.userNumbers(u, path)
		c.auth(u, path+"/auth")
		c.zoneRef(path+"/zone", u.Zone)
		c.between(path+"/no_answer_after_s", u.NoAnswerAfter, 1, 600)
	}
	// People call back the number that they were shown.
	const nobody, fix = "is nobody's number here: who calls it back reaches nobody", "make it a BYOC number of the user who answers for the site"
	if n := c.doc.Site.MainNumber; n != "" && c.byNumber[n] == nil {
		c.doubtful("/site/main_number", nobody, fix)
	}
	for i, t := range c.doc.Trunks {
		if t.MainNumber != c.doc.Site.MainNumber && c.byNumber[t.MainNumber] == nil {
			c.doubtful(at("trunks", i)+"/main_number", nobody, fix)
		}
	}
}

// userNumbers checks the four forms; each number belongs to one user, in one form.
func (c *check) userNumbers(u *User, path string) {
	c.extension(path+"/extension", u.Extension, u)
	if u.LongExtension != u.Extension {
		c.extension(path+"/long_extension", u.LongExtension, u)
	}
	for i, n := range u.CloudNumbers {
		if p := path + at("cloud_numbers", i); c.e164(p, n) {
			c.claim(p, n, u)
		}
	}
	for i, n := range u.BYOCNumbers {
		if p := path + at("byoc_numbers", i); c.e164(p, n) {
			c.claim(p, n, u)
		}
	}
}

func (c *check) extension(path, ext string, u *User) {
	if !number.IsDigits(ext) || len(ext) > 15 {
		c.wrong(path, fmt.Sprintf("%q is not 1 to 15 digits", ext), "give only digits")
		return
	}
	if c.plan != nil {
		if n, clash := c.plan.Emergency(ext, c.Site.emergency); clash {
			c.wrong(path, fmt.Sprintf("%q is what people dial for emergency number %s", ext, n), "give the user another extension")
			return
		}
		if n, clash := c.plan.Emergency(ext, c.test); clash {
			c.wrong(path, fmt.Sprintf("%q is what people dial for test number %s", ext, n), "give the user another extension")
			return
		}
		if ext == c.plan.External() {
			c.wrong(path, fmt.Sprintf("%q is the external prefix", ext), "give the user another extension")
			return
		}
	}
	c.claim(path, ext, u)
}

func (c *check) claim(path, n string, u *User) {
	if first, taken := c.forms[n]; taken {
		c.wrong(path, fmt.Sprintf("%s is there already, at %s", n, first), "give every number to one user, in one form")
		return
	}
	c.forms[n] = path
	c.byNumber[n] = u
}

func (c *check) auth(u *User, path string) {
	name := u.Auth.Username
	switch {
	case name == "":
		c.wrong(path+"/username", "is missing or empty", "give what the phones register as")
	case len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`:@"\<>;?&%,`, r)
	}):
		c.wrong(path+"/username", fmt.Sprintf("%q cannot stand in a SIP address", name), "use up to 64 letters, digits, dots, dashes")
	default:
		if _, twice := c.byUsername[name]; twice {
			c.wrong(path+"/username", fmt.Sprintf("%q is another user's", name), "give every user a name of its own")
		}
		c.byUsername[name] = u
	}
	if len(u.Auth.HA1) == 0 {
		c.wrong(path+"/ha1", "is missing or empty", "give at least one of SHA-256, MD5")
	}
	for _, algorithm := range slices.Sorted(maps.Keys(u.Auth.HA1)) {
		value := u.Auth.HA1[algorithm]
		path := path + "/ha1/" + escapePointer(algorithm)
		n := ha1Length(algorithm)
		switch {
		case n == 0:
			c.wrong(path, fmt.Sprintf("algorithm %q is not known", algorithm), "use SHA-256 or MD5")
		case !isHex(value, n) || value != strings.ToLower(value):
			// The value is as good as a password: it is not repeated here.
			c.wrong(path, fmt.Sprintf("is no %s value", algorithm), fmt.Sprintf("give %d hex digits in lower case", n))
		}
	}
}

// forwards checks where users' calls go on to. Whether a number is somebody's is known only when all users are.
func (c *check) forwards() {
	if c.plan == nil {
		return
	}
	always := make(map[*User]*User)
	for i := range c.doc.Users {
		u, path := &c.doc.Users[i], at("users", i)+"/forward"
		if u.Forward == (Forward{}) {
			continue
		}
		always[u] = c.target(path+"/always", u.Forward.Always, u)
		c.target(path+"/busy", u.Forward.Busy, u)
		c.target(path+"/no_answer", u.Forward.NoAnswer, u)
		c.target(path+"/unreachable", u.Forward.Unreachable, u)
	}
	// Busy and no answer may go round (two colleagues cover each other): there the call knows where it has been. Always
	// going round rings nobody.
	walk := make(map[*User]*User) // user → where the walk that came by first began
	for i := range c.doc.Users {
		start := &c.doc.Users[i]
		u := start
		for u != nil && walk[u] == nil {
			walk[u], u = start, always[u]
		}
		if u != nil && walk[u] == start && always[u] != nil {
			c.wrong(c.pathOf(u)+"/forward/always", "goes round in a circle and rings nobody", "end it at a phone or outside")
		}
	}
}

func (c *check) pathOf(u *User) string {
	for i := range c.doc.Users {
		if &c.doc.Users[i] == u {
			return at("users", i)
		}
	}
	return "/users"
}

// target checks one forward target and returns the user it is, if any.
func (c *check) target(path, target string, from *User) *User {
	if target == "" {
		return nil
	}
	if _, emergency := c.plan.Emergency(target, c.Site.emergency); emergency {
		c.wrong(path, fmt.Sprintf("%q is an emergency number", target), "forward to a person")
		return nil
	}
	u, _, err := c.Resolve(target)
	switch {
	case err != nil:
		c.wrong(path, fmt.Sprintf("%q is neither an extension here nor a number that can be dialled (%v)", target, err),
			"use an extension of the site or an E.164 number")
	case u != nil && u == from:
		c.wrong(path, fmt.Sprintf("%q is the user's own number", target), "forward to somebody else, or leave it out")
		return nil
	}
	return u
}
