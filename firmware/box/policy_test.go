package box

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/mode"
	"holdfast/firmware/record"
	"holdfast/firmware/snapshot"
	"holdfast/sip/site"
)

// oneUser is a site document in force.
func oneUser(t *testing.T, registration string) *site.Site {
	t.Helper()
	d := *nobody().Doc()
	d.Site.ID, d.Registration = "branch", registration
	d.Users = []site.User{{ID: "alice", Name: "Alice", Extension: "1001", Auth: site.Auth{Username: "1001",
		HA1: map[string]string{"MD5": "00112233445566778899aabbccddeeff"}}}}
	d.Trunks = []site.Trunk{}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// inMode is a box that is in a mode and nothing more.
func inMode(t *testing.T, m mode.Mode, drillFor ...string) *Box {
	t.Helper()
	set := mode.Settings{Zones: []string{"a"}, Missed: 1}
	if m == mode.Resilience {
		set.Resume = m
	}
	machine, err := mode.New(set, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := &Box{log: slog.New(slog.DiscardHandler), modes: newModes(machine, slog.New(slog.DiscardHandler), nil, nil), hardware: noPanel()}
	if m == mode.Drill || m == mode.Recovering {
		err = b.modes.startDrill(mode.Order{By: "test", Users: drillFor, Limit: time.Hour})
	}
	if m == mode.Recovering && err == nil {
		err = b.modes.stopDrill("test")
	}
	if s := b.modes.state(); err != nil || s.Mode != m {
		t.Fatalf("%s: %v", s.Mode, err)
	}
	return b
}

// TestPolicy: who may register and who is served, in each mode.
func TestPolicy(t *testing.T) {
	type want struct {
		open  bool
		only  bool // gate and policy name the users
		serve bool
		retry time.Duration
	}
	for name, c := range map[string]struct {
		mode  mode.Mode
		users []string
		warm  bool
		want
	}{
		"normal":            {mode: mode.Normal, want: want{false, false, false, retryNormal}},
		"resilience":        {mode: mode.Resilience, want: want{true, false, true, retryNormal}},
		"drill":             {mode: mode.Drill, want: want{true, false, true, retryNormal}},
		"drill for Alice":   {mode: mode.Drill, users: []string{"alice"}, want: want{true, true, true, retryNormal}},
		"recovering":        {mode: mode.Recovering, want: want{false, false, true, retryRecovering}},
		"warm, normal":      {mode: mode.Normal, warm: true, want: want{true, false, false, retryNormal}},
		"warm, resilience":  {mode: mode.Resilience, warm: true, want: want{true, false, true, retryNormal}},
		"warm, recovering":  {mode: mode.Recovering, warm: true, want: want{true, false, true, retryRecovering}},
		"after Alice alone": {mode: mode.Recovering, users: []string{"alice"}, want: want{false, false, true, retryRecovering}},
	} {
		b := inMode(t, c.mode, c.users...)
		registration := site.RegisterInResilience
		if c.warm {
			registration = site.RegisterAlways
		}
		b.site.Store(oneUser(t, registration))
		g, p := b.gate(), b.policy()
		if got := (want{g.Open, g.Only != nil, p.Serve, g.RetryAfter}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		if p.Cloud != (c.mode != mode.Resilience) {
			t.Errorf("%s: the cloud is there: %v", name, p.Cloud)
		}
		if named := p.DrillUsers != nil; named != c.only || c.only && (!g.Only["alice"] || g.Only["bob"] || !p.DrillUsers["alice"]) {
			t.Errorf("%s: %v may register, %v are served", name, g.Only, p.DrillUsers)
		}
	}
	// A drill for some leaves everyone's warm registration in place, and serves only them.
	b := inMode(t, mode.Drill, "alice")
	b.site.Store(oneUser(t, site.RegisterAlways))
	if g, p := b.gate(), b.policy(); !g.Open || g.Only != nil || !p.DrillUsers["alice"] {
		t.Errorf("warm drill: %+v, %+v", g, p)
	}
	// Without a document nobody can prove who he is.
	b = inMode(t, mode.Resilience)
	b.site.Store(nobody())
	if g := b.gate(); g.Open {
		t.Error("open without a site document")
	}
}

// TestResume: a program that was killed in an outage serves at once; from anything else it begins anew.
func TestResume(t *testing.T) {
	for saved, want := range map[string]mode.Mode{
		`"resilience"`: mode.Resilience, `"normal"`: mode.Normal, `"drill"`: mode.Normal, `"recovering"`: mode.Normal, `"siesta"`: mode.Normal, `7`: mode.Normal,
	} {
		f, _, err := snapshot.Open(filepath.Join(t.TempDir(), "snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		b := &Box{snapshot: f}
		if m := b.resume(); m != mode.Normal {
			t.Errorf("nothing saved: %s", m)
		}
		if err := f.Put("mode", "mode", json.RawMessage(saved)); err != nil {
			t.Fatal(err)
		}
		if m := b.resume(); m != want {
			t.Errorf("%s: %s, want %s", saved, m, want)
		}
		f.Close()
	}
}

// TestAlarms: what a person is told to look at, and when it is too early to say.
func TestAlarms(t *testing.T) {
	b := inMode(t, mode.Normal)
	var err error
	if b.records, err = record.New(record.Options{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	b.site.Store(oneUser(t, site.RegisterInResilience))
	b.started = time.Now()
	status := control.Status{Trunks: []control.Trunk{{ID: "sbc-a", Error: "refused"}, {ID: "sbc-b", Up: true}}}
	state := b.modes.state()
	alarms := func(after time.Duration) string {
		return strings.Join(b.alarms(status, state, b.started.Add(after)), "|")
	}
	b.strays.note("1001", from(1))

	if got := alarms(time.Second); got != "" {
		t.Errorf("at once: %s", got)
	}
	if got := alarms(10 * time.Second); got != "trunk sbc-a is down: refused" {
		t.Errorf("after 10 s: %s", got)
	}
	if got := alarms(time.Minute); got != "trunk sbc-a is down: refused|1 phones (1001 …) come here although the cloud answers: check their way to the cloud" {
		t.Errorf("after a minute: %s", got)
	}
	if got := alarms(straysFor + time.Minute); got != "trunk sbc-a is down: refused" {
		t.Errorf("when the stray is old: %s", got)
	}
	state.Mode = mode.Resilience
	if got := alarms(time.Minute); got != "trunk sbc-a is down: refused" {
		t.Errorf("in an outage phones are welcome: %s", got)
	}
	status.Trunks, status.Site.LastError = nil, "signature does not fit"
	b.site.Store(nobody())
	if got := alarms(time.Minute); got != "there is no site document: nobody can be served until the portal or a file brings one|site document: signature does not fit" {
		t.Errorf("without a document: %s", got)
	}
}
