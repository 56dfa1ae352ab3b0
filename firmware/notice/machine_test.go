package notice

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/hal"
)

// TestMachine plays stories. Each line is a time in seconds, what happens then, and what the machine wants done:
// "0 raise a desk,guard → ring:a:desk …". Ticks happen at the times that next asks for, and at every line.
func TestMachine(t *testing.T) {
	for name, story := range map[string]string{
		"rings at once, texts a moment later, rings again until somebody acknowledges": `
			0    raise a desk,guard → ring:a:desk ring:a:guard
			0.5  tick → message:a:desk message:a:guard
			1    sent a desk
			1    sent a guard
			25   rung desk →
			25   rung guard →
			44   tick →
			45   tick → ring:a:desk ring:a:guard
			50   clear a → stop:a:desk stop:a:guard
			50   rung desk →
			99   tick →`,
		"a desk whose phones are away is tried again soon": `
			0    raise a desk → ring:a:desk
			0    away desk →
			0.5  tick → message:a:desk
			0.6  sent a desk
			2.9  tick →
			3    tick → ring:a:desk
			10   rung desk →
			29   tick →
			30   tick → ring:a:desk`,
		"the same call is raised twice": `
			0    raise a desk → ring:a:desk
			0    raise a desk →`,
		"one desk, three calls: one at a time, and each gets its turn": `
			0    raise a desk → ring:a:desk
			0    raise b desk →
			0.1  raise c desk →
			1    tick → message:a:desk message:b:desk message:c:desk
			1    sent a desk
			1    sent b desk
			1    sent c desk
			5    rung desk → ring:b:desk
			6    rung desk → ring:c:desk
			7    rung desk →
			25   tick → ring:a:desk
			26   tick →
			30   clear b →
			31   rung desk → ring:c:desk`,
		"a call that is over before its turn does not ring": `
			0    raise a desk → ring:a:desk
			0    raise b desk →
			1    clear b → message:a:desk
			2    rung desk →
			22   tick → ring:a:desk`,
		"real calls before tests": `
			0    test  t desk → ring:t:desk
			0    raise a desk →
			0    test  u desk →
			0.5  tick → message:t:desk message:a:desk message:u:desk
			3    rung desk → ring:a:desk
			4    rung desk → ring:u:desk
			5    rung desk →`,
		"a test is over by itself": `
			0    test  t desk → ring:t:desk
			0.5  tick → message:t:desk
			1    sent t desk
			25   rung desk →
			45   tick → ring:t:desk
			89   tick →
			90   tick → over:t:
			90   clear t → stop:t:desk
			91   rung desk →
			200  tick →`,
		"a real call is never over by itself": `
			0     raise a desk → ring:a:desk
			0.5   tick → message:a:desk
			1     sent a desk
			25    rung desk →
			99999 tick → ring:a:desk`,
		"a text is sent until a phone takes it": `
			0    raise a desk → ring:a:desk
			0.5  tick → message:a:desk
			10   tick →
			11   lost a desk →
			40   tick →
			41   tick → message:a:desk
			42   sent a desk →
			999  tick →`,
		"more to say: the text goes out again, also where it was on its way": `
			0    raise a desk,guard → ring:a:desk ring:a:guard
			0.5  tick → message:a:desk message:a:guard
			1    sent a desk
			2    news a 1 → message:a:desk
			2    news a 1 →
			3    sent a guard → message:a:guard
			4    sent a guard →
			4    sent a desk →
			40   news b 1 →`,
		"nobody to ring": `
			0    raise a  →
			50   test t  →
			139  tick →
			140  tick → over:t:`,
		"reports about what is gone": `
			0    rung nobody →
			0    sent x nobody →
			0    clear x →`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(Settings{})
			t0 := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			for row := range strings.SplitSeq(strings.TrimSpace(story), "\n") {
				said, want, strict := strings.Cut(strings.TrimSpace(row), "→")
				f := append(strings.Fields(said), "", "", "")
				var seconds float64
				if _, err := fmt.Sscan(f[0], &seconds); err != nil {
					t.Fatal(err)
				}
				now := t0.Add(time.Duration(seconds * float64(time.Second)))
				var done []action
				switch f[1] {
				case "raise", "test":
					m.raise(now, f[2], f[1] == "test", strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' }))
				case "news":
					m.retell(now, f[2], 1)
				case "rung":
					m.rung(now, f[2], true)
				case "away":
					m.rung(now, f[2], false)
				case "sent", "lost":
					m.sent(now, f[2], f[3], f[1] == "sent")
				case "clear":
					done = m.clear(f[2])
				case "tick":
				default:
					t.Fatalf("what is %q?", f[1])
				}
				// next never promises a time that is later than when there is something to do.
				if at := m.next(); f[1] == "tick" && strings.TrimSpace(want) != "" && (at.IsZero() || at.After(now)) {
					t.Errorf("%s: next is %v", row, at)
				}
				done = append(done, m.tick(now)...)
				var got []string
				for _, a := range done {
					got = append(got, fmt.Sprintf("%s:%s:%s", a.verb, a.id, a.user))
				}
				if strict && !slices.Equal(got, strings.Fields(want)) {
					t.Errorf("%s\ngot %v", row, got)
				}
				if at := m.next(); !at.IsZero() && !at.After(now) {
					t.Errorf("%s: next is now again: the program would spin", row)
				}
			}
		})
	}
}

func TestAlarmPatterns(t *testing.T) {
	m, now := newMachine(Settings{}), time.Now()
	expect := func(what string, light, buzzer hal.Pattern) {
		t.Helper()
		if l, b := m.alarm(); l != light || b != buzzer {
			t.Errorf("%s: light %q, buzzer %q", what, l.Name, b.Name)
		}
	}
	expect("nothing", hal.Off, hal.Off)
	m.raise(now, "t", true, nil)
	expect("test", hal.Double, hal.Double)
	m.raise(now, "a", false, nil)
	expect("real", hal.Fast, hal.Fast)
	m.silence()
	expect("silenced", hal.Fast, hal.Off)
	m.raise(now, "a", false, nil)
	expect("nothing new", hal.Fast, hal.Off)
	m.raise(now, "b", false, nil)
	expect("the next one", hal.Fast, hal.Fast)
	m.clear("a")
	m.clear("b")
	expect("only the test", hal.Double, hal.Double)
	m.clear("t")
	expect("all told", hal.Off, hal.Off)
}
