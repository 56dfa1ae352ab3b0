package trunk

import (
	"slices"
	"time"
)

// A call for help that runs on a trunk outlives a document that no longer has the trunk, or has it elsewhere: both sides
// must be able to end it. So the trunk stays as it was, connection and identity, until its last such call is over.

// afterUse is how long a trunk stays after that: until BYE has been answered or given up (RFC 3261 timer F).
const afterUse = 40 * time.Second

// Release hangs up the trunks that a document has removed or moved and that are no longer in use; it is to be called now and
// then. It reports whether there were any: what else is connected in their name has to go too.
func (s *Set) Release(now time.Time) bool {
	var gone []*trunk
	for _, t := range s.stay() {
		if !t.stays(now) {
			gone = append(gone, t)
			t.stop()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = slices.DeleteFunc(s.leaving, func(t *trunk) bool { return slices.Contains(gone, t) })
	return len(gone) > 0
}

// stay are the trunks that leave later.
func (s *Set) stay() []*trunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.leaving)
}

// stays reports whether the trunk is in use, or was a moment ago.
func (t *trunk) stays(now time.Time) bool {
	busy := t.set.o.InUse != nil && t.set.o.InUse(t.cfg.ID) // not with the lock: it asks those who ask for connections
	t.mu.Lock()
	defer t.mu.Unlock()
	if busy {
		t.used = now
	}
	return !t.used.IsZero() && now.Sub(t.used) < afterUse
}
