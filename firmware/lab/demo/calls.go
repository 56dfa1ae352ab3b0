package demo

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/sbc"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// inside are calls from desk to desk.
func (s *story) inside() []script.Step {
	return []script.Step{
		{
			Name: "1001 and 1002 talk in Opus", Want: "Opus frames byte for byte both ways, digits across clock rates 48000 and 8000",
			Do: func(ctx context.Context, n *script.Notes) error {
				alice, bob := s.Person("1001"), s.Person("1002")
				a, b, err := s.call(ctx, "1001", "1002", "1002", ua.DialOptions{})
				if err != nil {
					return err
				}
				if err := frames(ctx, n, a, bob.Recording, b, alice.Recording); err != nil {
					return err
				}
				if err := digits(ctx, n, a, b, "12#"); err != nil {
					return fmt.Errorf("1001 to 1002: %w", err)
				}
				if err := digits(ctx, n, b, a, "90*"); err != nil {
					return fmt.Errorf("1002 to 1001: %w", err)
				}
				return hangUp(ctx, a, b)
			},
		},
		{
			Name: "1003 and 1004 talk in PCMU", Want: "tones both ways, each leg with its own key and suite",
			Do: func(ctx context.Context, n *script.Notes) error {
				a, b, err := s.call(ctx, "1003", "1004", "8011004", ua.DialOptions{}) // by the long extension
				if err != nil {
					return err
				}
				if err := tones(ctx, n, a, s.Person("1004").Hz, b, s.Person("1003").Hz); err != nil {
					return err
				}
				n.Saw("%s and %s", a.Media().Suite(), b.Media().Suite())
				return hangUp(ctx, b, a)
			},
		},
		{
			Name: "Hold and resume", Want: "music instead of the other side while held, the tone again after",
			Do: func(ctx context.Context, n *script.Notes) error {
				a, b, err := s.call(ctx, "1005", "1003", "1003", ua.DialOptions{})
				if err != nil {
					return err
				}
				if err := holdAndResume(ctx, a, b, s.Person("1005").Hz); err != nil {
					return err
				}
				n.Saw("music while held")
				if err := tones(ctx, n, a, s.Person("1003").Hz, b, s.Person("1005").Hz); err != nil {
					return fmt.Errorf("after the resume: %w", err)
				}
				return hangUp(ctx, a, b)
			},
		},
		{
			Name: "Both phones of 1003 ring", Want: "the first to answer has the call, the other stops: completed elsewhere",
			Do: s.fork,
		},
	}
}

// holdAndResume holds from a's side: b is told and hears music instead of a's tone, then is told that it is over.
func holdAndResume(ctx context.Context, a, b *ua.Call, hz float64) error {
	if err := a.Hold(ctx); err != nil {
		return err
	}
	if !b.Held() {
		return fmt.Errorf("the held phone was not told")
	}
	if err := music(ctx, b, hz); err != nil {
		return fmt.Errorf("while held: %w", err)
	}
	if err := a.Resume(ctx); err != nil {
		return err
	}
	if b.Held() {
		return fmt.Errorf("the phone was not told that it is no longer held")
	}
	return nil
}

// fork lets a second phone of 1003 register and answer first.
func (s *story) fork(ctx context.Context, n *script.Notes) error {
	const hz = 350
	first := s.Person("1003")
	second := first.SecondPhone(hz)
	p := s.NewPhone(second, s.Servers[len(s.Servers)-1])
	on, off := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		p.Run(on)
	}()
	defer func() {
		off()
		<-gone
	}()
	if _, err := p.WaitAt(ctx, branch.BoxPlace); err != nil {
		return err
	}
	first.Behave(ua.Behaviour{Never: true})
	defer first.Behave(ua.Behaviour{})
	drain(first.Phone.Incoming())
	a, err := s.Person("1005").Phone.Dial("1003", ua.DialOptions{})
	if err != nil {
		return err
	}
	lost, err := fetch(ctx, a, first.Phone.Incoming())
	if err != nil {
		return err
	}
	won, err := fetch(ctx, a, p.Incoming())
	if err != nil {
		return err
	}
	if err := both(ctx, a, won); err != nil {
		return err
	}
	if err := lost.WaitEnd(ctx); err != nil {
		return err
	}
	if lost.EndedBy() != "cancelled" || !strings.Contains(strings.ToLower(lost.Reason()), "completed elsewhere") {
		return fmt.Errorf("the other phone stopped as %q with the reason %q", lost.EndedBy(), lost.Reason())
	}
	n.Saw("both rang, one answered, the other was told: %s", lost.Reason())
	if err := tones(ctx, n, a, hz, won, s.Person("1005").Hz); err != nil {
		return err
	}
	return hangUp(ctx, a, won)
}

