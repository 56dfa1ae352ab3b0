package box

import (
	"strings"
	"testing"
	"time"

	"holdfast/firmware/panel"
	"holdfast/firmware/update"
)

// A damaged slot is told, with what to do and what is left, and is no reason to restart.
func TestWornOut(t *testing.T) {
	damaged, whole := update.Health{Verdict: update.Damaged, Why: "root.squashfs is not what was written"}, update.Health{Verdict: update.Whole}
	for name, x := range map[string]struct {
		runs  update.Slot
		slots update.Slots
		want  []string // of the alarm; none: no alarm
		words string
	}{
		"not read yet":  {runs: update.A, words: "unchecked unchecked"},
		"whole":         {runs: update.A, slots: update.Slots{A: whole, B: whole}, words: "whole whole"},
		"from before":   {runs: update.A, slots: update.Slots{A: whole, B: update.Health{Why: "it has no seal"}}, words: "whole unchecked"},
		"what runs":     {update.A, update.Slots{A: damaged, B: whole}, []string{"slot a, which runs, is damaged on the card (root.squashfs is not what was written)", "update the box", "slot b is good"}, "damaged whole"},
		"what runs, b":  {update.B, update.Slots{A: whole, B: damaged}, []string{"slot b, which runs, is damaged", "slot a is good"}, "whole damaged"},
		"only that":     {update.A, update.Slots{A: damaged}, []string{"slot a, which runs, is damaged", "slot b has not been checked"}, "damaged unchecked"},
		"the other":     {update.A, update.Slots{A: whole, B: damaged}, []string{"slot b, which the box would fall back to, is damaged", "the next update writes it anew", "slot a, which runs, is good"}, "whole damaged"},
		"both":          {update.B, update.Slots{A: damaged, B: damaged}, []string{"both slots of the card are damaged (slot b: root.squashfs", "leave its power on"}, "damaged damaged"},
		"other, from b": {update.B, update.Slots{A: damaged}, []string{"slot a, which the box would fall back to, is damaged", "slot b, which runs, has not been checked"}, "damaged unchecked"},
	} {
		withUpdates(t, func(_ *updates, k *keeper) {
			k.status = update.Status{Running: x.runs, State: update.State{Slot: x.runs, Good: x.runs}, Slots: x.slots}
		}, func(u *updates, k *keeper) {
			time.Sleep(time.Hour)
			alarms := u.alarms()
			if len(alarms) != min(1, len(x.want)) || k.did() != "" {
				t.Errorf("%s: alarms %q, and it did %q", name, alarms, k.did())
			}
			for _, w := range x.want {
				if !strings.Contains(strings.Join(alarms, "\n"), w) {
					t.Errorf("%s: %q is not in %q", name, w, alarms)
				}
			}
			if h := u.shown().Health; h["a"]+" "+h["b"] != x.words || u.shown().State != "confirmed" {
				t.Errorf("%s: %+v", name, u.shown())
			}
			if b := (&Box{hardware: hardware{updates: u}}); b.panelUpdate() != panel.NoUpdate {
				t.Errorf("%s: the panel shows update %d", name, b.panelUpdate())
			}
		})
	}
}
