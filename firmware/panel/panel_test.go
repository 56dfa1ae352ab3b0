package panel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/hal"
)

// play presses buttons and notes what happens as "seconds:what": actions, and each new view on a good day. Words: m a r go
// down, M A R come up, ok and no answer an action, 911 raises the alarm, a number passes so many seconds, ticking when Next says so.
func play(t *testing.T, p *Panel, script string) string {
	t.Helper()
	now, facts, last := epoch, well, ""
	var log []string
	note := func(do []Action) {
		for _, a := range do {
			log = append(log, fmt.Sprintf("%g:!%s", now.Sub(epoch).Seconds(), a))
		}
		if v := text(p.View(now, facts)); v != last {
			log = append(log, fmt.Sprintf("%g:%s", now.Sub(epoch).Seconds(), v))
			last = v
		}
	}
	note(nil)
	for word := range strings.FieldsSeq(script) {
		k := slices.Index([]string{"m", "a", "r"}, strings.ToLower(word))
		switch {
		case k >= 0:
			note(p.Change(hal.Change{Key: hal.Key(k), Down: word == strings.ToLower(word), At: now}))
		case word == "ok" || word == "no":
			p.Done(now, word == "ok")
			note(nil)
		case word == "911":
			facts.EmergencyLight, facts.EmergencyBuzzer = hal.Fast, hal.Fast
			note(nil)
		default:
			var seconds float64
			if _, err := fmt.Sscan(word, &seconds); err != nil {
				t.Fatal(err)
			}
			end := now.Add(time.Duration(seconds * float64(time.Second)))
			for next := p.Next(now); !next.IsZero() && !next.After(end); next = p.Next(now) {
				now = next
				note(p.Tick(now))
			}
			now = end
		}
	}
	return strings.Join(log, "; ")
}

func TestPresses(t *testing.T) {
	for _, c := range []struct {
		name, script string
		restore      bool
		want         string
	}{
		{"nothing", "100", false, "0:steady steady - - -"},
		{"mode, tapped: lamp test, second page, first page", "1 m 0.2 M 60", false,
			"0:steady steady - - -; 1.2:steady steady steady steady -; 2.2:- steady - - -; 12.2:steady steady - - -"},
		{"mode, tapped twice: back at once", "1 m 0.2 M 3 m 0.2 M 60", false,
			"0:steady steady - - -; 1.2:steady steady steady steady -; 2.2:- steady - - -; 4.4:steady steady - - -"},
		{"mode, held: blinks until it is obeyed", "1 m 10 M 1", false,
			"0:steady steady - - -; 1.5:steady steady fast - -; 6:!start or end a drill; 6:steady steady - - -"},
		{"mode, let go before: no drill, but the second page", "1 m 4.9 M 0.5 m 0.1 M", false,
			"0:steady steady - - -; 1.5:steady steady fast - -; 5.9:steady steady steady steady -; 6.5:steady steady - - -"},
		{"mode, held twice", "0 m 6 M 1 m 6 M", false,
			"0:steady steady - - -; 0.5:steady steady fast - -; 5:!start or end a drill; 5:steady steady - - -; 7.5:steady steady fast - -; 12:!start or end a drill; 12:steady steady - - -"},
		{"mode, held since before the start", "1 M 10", false, "0:steady steady - - -"},
		{"ack works at once", "1 a 0.1 A", false, "0:steady steady - - -; 1:!silence the buzzer"},
		{"ack, held", "1 a 100 A", false, "0:steady steady - - -; 1:!silence the buzzer"},
		{"reset while the box runs does nothing", "1 r 100 R", false, "0:steady steady - - -"},
		{"reset at power-up", "20 R 1", true, "0:fast steady - - -; 10:!go back to what was good last; 10:steady steady - - -"},
		{"reset at power-up, let go too early", "9.9 R 20 r 20 R", true, "0:fast steady - - -; 9.9:steady steady - - -"},
		{"reset at power-up, and mode tapped", "1 m 0.1 M 15", true,
			"0:fast steady - - -; 1.1:fast steady steady steady -; 2.1:fast steady - - -; 10:!go back to what was good last; 10:- steady - - -; 12.1:steady steady - - -"},
		{"obeyed", "1 ok 5", false, "0:steady steady - - -; 1:steady steady - - steady; 1.3:steady steady - - -"},
		{"refused", "1 no 5", false, "0:steady steady - - -; 1:fast steady - - fast; 2:steady steady - - -"},
		{"an emergency is never covered", "1 911 1 m 0.1 M 5 no 2 ok 10", false,
			"0:steady steady - - -; 1:steady steady - fast fast; 2.1:steady steady steady fast fast; 3.1:- steady - fast fast; " +
				"7.1:fast steady - fast fast; 8.1:- steady - fast fast; 13.1:steady steady - fast fast"},
	} {
		if got := play(t, New(epoch, c.restore), c.script); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}