// outsideWorld are calls over the SBC.
func (s *story) outsideWorld() []script.Step {
	return []script.Step{
		{
			Name: "1003 dials 9-1-217-555-0142", Want: "the SBC gets E.164, an early offer and the BYOC caller ID; tones both ways",
			Do: func(ctx context.Context, n *script.Notes) error {
				return s.dialOut(ctx, n, "1003", branch.DialledOut, branch.Subscriber, ua.DialOptions{})
			},
		},
		{
			Name: "A phone that offers late calls out", Want: "the box makes the offer itself: early offer always",
			Do: func(ctx context.Context, n *script.Notes) error {
				return s.dialOut(ctx, n, "1004", branch.Subscriber, branch.Subscriber, ua.DialOptions{NoOffer: true})
			},
		},
		{
			Name: "Early media from the PSTN", Want: "the tone is heard before the answer",
			Do: func(ctx context.Context, n *script.Notes) error {
				drain(s.SBC.Incoming())
				a, err := s.Person("1004").Phone.Dial(branch.EarlyBird, ua.DialOptions{})
				if err != nil {
					return err
				}
				b, err := fetch(ctx, a, s.SBC.Incoming())
				if err != nil {
					return err
				}
				if err := poll(ctx, func() error {
					h := a.Media().Heard()
					if h.Packets < 10 || math.Abs(h.Hz-branch.PSTNTone) > tolerance || h.Share < minShare {
						return fmt.Errorf("heard %d packets, %.0f Hz", h.Packets, h.Hz)
					}
					return nil
				}); err != nil {
					return err
				}
				select {
				case <-a.Answered():
					return fmt.Errorf("nothing was heard until the answer")
				default:
				}
				n.Saw("%.0f Hz before the answer, status %d", branch.PSTNTone, a.Status())
				if err := both(ctx, a, b); err != nil {
					return err
				}
				return hangUp(ctx, a, b)
			},
		},
		{
			Name: "The PSTN calls 1004's number", Want: "the phone shows the caller's number; tones, hold and digits work",
			Do: func(ctx context.Context, n *script.Notes) error {
				dave := s.Person("1004")
				drain(dave.Phone.Incoming())
				a, err := s.SBC.CallIn(ctx, branch.PSTNCaller, dave.BYOC, ua.DialOptions{})
				if err != nil {
					return err
				}
				b, err := fetch(ctx, a, dave.Phone.Incoming())
				if err != nil {
					return err
				}
				if err := both(ctx, a, b); err != nil {
					return err
				}
				if from := b.Invite().From().Address.User; from != branch.PSTNCaller {
					return fmt.Errorf("the phone shows %q, not %s", from, branch.PSTNCaller)
				}
				if !slices.Contains(a.Statuses(), 180) {
					return fmt.Errorf("the caller heard no ringing: %v", a.Statuses())
				}
				n.Saw("caller %s", branch.PSTNCaller)
				if err := tones(ctx, n, a, dave.Hz, b, branch.PSTNTone); err != nil {
					return err
				}
				if err := holdAndResume(ctx, a, b, branch.PSTNTone); err != nil {
					return fmt.Errorf("the PSTN side holds: %w", err)
				}
				if err := digits(ctx, n, b, a, "7"); err != nil {
					return err
				}
				return hangUp(ctx, a, b) // the SBC hangs up
			},
		},
	}
}

