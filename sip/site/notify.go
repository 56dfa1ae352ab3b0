package site

import "fmt"

// maxNotify bounds whose phones ring with a notice: it is for those who can help at once, not for everybody.
const maxNotify = 32

// NotifyUsers returns those whose phones ring with the notice of an emergency call: those of Emergency.Notify, or, where
// that is empty, the people of the security desk. Each comes once; there may be none.
func (s *Site) NotifyUsers() []*User {
	list := s.doc.Emergency.Notify
	if len(list) == 0 {
		list = s.doc.Emergency.Security
	}
	var users []*User
	seen := make(map[*User]bool)
	for _, target := range list {
		if u, _, err := s.Resolve(target); err == nil && u != nil && !seen[u] {
			seen[u] = true
			users = append(users, u)
		}
	}
	return users
}

// noticeList checks whose phones ring with the notice (47 CFR §9.16(b)(2): where somebody is likely to see or hear it).
func (c *check) noticeList() {
	list := c.doc.Emergency.Notify
	if c.plan == nil {
		return
	}
	if len(list) > maxNotify {
		c.wrong("/emergency/notify", fmt.Sprintf("has %d entries", len(list)), fmt.Sprintf("name at most %d who can help at once", maxNotify))
		return
	}
	if len(list) == 0 && len(c.NotifyUsers()) == 0 {
		c.doubtful("/emergency/notify", "is empty, and nobody of the security desk is here", "list whose phones ring when somebody here calls for help")
	}
	seen := make(map[*User]bool)
	for i, target := range list {
		path := at("emergency/notify", i)
		before := len(c.errs)
		u := c.target(path, target, nil)
		switch {
		case target == "":
			c.wrong(path, "is empty", "use an extension of the site, or remove it")
		case len(c.errs) > before:
		case u == nil:
			c.wrong(path, fmt.Sprintf("%s is nobody here", target), "use an extension of the site: a notice rings phones of the branch")
		case seen[u]:
			c.wrong(path, fmt.Sprintf("%s rings with this notice already", u.Name), "remove it")
		}
		seen[u] = true
	}
}
