package update

import "fmt"

// Confirm says that the version that is on trial has proven itself: it boots from now on. Without a trial it does nothing.
func (c *Card) Confirm() error {
	if !c.Trial {
		return nil
	}
	if !c.writing.TryLock() {
		return ErrBusy
	}
	defer c.writing.Unlock()
	switch s, _ := c.readState(); {
	case s.Slot != c.Running:
		return fmt.Errorf("slot %s is on trial, but slot %s is to boot: nothing is confirmed", c.Running, s.Slot)
	case s.Good != c.Running:
		if err := c.withBoot(func() error { return c.writeState(State{Slot: c.Running, Good: c.Running}) }); err != nil {
			return err
		}
	}
	return c.mark("confirmed")
}

// GiveUp goes back to the slot that was good last, with the next start; it reports whether there is anything to go back from.
func (c *Card) GiveUp() (bool, error) {
	if !c.writing.TryLock() {
		return false, ErrBusy
	}
	defer c.writing.Unlock()
	s, _ := c.readState()
	if s.Slot == s.Good {
		return false, nil
	}
	next := State{Slot: s.Good, Good: s.Good}
	if c.Trial {
		next.Failed = s.Slot
	}
	return true, c.withBoot(func() error { return c.switchTo(next) })
}
