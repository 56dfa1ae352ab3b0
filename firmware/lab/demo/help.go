package demo

import (
	"context"
	"fmt"
	"strings"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/sbc"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// help is a call to the emergency service, and the way back.
func (s *story) help() []script.Step {
	return []script.Step{
		{
			Name: "1005 dials 911", Want: "the PSAP sees the place's number, not 1005's; the front desk's phone rings, and a key acknowledges",
			Do: s.callHelp,
		},
		{
			Name: "The PSAP calls back", Want: "the phone that called rings",
			Do: func(ctx context.Context, n *script.Notes) error {
				erin := s.Person("1005")
				drain(erin.Phone.Incoming())
				a, err := s.SBC.CallIn(ctx, branch.PSTNCaller, branch.ELIN, ua.DialOptions{})
				if err != nil {
					return err
				}
				b, err := fetch(ctx, a, erin.Phone.Incoming())
				if err != nil {
					return err
				}
				if err := both(ctx, a, b); err != nil {
					return err
				}
				if err := tones(ctx, n, a, erin.Hz, b, branch.PSTNTone); err != nil {
					return err
				}
				return hangUp(ctx, a, b)
			},
		},
	}
}

// callHelp dials 911 while the front desk is told.
func (s *story) callHelp(ctx context.Context, n *script.Notes) error {
	erin, desk := s.Person("1005"), s.Person(branch.FrontDesk)
	drain(s.SBC.Incoming())
	drain(desk.Phone.Incoming())
	a, err := erin.Phone.Dial(branch.Emergency, ua.DialOptions{})
	if err != nil {
		return err
	}
	psap, err := fetch(ctx, a, s.SBC.Incoming())
	if err != nil {
		return err
	}
	if err := both(ctx, a, psap); err != nil {
		return err
	}
	req := psap.Invite()
	if u, from := req.Recipient.User, req.From().Address.User; u != branch.Emergency || from != branch.ELIN {
		return fmt.Errorf("the PSAP was dialled as %q and sees %q, want %s and %s", u, from, branch.Emergency, branch.ELIN)
	}
	if u := sbc.AssertedUser(req); u != branch.ELIN {
		return fmt.Errorf("P-Asserted-Identity is %q, want %s", u, branch.ELIN)
	}
	n.Saw("the PSAP sees %s", branch.ELIN)
	var notice *ua.Call
	select {
	case notice = <-desk.Phone.Incoming():
	case <-ctx.Done():
		return fmt.Errorf("the front desk's phone did not ring: %w", ctx.Err())
	}
	shown := notice.Invite().From().DisplayName
	if !strings.Contains(shown, branch.Emergency) {
		return fmt.Errorf("the front desk's phone shows %q", shown)
	}
	if err := notice.Wait(ctx); err != nil {
		return fmt.Errorf("the notice call: %w", err)
	}
	n.Saw("the front desk's phone shows %q", shown)
	if err := poll(ctx, func() error {
		if h := notice.Media().Heard(); h.Packets < 10 {
			return fmt.Errorf("the front desk heard %d packets of the notice", h.Packets)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := notice.Media().Dial("1"); err != nil {
		return err
	}
	if err := notice.WaitEnd(ctx); err != nil {
		return fmt.Errorf("a key does not end the notice: %w", err)
	}
	n.Saw("acknowledged by a key")
	if err := tones(ctx, n, a, branch.PSTNTone, psap, erin.Hz); err != nil {
		return err
	}
	return hangUp(ctx, a, psap)
}
