package b2bua

import "time"

// park leaves the party that stays alone at a place, from where anybody can fetch it by the feature code.
func (c *Call) park() {
	m := c.moving
	c.entertain(m.stays, HoldMusic)
	c.notifyEnd(m, refusal{status: 200, reason: "OK"})
	c.dismiss(m.by)
	c.log.Info("parked", "place", m.place, "leg", m.stays.name, "aor", m.stays.aor())
	wait := time.Duration(c.site.Doc().Options.Features.ParkTimeout) * time.Second
	m.timer = c.after(wait, func() { c.feed(inParkTime, nil, nil) })
}

func (a *Agent) enterPark(place string, c *Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parks[place] != nil {
		return false
	}
	a.parks[place] = c
	return true
}

// unpark leaves the place.
func (c *Call) unpark() {
	if c.moving != nil {
		c.moving.timer.stop()
		c.unparkFrom(c.moving)
	}
}

func (c *Call) unparkFrom(m *transfer) {
	if m.place == "" {
		return
	}
	c.agent.mu.Lock()
	defer c.agent.mu.Unlock()
	if c.agent.parks[m.place] == c {
		delete(c.agent.parks, m.place)
	}
	m.place = ""
}
