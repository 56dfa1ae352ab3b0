package mode

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// play runs a script against a machine with zones a and b (or a alone), 3 misses and 60 s hold-off, and returns the
// transitions as "seconds:from>to". Words: a+ a- b+ b- (a zone's probe), h+ h- (HTTPS), 2s (time passes, with the tick
// that Next asks for), drill=LIMIT[,user…], stop, vacant (nobody is here any more). A failing drill or stop is noted as "seconds:!error".
func play(t *testing.T, m *Machine, script string) (log []string, all []Transition) {
	t.Helper()
	now := epoch
	note := func(ts []Transition, err error) {
		for _, tr := range ts {
			log = append(log, fmt.Sprintf("%g:%s>%s", now.Sub(epoch).Seconds(), tr.From, tr.To))
		}
		if err != nil {
			log = append(log, fmt.Sprintf("%g:!%s", now.Sub(epoch).Seconds(), err))
		}
		all = append(all, ts...)
	}
	for word := range strings.FieldsSeq(script) {
		switch {
		case len(word) == 2 && strings.ContainsAny(word[1:], "+-"):
			p := Probe{Zone: word[:1], At: now, Alive: word[1] == '+'}
			if word[0] == 'h' {
				p.Kind = HTTPS
			}
			note(m.Probe(now, p), nil)
		case strings.HasPrefix(word, "drill="):
			parts := strings.Split(strings.TrimPrefix(word, "drill="), ",")
			limit, err := time.ParseDuration(parts[0])
			if err != nil {
				t.Fatal(err)
			}
			note(m.StartDrill(now, Order{By: "test", Users: parts[1:], Limit: limit}))
		case word == "vacant":
			note(m.Vacant(now), nil)
		case word == "stop":
			note(m.StopDrill(now, "test"))
		default:
			d, err := time.ParseDuration(word)
			if err != nil {
				t.Fatal(err)
			}
			end := now.Add(d)
			for next := m.Next(); !next.IsZero() && !next.After(end); next = m.Next() {
				now = later(now, next)
				note(m.Tick(now), nil)
			}
			now = end
		}
	}
	return log, all
}

