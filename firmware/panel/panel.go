package panel

import (
	"time"

	"holdfast/hal"
)

// How long a button is held, and how long what follows is shown.
const (
	DrillHeld   = 5 * time.Second  // mode: start or end a drill
	RestoreHeld = 10 * time.Second // reset, from power-up on: back to the boot file and what was good last
	PageShown   = 10 * time.Second // the second page, after the lamp test
	LampTest    = time.Second

	noticed  = 500 * time.Millisecond // a press longer than a tap blinks: keep holding
	accepted = 300 * time.Millisecond // of the buzzer
	refused  = time.Second
)

// Action is what a press asks for.
type Action uint8

// The actions.
const (
	Drill   Action = iota + 1 // start one, or end the one that runs
	Silence                   // the buzzer; the emergency call stays unacknowledged
	Restore                   // back to the boot file and what was good last
)

// String is the action in words.
func (a Action) String() string {
	return [...]string{"nothing", "start or end a drill", "silence the buzzer", "go back to what was good last"}[a]
}

// Panel is the front of one box. It is not safe for concurrent use: one goroutine feeds it.
type Panel struct {
	modeSince  time.Time // held since; zero: it is up, or its press has been obeyed
	resetSince time.Time // held since the start
	pageFrom   time.Time // the second page is shown from here on, after its lamp test
	answer     hal.Pattern
	answerTo   time.Time
}

// New makes the panel of a box that starts. restore: the power has just come, and reset is held down.
func New(now time.Time, restore bool) *Panel {
	p := new(Panel)
	if restore {
		p.resetSince = now
	}
	return p
}

// Change takes a button's change.
func (p *Panel) Change(c hal.Change) []Action {
	switch c.Key {
	case hal.Mode:
		tapped := !c.Down && !p.modeSince.IsZero()
		p.modeSince = time.Time{}
		switch {
		case c.Down:
			p.modeSince = c.At
		case tapped && p.second(c.At):
			p.pageFrom = time.Time{} // back to the first
		case tapped:
			p.pageFrom = c.At
		}
	case hal.Ack:
		if c.Down { // whoever hears a buzzer does not wait for the right length of a press
			return []Action{Silence}
		}
	case hal.Reset:
		p.resetSince = time.Time{}
	}
	return nil
}

// Tick tells the panel the time: presses are obeyed while they are held, so that one sees when to let go.
func (p *Panel) Tick(now time.Time) (do []Action) {
	if !p.modeSince.IsZero() && now.Sub(p.modeSince) >= DrillHeld {
		p.modeSince = time.Time{}
		do = append(do, Drill)
	}
	if !p.resetSince.IsZero() && now.Sub(p.resetSince) >= RestoreHeld {
		p.resetSince = time.Time{}
		do = append(do, Restore)
	}
	return do
}

// Done tells how an action went: the buzzer says so, and the power light when it did not go.
func (p *Panel) Done(now time.Time, ok bool) {
	p.answer, p.answerTo = hal.Steady, now.Add(accepted)
	if !ok {
		p.answer, p.answerTo = hal.Fast, now.Add(refused)
	}
}

// Next is when time alone changes something: Tick and View are due. Zero: it does not.
func (p *Panel) Next(now time.Time) (next time.Time) {
	soonest := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if !p.modeSince.IsZero() {
		soonest(p.modeSince.Add(noticed))
		soonest(p.modeSince.Add(DrillHeld))
	}
	if !p.resetSince.IsZero() {
		soonest(p.resetSince.Add(RestoreHeld))
	}
	if !p.pageFrom.IsZero() {
		soonest(p.pageFrom.Add(LampTest))
		soonest(p.pageFrom.Add(LampTest + PageShown))
	}
	soonest(p.answerTo)
	return next
}

// View is what the lights show now.
func (p *Panel) View(now time.Time, f Facts) View {
	v := first(f)
	if p.second(now) {
		if v = second(f); now.Sub(p.pageFrom) < LampTest {
			for o := range hal.Buzzer {
				if f.EmergencyLight == hal.Off || o != hal.Alarm {
					v[o] = Light{hal.Steady, "lamp test"}
				}
			}
		}
	}
	if !p.modeSince.IsZero() && now.Sub(p.modeSince) >= noticed {
		v[hal.Service] = Light{hal.Fast, "keep holding: a drill begins or ends"}
	}
	if !p.resetSince.IsZero() {
		v[hal.Power] = Light{hal.Fast, "keep holding: the box goes back to what was good last"}
	}
	if now.Before(p.answerTo) {
		if p.answer == hal.Fast {
			v[hal.Power] = Light{hal.Fast, "that cannot be done now"}
		}
		if f.EmergencyBuzzer == hal.Off {
			v[hal.Buzzer] = Light{Pattern: p.answer}
		}
	}
	return v
}

func (p *Panel) second(now time.Time) bool {
	return !p.pageFrom.IsZero() && now.Sub(p.pageFrom) < LampTest+PageShown
}
