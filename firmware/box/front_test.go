package box

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/firmware/health"
	"holdfast/firmware/mode"
	"holdfast/firmware/panel"
	"holdfast/hal"
	"holdfast/hal/sim"
)

// frontRig is a panel with a box that only the test knows.
type frontRig struct {
	*front
	board *sim.Board

	mu     sync.Mutex
	facts  panel.Facts
	orders []string
	refuse error
}

func (r *frontRig) set(change func(*panel.Facts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.facts)
}

func (r *frontRig) lights() string {
	var names []string
	for o := range hal.Output(hal.Outputs) {
		names = append(names, map[bool]string{true: "-", false: r.board.Output(o).Now().Name}[r.board.Output(o).Now() == hal.Off])
	}
	return strings.Join(names, " ")
}

func withFront(t *testing.T, restore bool, do func(r *frontRig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &frontRig{board: sim.New(), facts: panel.Facts{Phase: panel.Running, Zones: 2, ZonesUp: 2}}
		r.front = newFront(rigLog(), r.board, "sim", "")
		r.front.restore = restore
		r.front.facts = func() panel.Facts {
			r.mu.Lock()
			defer r.mu.Unlock()
			f := r.facts
			f.EmergencyLight, f.EmergencyBuzzer = r.light.now(), r.buzzer.now()
			return f
		}
		r.front.act = func(a panel.Action) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.orders = append(r.orders, a.String())
			return r.refuse
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.run(ctx) }()
		synctest.Wait()
		do(r)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if r.lights() != "- - - - -" {
			t.Errorf("lit after the end: %s", r.lights())
		}
	})
}

func TestFrontShows(t *testing.T) {
	withFront(t, false, func(r *frontRig) {
		expect := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := r.lights(); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		expect("a good day", "steady steady - - -")
		r.set(func(f *panel.Facts) { f.Mode, f.ZonesUp, f.ZonesDown = mode.Resilience, 0, 2 })
		r.news()
		expect("an outage, at once", "steady fast steady - -")
		r.set(func(f *panel.Facts) { f.Faults = 1 })
		expect("nobody said so", "steady fast steady - -")
		time.Sleep(look)
		expect("but it is seen", "steady fast steady slow -")
		r.light.Set(hal.Fast)
		r.buzzer.Set(hal.Fast)
		expect("911, at once", "steady fast steady fast fast")
		r.buzzer.Set(hal.Off)
		expect("silenced", "steady fast steady fast -")
	})
}

func TestFrontObeys(t *testing.T) {
	withFront(t, true, func(r *frontRig) {
		hold := func(k hal.Key, d time.Duration) {
			r.board.Press(k, true)
			time.Sleep(d)
			r.board.Press(k, false)
			synctest.Wait()
		}
		hold(hal.Mode, 200*time.Millisecond)
		time.Sleep(2 * time.Second)
		if r.lights() != "fast - - - -" { // the second page, with reset still held
			t.Errorf("second page: %s", r.lights())
		}
		time.Sleep(20 * time.Second)
		hold(hal.Mode, 6*time.Second)
		hold(hal.Ack, 100*time.Millisecond)
		r.mu.Lock()
		r.refuse = errors.New("this is no time for a drill")
		r.mu.Unlock()
		r.board.Press(hal.Mode, true)
		time.Sleep(panel.DrillHeld + 10*time.Millisecond)
		synctest.Wait()
		if r.lights() != "fast steady - - fast" {
			t.Errorf("refused: %s", r.lights())
		}
		r.board.Press(hal.Mode, false)
		hold(hal.Reset, 20*time.Second)
		want := []string{"go back to what was good last", "start or end a drill", "silence the buzzer", "start or end a drill"}
		if !slices.Equal(r.orders, want) {
			t.Errorf("%q", r.orders)
		}
	})
}

// TestPressFlood: more presses than anybody can make do not hold up who reports them.
func TestPressFlood(t *testing.T) {
	f := newFront(rigLog(), sim.New(), "sim", "")
	for range 1000 {
		f.press(hal.Change{})
		f.news()
	}
}

// dog is a watchdog that notes when it was fed.
type dog struct {
	mu  sync.Mutex
	fed []int
	at  time.Time
}

func (d *dog) Timeout() time.Duration { return 8 * time.Second }
func (d *dog) Close() error           { return nil }
func (d *dog) Feed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fed = append(d.fed, int(time.Since(d.at).Seconds()))
	if len(d.fed) == 2 {
		return errors.New("an error of the driver ends nothing")
	}
	return nil
}

// TestFeed: the watchdog is fed in time while the gate holds, and not a second longer than a quarter of its time.
func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Box{log: rigLog(), hardware: noPanel()}
		d := &dog{at: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			b.feed(ctx, d, func() bool { s := time.Since(d.at); return s < 9*time.Second || s > 15*time.Second })
			close(done)
		}()
		time.Sleep(20*time.Second + time.Millisecond)
		cancel()
		<-done
		if got := fmt.Sprint(d.fed); got != "[0 2 4 6 8 16 18 20]" {
			t.Error(got)
		}
	})
}

// noPanel is a box's hardware when nothing of it matters.
func noPanel() hardware {
	return hardware{front: newFront(rigLog(), sim.New(), "none", ""), vital: health.New(time.Now), card: health.New(time.Now), updates: new(updates)}
}
