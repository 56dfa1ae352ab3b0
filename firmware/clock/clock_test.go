package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func TestFloor(t *testing.T) {
	for name, c := range map[string]struct {
		kept string // "-": nothing
		want time.Time
	}{
		"new card":         {"-", built},
		"known":            {"1800000000\n", time.Unix(1800000000, 0)},
		"before the build": {"1000000000\n", built},
		"poisoned":         {"4000000000\n", built},
		"empty":            {"", built},
		"torn":             {"18000x", built},
		"something else":   {strings.Repeat("9", 1000), built},
	} {
		dir := t.TempDir()
		if c.kept != "-" {
			if err := os.WriteFile(filepath.Join(dir, fileName), []byte(c.kept), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := Floor(dir, built); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRemember(t *testing.T) {
	dir := t.TempDir()
	now := built.Add(48 * time.Hour)
	for _, at := range []time.Time{now.Add(-time.Hour), now, built, now.Add(-time.Minute)} { // a clock that goes back takes nothing away
		if err := Remember(dir, at, false); err != nil {
			t.Fatal(err)
		}
	}
	if got := Floor(dir, built); !got.Equal(now) {
		t.Errorf("%s, want %s", got, now)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left over: %v", list)
	}
	// A server once said a time that is years ahead; now it is known better.
	wrong := now.AddDate(10, 0, 0)
	for _, c := range []struct {
		at, want time.Time
		sure     bool
	}{{wrong, wrong, true}, {now, wrong, false}, {now.Add(time.Hour), now.Add(time.Hour), true}, {now.Add(time.Hour - aLittle), now.Add(time.Hour), true}} {
		if err := Remember(dir, c.at, c.sure); err != nil {
			t.Fatal(err)
		}
		if got := Floor(dir, built); !got.Equal(c.want) {
			t.Errorf("%s, sure %t: %s is kept, want %s", c.at, c.sure, got, c.want)
		}
	}
	for _, c := range []struct {
		s    State
		want bool
	}{{State{Known: true, Agreed: true, Last: now}, true}, {State{Known: true, Last: now}, false}, {State{Known: true, Agreed: true, Last: now.AddDate(-1, 0, 0)}, false}, {State{Known: true, Agreed: true, Last: now.Add(24 * time.Hour)}, false},
		{State{Last: now}, false}, {State{Known: true, Agreed: true, Last: now, Error: "contradiction"}, false}} {
		if c.s.Sure(now) != c.want {
			t.Errorf("%+v: sure %t", c.s, !c.want)
		}
	}
	if err := Remember(filepath.Join(dir, "none"), now, true); err == nil {
		t.Error("a folder that is not there is no error")
	}
}

// fake is a clock that can be set, beside the test's own.
type fake struct {
	mu    sync.Mutex
	ahead time.Duration // of the true time
	steps int
	err   error
}

func (f *fake) now() time.Time { f.mu.Lock(); defer f.mu.Unlock(); return time.Now().Add(f.ahead) }

func (f *fake) Step(to time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.ahead, f.steps = time.Until(to), f.steps+1
	}
	return f.err
}

func (f *fake) Slew(by time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead += by
	return f.err
}

func (f *fake) off() time.Duration { f.mu.Lock(); defer f.mu.Unlock(); return f.ahead }

// servers answer what they are told to; the truth is the test's clock.
type servers struct {
	mu    sync.Mutex
	lies  map[string]time.Duration // those that answer, and by how much they are wrong
	clock *fake
	asked []string
}

func (s *servers) ask(_ context.Context, name string) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, name)
	lie, ok := s.lies[name]
	if !ok {
		return Answer{}, errors.New(name + " is silent")
	}
	return Answer{name, lie - s.clock.off(), 10 * time.Millisecond}, nil
}

func (s *servers) set(lies map[string]time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies = lies
}

// keep runs a keeper in a bubble, and hands a way to wait.
func keep(t *testing.T, f *fake, s *servers, o Options, story func(state func() State)) {
	synctest.Test(t, func(t *testing.T) {
		s.clock = f
		o.Built = time.Now().Add(-24 * time.Hour)
		o.Dir, o.Log, o.Ask, o.Now, o.Set = t.TempDir(), slog.New(slog.DiscardHandler), s.ask, f.now, f
		ctx, cancel := context.WithCancel(t.Context())
		k := New(o)
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		story(func() State {
			t.Helper()
			synctest.Wait()
			state, err := ReadState(o.Dir)
			if err != nil {
				t.Fatal(err)
			}
			return state
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

const year = 365 * 24 * time.Hour

func TestSetsClock(t *testing.T) {
	f, s := &fake{ahead: -3 * time.Hour}, &servers{lies: map[string]time.Duration{"a": 0}}
	told := 0
	keep(t, f, s, Options{Servers: []string{"a"}, Raised: true, OnStep: func() { told++ }}, func(state func() State) {
		if got := state(); !got.Known || told != 1 || got.Source != "a" || f.off() != 0 || len(got.Alarms(f.now())) > 0 {
			t.Errorf("%+v, off by %s", got, f.off())
		}
		s.set(nil)
		time.Sleep(7 * time.Hour)
		if got := state().Alarms(f.now()); len(got) != 1 || !strings.Contains(got[0], "no time server has answered since") {
			t.Errorf("alarms %q", got)
		}
		s.set(map[string]time.Duration{"a": 50 * time.Millisecond}) // a little: slewed
		time.Sleep(retryMost)
		if got := state(); f.off() != 50*time.Millisecond || f.steps != 1 || len(got.Alarms(f.now())) > 0 {
			t.Errorf("%+v, off by %s after %d steps", got, f.off(), f.steps)
		}
	})
}

func TestGatewayIsAskedLast(t *testing.T) {
	f, s := &fake{ahead: -time.Hour}, &servers{lies: map[string]time.Duration{"router": 0}}
	keep(t, f, s, Options{Servers: []string{"a", "b"}, Gateway: "router"}, func(state func() State) {
		if got := state(); got.Source != "router" || f.off() != 0 {
			t.Errorf("%+v", got)
		}
		s.set(map[string]time.Duration{"router": 9 * time.Second, "b": 0})
		time.Sleep(pollEvery + time.Second)
		if got := state(); got.Source != "b" || f.off() != 0 {
			t.Errorf("%+v, off by %s", got, f.off())
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	f, s := &fake{ahead: -time.Hour}, &servers{}
	keep(t, f, s, Options{Servers: []string{"a"}, Raised: true}, func(state func() State) {
		got := state()
		if a := got.Alarms(f.now()); len(a) != 1 || !strings.Contains(a[0], "what was known before the power cut") || !strings.Contains(a[0], "a is silent") {
			t.Errorf("alarms %q", a)
		}
		time.Sleep(time.Hour)
		s.mu.Lock()
		if n := len(s.asked); n < 10 || n > 25 {
			t.Errorf("asked %d times in an hour", n)
		}
		s.mu.Unlock()
		s.set(map[string]time.Duration{"a": 0})
		time.Sleep(retryMost)
		if !state().Known || f.off() != 0 {
			t.Error("the time is not taken when it comes")
		}
	})
}

func TestLiars(t *testing.T) {
	for name, c := range map[string]struct {
		lies  map[string]time.Duration
		off   time.Duration // of the clock afterwards
		error string
	}{
		"one of three":          {map[string]time.Duration{"a": 5 * year, "b": 0, "c": 20 * time.Millisecond}, 20 * time.Millisecond, ""},
		"one of two":            {map[string]time.Duration{"a": time.Hour, "b": 0}, -2 * time.Hour, "contradict"},
		"before the build":      {map[string]time.Duration{"a": -2 * year}, -2 * time.Hour, "before this program was built"},
		"too late to be true":   {map[string]time.Duration{"a": 30 * year}, -2 * time.Hour, "too late to be true"},
		"three different":       {map[string]time.Duration{"a": 0, "b": time.Hour, "c": 2 * time.Hour}, -2 * time.Hour, "contradict"},
		"two of three together": {map[string]time.Duration{"a": time.Hour, "b": time.Hour, "c": 0}, time.Hour, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := &fake{ahead: -2 * time.Hour}, &servers{lies: c.lies}
			keep(t, f, s, Options{Servers: []string{"a", "b", "c"}}, func(state func() State) {
				got := state()
				if f.off() != c.off || got.Known != (c.error == "") || !strings.Contains(got.Error, c.error) {
					t.Errorf("off by %s, want %s: %+v", f.off(), c.off, got)
				}
			})
		})
	}
}

// Once the time is known, one server alone does not move it far at once; three polls that agree do.
func TestLargeStepIsConfirmed(t *testing.T) {
	f, s := &fake{}, &servers{lies: map[string]time.Duration{"a": 0}}
	keep(t, f, s, Options{Servers: []string{"a"}}, func(state func() State) {
		state()
		s.set(map[string]time.Duration{"a": time.Hour})
		time.Sleep(pollEvery + time.Second)
		if got := state(); f.off() != 0 || !strings.Contains(got.Error, "asking again") || !got.Known {
			t.Errorf("off by %s: %+v", f.off(), got)
		}
		s.set(map[string]time.Duration{"a": 2 * time.Hour}) // another lie: the count begins anew
		time.Sleep(2 * again)
		if state(); f.off() != 0 {
			t.Errorf("off by %s", f.off())
		}
		time.Sleep(again)
		if got := state(); f.off() != 2*time.Hour || got.Error != "" {
			t.Errorf("off by %s: %+v", f.off(), got)
		}
	})
}

// One unsigned answer sets a clock that nobody knows better, but does not take away what the card has kept.
func TestWhatIsSure(t *testing.T) {
	for name, c := range map[string]struct {
		lies  map[string]time.Duration
		polls int // until it is sure
	}{
		"one server":  {map[string]time.Duration{"a": -20 * time.Hour}, confirm},
		"two servers": {map[string]time.Duration{"a": 0, "b": 0}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := &fake{ahead: 3 * time.Hour}, &servers{lies: c.lies}
			keep(t, f, s, Options{Servers: []string{"a", "b"}}, func(state func() State) {
				sure := func(when string, want bool) {
					t.Helper()
					if got := state(); !got.Known || got.Sure(f.now()) != want {
						t.Errorf("%s: %+v, want sure: %t", when, got, want)
					}
				}
				for n := 1; n <= c.polls; n++ {
					sure("in a row", n == c.polls)
					time.Sleep(pollEvery + time.Second)
				}
				if c.polls == 1 {
					return
				}
				s.set(map[string]time.Duration{"a": -20*time.Hour + 5*time.Minute}) // moved at once, but not believed at once
				time.Sleep(pollEvery)
				sure("another time", false)
				s.set(map[string]time.Duration{"a": 0}) // a large step, after polls that agree
				time.Sleep(pollEvery + confirm*again)
				sure("a large step", true)
			})
		})
	}
}

func TestClockThatCannotBeSet(t *testing.T) {
	f, s := &fake{ahead: -time.Hour, err: errors.New("not permitted")}, &servers{lies: map[string]time.Duration{"a": 0}}
	keep(t, f, s, Options{Servers: []string{"a"}}, func(state func() State) {
		if got := state(); got.Known || !strings.Contains(got.Error, "cannot be set: not permitted") {
			t.Errorf("%+v", got)
		}
	})
}

func TestRaise(t *testing.T) {
	f := &fake{ahead: -50 * year}
	if raised, err := Raise(f.now(), built, f); !raised || err != nil || f.now().Sub(built).Abs() > time.Minute {
		t.Errorf("%t %v, now %s", raised, err, f.now())
	}
	if raised, err := Raise(f.now().Add(time.Hour), built, f); raised || err != nil || f.steps != 1 {
		t.Errorf("%t %v: a clock that is right was set", raised, err)
	}
}

// ntpServer answers on the loopback as RFC 5905 §7.3 says, its time being ahead.
func ntpServer(t *testing.T, ahead time.Duration, stratum byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	stamp := func(b []byte) {
		now := time.Now().Add(ahead)
		binary.BigEndian.PutUint32(b, uint32(now.Unix()+2208988800))
		binary.BigEndian.PutUint32(b[4:], uint32((int64(now.Nanosecond())<<32)/1e9))
	}
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 48 {
				continue
			}
			answer := make([]byte, 48)
			answer[0], answer[1], answer[2], answer[3] = 0b00_100_100, stratum, 6, 0xec
			stamp(answer[16:])
			copy(answer[24:], b[40:48])
			stamp(answer[32:])
			stamp(answer[40:])
			c.WriteTo(answer, from)
		}
	}()
	return c.LocalAddr().String()
}

func TestAsk(t *testing.T) {
	a, err := Ask(t.Context(), ntpServer(t, time.Hour, 2))
	if err != nil || (a.Offset-time.Hour).Abs() > 10*time.Second {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := Ask(t.Context(), ntpServer(t, 0, 0)); err == nil || !strings.Contains(err.Error(), "time server 127.0.0.1") {
		t.Errorf("a kiss of death is taken for the time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, ntpServer(t, 0, 2)); err == nil {
		t.Error("asked although nobody waits")
	}
}
