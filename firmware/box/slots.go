package box

import (
	"cmp"
	"fmt"
	"holdfast/firmware/update"
)

// wornOut tells of slots that are no longer what was written into them: of the one that runs, which loses its files one by one as they are
// needed, and of the one that the box falls back to. It is an alarm and nothing more: a box that serves is not restarted for it.
func wornOut(s update.Status) []string {
	runs, other := s.Slots.Of(s.Running), s.Slots.Of(s.Running.Other())
	a, b := "slot "+s.Running.String(), "slot "+s.Running.Other().String()
	switch {
	case runs.Verdict == update.Damaged && other.Verdict == update.Damaged:
		return []string{fmt.Sprintf("both slots of the card are damaged (%s: %s; %s: %s), and the box may not start again: leave its power on, and bring a new card", a, runs.Why, b, other.Why)}
	case runs.Verdict == update.Damaged:
		return []string{fmt.Sprintf("%s, which runs, is damaged on the card (%s): update the box (the same version: by force), or bring a new card; %s %s", a, runs.Why, b, isGood(other))}
	case other.Verdict == update.Damaged:
		return []string{fmt.Sprintf("%s, which the box would fall back to, is damaged on the card (%s): the next update writes it anew; %s, which runs, %s", b, other.Why, a, isGood(runs))}
	}
	return nil
}

// isGood is what can be said of a slot beside a damaged one.
func isGood(h *update.Health) string {
	if h.Verdict == update.Whole {
		return "is good"
	}
	return "has not been checked"
}

// slotHealth is the word for each slot.
func slotHealth(s update.Slots) map[string]string {
	out := make(map[string]string)
	for _, slot := range []update.Slot{update.A, update.B} {
		out[slot.String()] = cmp.Or(string(s.Of(slot).Verdict), "unchecked")
	}
	return out
}
