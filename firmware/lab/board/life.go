package board

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/demo"
	"holdfast/firmware/lab/qemu"
	"holdfast/firmware/lab/script"
)

// hold is how long the mode button is pressed: five seconds begin or end a drill, and a loaded machine sees the press late.
const hold = 7 * time.Second

// life is the board's usual life, with an outage in it.
func (r *rig) life() []script.Step {
	return []script.Step{
		{
			Name: "Power on during an outage", Want: "the box starts from the card, sees that the cloud is gone, and takes phones", Vital: true,
			Do: func(ctx context.Context, n *script.Notes) error {
				if err := errors.Join(r.CutCloud(), r.on()); err != nil {
					return err
				}
				if err := r.up(ctx); err != nil {
					return err
				}
				for _, p := range r.People {
					at, err := r.served(ctx, p.Extension)
					if err != nil {
						return fmt.Errorf("%s: %w\n%s", p.Extension, err, r.machine.Console().Tail(12))
					}
					if d := at.Sub(r.machine.On); r.first == 0 || d < r.first {
						r.first = d
					}
				}
				r.stages(n)
				n.Seconds("first REGISTER after", r.first)
				return nil
			},
		},
		{
			Name: "Calls inside and outside", Want: "SRTP both ways through the board, with tones that arrive as they were sent",
			Do: func(ctx context.Context, n *script.Notes) error {
				if err := demo.Talk(ctx, n, r.Branch, "1003", "1004"); err != nil {
					return err
				}
				return demo.TalkOut(ctx, n, r.Branch, "1005")
			},
		},
		{
			Name: "The lights tell of the outage", Want: "power steady, cloud fast, service steady",
			Do: func(ctx context.Context, n *script.Notes) error {
				return r.lights(ctx, n, want{qemu.LEDPower, "steady"}, want{qemu.LEDCloud, "fast"}, want{qemu.LEDService, "steady"})
			},
		},
		{
			Name: "The cloud comes back", Want: "the phones go home, the lights follow: cloud steady, service off",
			Do: func(ctx context.Context, n *script.Notes) error {
				if err := r.MendCloud(); err != nil {
					return err
				}
				for _, p := range r.People {
					if _, err := p.Phone.WaitAt(ctx, r.Zones[0].Name(), r.Zones[1].Name()); err != nil {
						return fmt.Errorf("%s: %w", p.Extension, err)
					}
				}
				return r.lights(ctx, n, want{qemu.LEDCloud, "steady"}, want{qemu.LEDService, "off"})
			},
		},
		{
			Name: "The mode button, held, begins a drill", Want: "service double; held again it ends",
			Do: func(ctx context.Context, n *script.Notes) error {
				if err := r.machine.Press(ctx, qemu.ButtonMode, hold); err != nil {
					return err
				}
				if err := r.lights(ctx, n, want{qemu.LEDService, "double"}); err != nil {
					return err
				}
				if err := r.machine.Press(ctx, qemu.ButtonMode, hold); err != nil {
					return err
				}
				return r.lights(ctx, n, want{qemu.LEDService, "off"})
			},
		},
	}
}

// stages says when the start came how far.
func (r *rig) stages(n *script.Notes) {
	for _, s := range []struct{ name, text string }{{"kernel", "Starting kernel"}, {"programs", "holdfast: version "}, {"box up", "holdfast is up"},
		{"address taken", "network: add " + Box.String()}, {"outage noticed", "mode=resilience"}} {
		if at, ok := r.machine.Console().When(s.text); ok {
			n.Seconds(s.name+" after", at)
		}
	}
}

// want is a light and what it should show.
type want struct {
	line   int
	rhythm string
}

var names = map[int]string{qemu.LEDPower: "power", qemu.LEDCloud: "cloud", qemu.LEDService: "service", qemu.LEDAlarm: "alarm"}

// lights waits until all of them show what they should.
func (r *rig) lights(ctx context.Context, n *script.Notes, all ...want) error {
	for {
		got, err := r.machine.Rhythms(ctx)
		wrong := ""
		for _, w := range all {
			if got[w.line] != w.rhythm {
				wrong = fmt.Sprintf("%s shows %q, not %q", names[w.line], got[w.line], w.rhythm)
			}
		}
		if err == nil && wrong == "" {
			for _, w := range all {
				n.Saw("%s %s", names[w.line], w.rhythm)
			}
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", wrong, errors.Join(err, ctx.Err()))
		}
	}
}

// outage makes one, so that phones come, and waits for the first.
func (r *rig) outage(ctx context.Context) error {
	if err := r.CutCloud(); err != nil {
		return err
	}
	_, err := r.Person("1003").Phone.WaitAt(ctx, branch.BoxPlace)
	return err
}
