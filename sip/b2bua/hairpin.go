package b2bua

// A call from a trunk may go out over a trunk again: its user is forwarded to a number outside. Should the SBC route that number back
// here, the call goes round. Max-Forwards does not end that: a B2BUA, as most SBCs are, begins anew with it. So the box counts.

// maxHairpins is how many calls of one caller to one number may be on their way out again and unanswered at the same time. Two people
// behind one number may well call the same third one; a loop would take every channel.
const maxHairpins = 3

// turnsBack counts the call among those that go out by the way they came; false when there are too many of its like.
func (c *Call) turnsBack() bool {
	if c.origin.Trunk == nil || c.state != Dialling || c.emergency && !c.decision.Away || c.hairpin != "" {
		return true
	}
	key := c.query.Target + "\x00" + c.query.Caller.Number
	if c.decision.Away {
		key = c.query.Target // whoever it shows as its caller the next time round
	}
	a := c.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hairpins[key] >= maxHairpins {
		return false
	}
	a.hairpins[key]++
	c.hairpin = key
	return true
}

// straightened is to be called when the call is answered or over.
func (c *Call) straightened() {
	if c.hairpin == "" {
		return
	}
	a := c.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hairpins[c.hairpin]--; a.hairpins[c.hairpin] <= 0 {
		delete(a.hairpins, c.hairpin)
	}
	c.hairpin = ""
}