// dialOut calls a PSTN number and checks what the SBC got.
func (s *story) dialOut(ctx context.Context, n *script.Notes, from, dialled, number string, o ua.DialOptions) error {
	p := s.Person(from)
	drain(s.SBC.Incoming())
	a, err := p.Phone.Dial(dialled, o)
	if err != nil {
		return err
	}
	b, err := fetch(ctx, a, s.SBC.Incoming())
	if err != nil {
		return err
	}
	if wrong := sbc.Inspect(b, number, p.CallerID()); len(wrong) > 0 {
		return fmt.Errorf("the SBC objects: %s", strings.Join(wrong, "; "))
	}
	n.Saw("to %s as %s", number, p.CallerID())
	if err := both(ctx, a, b); err != nil {
		return err
	}
	if err := tones(ctx, n, a, branch.PSTNTone, b, p.Hz); err != nil {
		return err
	}
	return hangUp(ctx, a, b)
}

// unhappy are calls that do not come about, as they should not.
func (s *story) unhappy() []script.Step {
	return []script.Step{
		{
			Name: "A caller gives up", Want: "the ringing phone stops, the caller gets 487",
			Do: func(ctx context.Context, n *script.Notes) error {
				alice := s.Person("1001")
				alice.Behave(ua.Behaviour{Never: true})
				defer alice.Behave(ua.Behaviour{})
				drain(alice.Phone.Incoming())
				a, err := s.Person("1003").Phone.Dial("1001", ua.DialOptions{})
				if err != nil {
					return err
				}
				b, err := fetch(ctx, a, alice.Phone.Incoming())
				if err != nil {
					return err
				}
				if err := poll(ctx, func() error {
					if a.Status() != 180 {
						return fmt.Errorf("no ringing: %v", a.Statuses())
					}
					return nil
				}); err != nil {
					return err
				}
				if err := a.HangUp(ctx); err != nil {
					return err
				}
				if err := b.WaitEnd(ctx); err != nil {
					return err
				}
				if a.Status() != 487 || b.EndedBy() != "cancelled" {
					return fmt.Errorf("caller got %d, the phone stopped as %q", a.Status(), b.EndedBy())
				}
				n.Saw("rang, 487, the phone stopped")
				return nil
			},
		},
		s.refusal("A busy phone", "1003", "1001", func() { s.Person("1001").Behave(ua.Behaviour{Reject: 486}) }, 486),
		s.refusal("A busy number outside", "1003", branch.DialledBusy, nil, 486),
		s.refusal("No codec in common", "1003", "1006", nil, 488),
		s.refusal("An extension that nobody has", "1003", "1777", nil, 404, 484),
		{
			Name: "The PSTN calls a number that nobody has", Want: "404",
			Do: func(ctx context.Context, n *script.Notes) error {
				a, err := s.SBC.CallIn(ctx, branch.PSTNCaller, "+12175551888", ua.DialOptions{})
				if err != nil {
					return err
				}
				return refused(ctx, n, a, 404)
			},
		},
	}
}

func (s *story) refusal(name, from, to string, before func(), status ...int) script.Step {
	return script.Step{
		Name: name, Want: fmt.Sprintf("the caller gets one of %d", status),
		Do: func(ctx context.Context, n *script.Notes) error {
			if before != nil {
				before()
				defer func() { s.Person(to).Behave(ua.Behaviour{}) }()
			}
			a, err := s.Person(from).Phone.Dial(to, ua.DialOptions{})
			if err != nil {
				return err
			}
			return refused(ctx, n, a, status...)
		},
	}
}

func refused(ctx context.Context, n *script.Notes, a *ua.Call, status ...int) error {
	if err := a.WaitEnd(ctx); err != nil {
		return err
	}
	n.Saw("status %d", a.Status())
	if !slices.Contains(status, a.Status()) {
		return fmt.Errorf("the caller got %d, not one of %d", a.Status(), status)
	}
	return nil
}