func machine(t *testing.T, zones string, resume Mode) *Machine {
	t.Helper()
	m, err := New(Settings{Zones: strings.Split(zones, ""), Missed: 3, HoldOff: time.Minute, Resume: resume}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func times(n int, script string) string { return strings.Repeat(script+" ", n) }

func TestMachine(t *testing.T) {
	cut := times(3, "a- b- 2s")     // resilience at 4 s
	mend := times(3, "a+ b+ 2s")    // the cloud is up
	steady := times(30, "a+ b+ 2s") // a minute of answers
	for name, c := range map[string]struct {
		zones  string
		resume Mode
		script string
		want   string
	}{
		"nothing known":                     {"ab", Normal, "1h", ""},
		"cloud there":                       {"ab", Normal, times(50, "a+ b+ 2s"), ""},
		"cut":                               {"ab", Normal, cut, "4:normal>resilience"},
		"cut after a good time":             {"ab", Normal, times(5, "a+ b+ 2s") + cut, "14:normal>resilience"},
		"one zone is enough for one zone":   {"a", Normal, times(3, "a- 2s"), "4:normal>resilience"},
		"two misses are none":               {"ab", Normal, times(9, "a- b- 2s a- b- 2s a+ b+ 2s"), ""},
		"one zone down, other answers":      {"ab", Normal, times(50, "a- b+ 2s"), ""},
		"one zone flaps, other answers":     {"ab", Normal, times(50, "a- b+ 2s a+ b+ 2s"), ""},
		"one down, other unknown":           {"ab", Normal, times(50, "a- 2s"), ""},
		"HTTPS alone decides nothing":       {"ab", Normal, times(50, "h- 2s"), ""},
		"HTTPS answers in a cut":            {"ab", Normal, "h+ " + times(3, "a- b- h+ 2s"), "4:normal>resilience"},
		"HTTPS does not end an outage":      {"ab", Normal, cut + times(50, "h+ a- b- 2s"), "4:normal>resilience"},
		"unknown zone decides nothing":      {"a", Normal, times(50, "x- 2s"), ""},
		"outage and return":                 {"ab", Normal, cut + mend + steady + "10m", "4:normal>resilience 66:resilience>recovering 666:recovering>normal"},
		"one zone's return is the cloud's":  {"ab", Normal, cut + times(40, "a- b+ 2s"), "4:normal>resilience 66:resilience>recovering"},
		"one answer is no return":           {"ab", Normal, cut + times(20, "a+ b- 2s a- b- 2s"), "4:normal>resilience"},
		"lost again in recovering":          {"ab", Normal, cut + mend + steady + cut + "1h", "4:normal>resilience 66:resilience>recovering 76:recovering>resilience"},
		"a gap starts the hold-off again":   {"ab", Normal, cut + mend + times(20, "a+ b+ 2s") + "a- b- 2s " + steady + "vacant", "4:normal>resilience 114:resilience>recovering 114:recovering>normal"},
		"a gap of one zone does not":        {"ab", Normal, cut + mend + times(20, "a+ b+ 2s") + "a- b+ 2s " + steady + "vacant", "4:normal>resilience 66:resilience>recovering 114:recovering>normal"},
		"flapping cloud keeps the phones":   {"ab", Normal, cut + mend + times(99, "a- b- 2s a+ b+ 2s"), "4:normal>resilience"},
		"restart in an outage":              {"ab", Resilience, times(99, "a- b- 2s"), ""},
		"restart after an outage":           {"ab", Resilience, times(40, "a+ b+ 2s") + "vacant", "60:resilience>recovering 80:recovering>normal"},
		"drill to its limit":                {"ab", Normal, "a+ b+ drill=10m 10m a+ b+ 10m", "0:normal>drill 600:drill>recovering 1200:recovering>normal"},
		"drill stopped":                     {"ab", Normal, "a+ drill=10m 1m stop 60s vacant vacant", "0:normal>drill 60:drill>recovering 120:recovering>normal"},
		"drill of a user":                   {"ab", Normal, "a+ drill=10m,u1 10m 60s vacant", "0:normal>drill 600:drill>recovering 660:recovering>normal"},
		"drill ends while nothing is known": {"ab", Normal, "drill=1m 1m 1h", "0:normal>drill 60:drill>recovering 660:recovering>normal"},
		"outage in a drill":                 {"ab", Normal, "a+ b+ drill=10m 2s " + cut + "1h stop", "0:normal>drill 6:drill>resilience 3608:!no drill is running"},
		"misses before the drill count":     {"ab", Normal, "a- b- a- b- drill=10m a- b-", "0:normal>drill 0:drill>resilience"},
		"drill in a drill":                  {"ab", Normal, "drill=10m drill=5m", "0:normal>drill 0:!a drill is already running"},
		"drill in an outage":                {"ab", Normal, cut + "drill=10m", "4:normal>resilience 6:!the cloud is away: this is no time for a drill"},
		"drill while recovering":            {"ab", Normal, "drill=1m stop drill=1m", "0:normal>drill 0:drill>recovering 0:!phones are still going home: start the drill when the mode is normal"},
		"drill without limit":               {"ab", Normal, "drill=0s", "0:!" + ErrNoLimit.Error()},
		"drill for ever":                    {"ab", Normal, "drill=25h", "0:!" + ErrNoLimit.Error()},
		"stop without a drill":              {"ab", Normal, "stop", "0:!no drill is running"},
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := play(t, machine(t, c.zones, c.resume), c.script)
			if got := strings.Join(log, " "); got != c.want {
				t.Errorf("\ngot  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	for name, s := range map[string]Settings{
		"no zone":        {Missed: 3},
		"no misses":      {Zones: []string{"a"}},
		"hold-off":       {Zones: []string{"a"}, Missed: 1, HoldOff: -1},
		"same zone":      {Zones: []string{"a", "a"}, Missed: 1},
		"resume a drill": {Zones: []string{"a"}, Missed: 1, Resume: Drill},
	} {
		if _, err := New(s, epoch); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTransitionTellsWhy(t *testing.T) {
	m := machine(t, "ab", Normal)
	_, all := play(t, m, "h+ drill=10m,u1 "+times(3, "a- b- 2s"))
	if len(all) != 2 {
		t.Fatalf("%d transitions", len(all))
	}
	cut := all[1]
	if cut.Cause != "no zone of the cloud answers, in a drill" || cut.Drill == nil || cut.Drill.By != "test" || !cut.At.Equal(epoch.Add(4*time.Second)) {
		t.Errorf("%+v", cut)
	}
	if len(cut.Evidence) != 3 || cut.Evidence[0].Verdict != Down || cut.Evidence[0].InARow != 3 || !cut.Evidence[2].Alive || cut.Evidence[2].Kind != HTTPS {
		t.Errorf("evidence %+v", cut.Evidence)
	}
	if s := m.State(); s.Drill != nil || !s.Until.IsZero() {
		t.Errorf("state %+v", s)
	}
}

func TestServes(t *testing.T) {
	order := func(users ...string) *Order { return &Order{Users: users} }
	for _, c := range []struct {
		state  State
		u1, u2 bool
	}{
		{State{Mode: Normal}, false, false},
		{State{Mode: Resilience}, true, true},
		{State{Mode: Recovering}, true, true},
		{State{Mode: Drill, Drill: order()}, true, true},
		{State{Mode: Drill, Drill: order("u1")}, true, false},
	} {
		if c.state.Serves("u1") != c.u1 || c.state.Serves("u2") != c.u2 || c.state.SendsHome() != (c.state.Mode == Recovering) {
			t.Errorf("%s", c.state.Mode)
		}
	}
}

func TestLateProbeChangesNothing(t *testing.T) {
	m := machine(t, "a", Normal)
	m.Probe(epoch.Add(10*time.Second), Probe{Zone: "a", At: epoch.Add(10 * time.Second), Alive: true})
	for range 5 {
		m.Probe(epoch.Add(11*time.Second), Probe{Zone: "a", At: epoch, Alive: false})
	}
	if e := m.Evidence()[0]; !e.Alive || e.InARow != 1 || m.State().Mode != Normal {
		t.Errorf("%+v in %s", e, m.State().Mode)
	}
}

// TestHistories plays random histories and holds the machine against what must be true whatever happened.
func TestHistories(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		m := machine(t, "ab", Normal)
		now, last := epoch, map[string][]bool{}
		before := Normal
		for step := range 400 {
			var moves []Transition
			switch rnd.IntN(12) {
			case 0:
				moves, _ = m.StartDrill(now, Order{By: "x", Limit: time.Duration(rnd.IntN(100)) * time.Second})
			case 1:
				moves, _ = m.StopDrill(now, "x")
			case 2, 3, 4:
				now = now.Add(time.Duration(rnd.IntN(40)) * time.Second)
				moves = m.Tick(now)
			default:
				zone, alive := string("ab"[rnd.IntN(2)]), rnd.IntN(3) == 0
				last[zone] = append(last[zone], alive)
				moves = m.Probe(now, Probe{Zone: zone, At: now, Alive: alive})
			}
			for _, tr := range moves {
				if tr.From != before || tr.From == tr.To || tr.Cause == "" || !tr.At.Equal(now) {
					t.Fatalf("seed %d step %d: %+v after %s", seed, step, tr, before)
				}
				if legal := map[Mode][]Mode{Normal: {Resilience, Drill}, Resilience: {Recovering}, Drill: {Recovering, Resilience}, Recovering: {Normal, Resilience}}; !slices.Contains(legal[tr.From], tr.To) {
					t.Fatalf("seed %d: %s to %s", seed, tr.From, tr.To)
				}
				before = tr.To
			}
			s := m.State()
			gone := true
			for _, zone := range []string{"a", "b"} {
				n := len(last[zone])
				gone = gone && n >= 3 && !slices.Contains(last[zone][n-3:], true)
			}
			if gone && s.Mode != Resilience {
				t.Fatalf("seed %d step %d: the cloud is gone and the mode is %s", seed, step, s.Mode)
			}
			if (s.Mode == Drill) != (s.Drill != nil) {
				t.Fatalf("seed %d: %+v", seed, s)
			}
			if next := m.Next(); s.Mode == Drill && next.IsZero() {
				t.Fatalf("seed %d: a drill without an end", seed)
			} else if !next.IsZero() && !next.After(now) {
				// A Tick that is due must change something, or whoever waits for Next turns in circles.
				ts := m.Tick(now)
				if len(ts) != 1 {
					t.Fatalf("seed %d step %d: Next is %s ago in %s and Tick changes nothing", seed, step, now.Sub(next), s.Mode)
				}
				before = ts[0].To
			}
		}
	}
}

func TestModeText(t *testing.T) {
	for _, mode := range []Mode{Normal, Resilience, Drill, Recovering} {
		text, err := mode.MarshalText()
		var back Mode
		if err != nil || back.UnmarshalText(text) != nil || back != mode {
			t.Errorf("%s became %s", mode, back)
		}
	}
	var m Mode
	if err := m.UnmarshalText([]byte("unknown")); err == nil {
		t.Error("accepted a mode that is none")
	}
}
