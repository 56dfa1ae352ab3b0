package panel

import (
	"strings"
	"testing"
	"time"

	"holdfast/firmware/mode"
	"holdfast/hal"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// well is a branch on a good day.
var well = Facts{Phase: Running, Mode: mode.Normal, Zones: 2, ZonesUp: 2, Trunks: 1, TrunksUp: 1, Users: 10}

// text is a view as "power cloud service alarm buzzer"; - is off.
func text(v View) string {
	var names []string
	for _, p := range v {
		names = append(names, map[bool]string{true: "-", false: p.Name}[p.Pattern == hal.Off])
	}
	return strings.Join(names, " ")
}

func TestFirstPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"a good day", func(*Facts) {}, "steady steady - - -"},
		{"nothing known yet", func(f *Facts) { *f = Facts{} }, "slow - - - -"},
		{"starting, probes out", func(f *Facts) { f.Phase, f.ZonesUp = Starting, 0 }, "slow - - - -"},
		{"not fit to serve", func(f *Facts) { f.Phase, f.Faults = Unfit, 1 }, "slow steady - slow -"},
		{"bad settings", func(f *Facts) { *f = Facts{Phase: BadSettings} }, "fast - - - -"},
		{"one zone of two away", func(f *Facts) { f.ZonesUp, f.ZonesDown = 1, 1 }, "steady slow - - -"},
		{"cloud away", func(f *Facts) { f.ZonesUp, f.ZonesDown, f.Mode = 0, 2, mode.Resilience }, "steady fast steady - -"},
		{"recovering", func(f *Facts) { f.Mode = mode.Recovering }, "steady steady slow - -"},
		{"drill", func(f *Facts) { f.Mode = mode.Drill }, "steady steady double - -"},
		{"a fault", func(f *Facts) { f.Faults = 1 }, "steady steady - slow -"},
		{"911", func(f *Facts) { f.Faults, f.EmergencyLight, f.EmergencyBuzzer = 1, hal.Fast, hal.Fast }, "steady steady - fast fast"},
		{"911, silenced", func(f *Facts) { f.EmergencyLight = hal.Fast }, "steady steady - fast -"},
		{"test of 911", func(f *Facts) { f.EmergencyLight, f.EmergencyBuzzer = hal.Double, hal.Double }, "steady steady - double double"},
		{"911 in an outage", func(f *Facts) {
			f.ZonesUp, f.ZonesDown, f.Mode, f.EmergencyLight = 0, 2, mode.Resilience, hal.Fast
		}, "steady fast steady fast -"},
		{"an update is written", func(f *Facts) { f.Update = Writing }, "double steady - - -"},
		{"an update waits for calls", func(f *Facts) { f.Update = Waiting }, "double steady - - -"},
		{"an update on trial", func(f *Facts) { f.Update = Trial }, "double steady - - -"},
		{"an update on trial that is not fit", func(f *Facts) { f.Update, f.Phase = Trial, Unfit }, "slow steady - - -"},
	} {
		f := well
		c.change(&f)
		if got := text(New(epoch, false).View(epoch, f)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestWords: what a light shows is said in words too, and a view without words would be a view for those who know.
func TestWords(t *testing.T) {
	f := well
	f.ZonesUp, f.ZonesDown, f.UsersHere, f.Users = 1, 1, 3, 10
	want := View{{hal.Steady, "running"}, {hal.Slow, "1 of 2 zones of the cloud answer"}, {hal.Off, "normal: the cloud serves the phones"},
		{hal.Off, "nothing to do"}, {}}
	if got := first(f); got != want {
		t.Errorf("%q", got)
	}
	want = View{{hal.Off, "second page: trunks on the cloud light, phones on the service light"}, {hal.Steady, "1 of 1 trunk answers"},
		{hal.Slow, "3 of 10 users have a phone here"}, {hal.Off, "nothing to do"}, {}}
	if got := second(f); got != want {
		t.Errorf("%q", got)
	}
}

func TestSecondPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"a good day", func(*Facts) {}, "- steady - - -"},
		{"no trunk of the site document", func(f *Facts) { f.Trunks, f.TrunksUp = 0, 0 }, "- - - - -"},
		{"one trunk of two", func(f *Facts) { f.Trunks = 2 }, "- slow - - -"},
		{"no trunk left", func(f *Facts) { f.TrunksUp = 0 }, "- fast - - -"},
		{"some phones here", func(f *Facts) { f.UsersHere = 3 }, "- steady slow - -"},
		{"all phones here", func(f *Facts) { f.UsersHere = 10 }, "- steady steady - -"},
		{"911 meanwhile", func(f *Facts) { f.EmergencyLight, f.EmergencyBuzzer = hal.Fast, hal.Fast }, "- steady - fast fast"},
	} {
		f := well
		c.change(&f)
		if got := text(second(f)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestStatesDiffer: what means something else on the same light is not told apart by colour, so its rhythm differs.
func TestStatesDiffer(t *testing.T) {
	seen := make(map[hal.Pattern]mode.Mode)
	for _, m := range []mode.Mode{mode.Normal, mode.Resilience, mode.Drill, mode.Recovering} {
		f := well
		f.Mode = m
		p := first(f)[hal.Service].Pattern
		if other, taken := seen[p]; taken {
			t.Errorf("%s and %s both show %q", m, other, p.Name)
		}
		seen[p] = m
	}
}
