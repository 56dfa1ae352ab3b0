package admin

import (
	"sync"
	"time"
)

// mostUses bounds what is remembered; only what has authenticated is.
const mostUses = 1000

// uses is when accounts logged in and tokens served last. It is in RAM, as sessions are: nobody's requests make the box write
// to its card.
type uses struct {
	now func() time.Time
	mu  sync.Mutex
	at  map[string]time.Time
}

func newUses(now func() time.Time) *uses { return &uses{now: now, at: make(map[string]time.Time)} }

// tokenUse is a token's place beside the names of accounts, none of which has a control character.
func tokenUse(id string) string { return "\x00" + id }

func (u *uses) note(what string) {
	now := u.now().UTC()
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.at[what]; !known && len(u.at) >= mostUses {
		clear(u.at)
	}
	u.at[what] = now
}

// last is zero for what has not been used since the program began.
func (u *uses) last(what string) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[what]
}

func (u *uses) forget(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.at, what)
}
