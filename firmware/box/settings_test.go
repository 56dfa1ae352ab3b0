package box

import (
	"errors"
	"strings"
	"testing"

	"holdfast/firmware/config"
)

// A boot file that changes while the box runs is told, with what is wrong with it, and nothing else happens: it counts at a start.
func TestSettingsChangeWhileTheBoxRuns(t *testing.T) {
	began := config.Example()
	b := &Box{log: rigLog()}
	now, fault := began, error(nil)
	b.FollowSettings("/boot/holdfast.toml", []byte(began), func() ([]byte, error) { return []byte(now), fault })
	const next = ", which counts from the next start of the program on: switch the box off and on, or restart the program"
	for _, c := range []struct {
		name, from, to string
		fault          error
		want           string // "": no alarm
	}{
		{name: "as it was"},
		{name: "a remark", from: "missed = 3", to: "missed = 3 # probes"},
		{name: "a listener", from: `listen = "10.0.0.5:5061"`, to: `listen = "10.0.0.5:5099"`, want: "holdfast.toml has changed (phones.listen)" + next},
		{name: "a mistake", from: "[log]", to: "[lag]", want: "holdfast.toml has changed and has mistakes: the box would not start with it; it goes on as before: "},
		{name: "no TOML", from: "[log]", to: "[log", want: "has mistakes"},
		{name: "gone", fault: errors.New("no such file"), want: "holdfast.toml cannot be read any more, and the box would not start without it; it goes on as before: no such file"},
		{name: "as it was again"},
	} {
		now, fault = strings.Replace(began, c.from, c.to, 1), c.fault
		if c.from != "" && now == began {
			t.Fatalf("%s: the example has no %s", c.name, c.from)
		}
		b.lookAtSettings()
		got := strings.Join(b.settingsAlarms(), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	nobody := &Box{log: rigLog()}
	nobody.lookAtSettings()
	if a := nobody.settingsAlarms(); len(a) > 0 {
		t.Errorf("without a file: %q", a)
	}
}
