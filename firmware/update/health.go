package update

import (
	"sync"
	"time"
)

// Health is what reading a slot back has found.
type Health struct {
	Verdict Verdict   `json:"verdict,omitempty"`
	Why     string    `json:"why,omitempty"` // what is wrong, or why nothing can be said
	At      time.Time `json:"at,omitzero"`
}

// Verdict is a word about a slot.
type Verdict string

// The verdicts.
const (
	Unchecked Verdict = "" // not yet, or it cannot be
	Whole     Verdict = "whole"
	Damaged   Verdict = "damaged"
)

// Slots is the health of both.
type Slots struct {
	A Health `json:"a"`
	B Health `json:"b"`
}

// Of is that of one.
func (s *Slots) Of(slot Slot) *Health {
	if slot == A {
		return &s.A
	}
	return &s.B
}

// healths is what is known of both slots. Each word about a slot makes worthless what a look that is under way will find.
type healths struct {
	mu    sync.Mutex
	slots Slots
	words int
}

// now is what is known, and by which word.
func (h *healths) now() (Slots, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slots, h.words
}

// say notes a slot's health.
func (h *healths) say(s Slot, now Health) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*h.slots.Of(s) = now
	h.words++
}

// found notes what a look has found that began at word; false: something has been said since.
func (h *healths) found(s Slot, now Health, word int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.words != word {
		return false
	}
	*h.slots.Of(s) = now
	return true
}
