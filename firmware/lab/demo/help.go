package demo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/sbc"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// help are calls to the emergency service, and the ways back.
func (s *story) help() []script.Step {
	return []script.Step{
		{
			Name: "1005 has no number and dials 911", Want: "the PSAP sees the place's number; the front desk's phone rings, and a key acknowledges",
			Do: s.callHelp,
		},
		{
			Name: "1005 does not want to be disturbed", Want: "a colleague's call is refused, the PSAP's callback rings",
			Do: func(ctx context.Context, n *script.Notes) error {
				a, err := s.Person("1003").Phone.Dial(branch.NoNumber, ua.DialOptions{})
				if err != nil {
					return err
				}
				if err := refused(ctx, n, a, 480, 486); err != nil {
					return err
				}
				return s.calledBack(ctx, n)
			},
		},
		{
			Name: "Three callers on two numbers", Want: "the third shares the first one's; a callback to it rings both and the front desk",
			Do: s.shared,
		},
		{
			Name: "The trunk is dead", Want: "911 goes over the second one, with that one's number",
			Do: func(ctx context.Context, n *script.Notes) error {
				s.SBC.Cut()
				a, psap, err := s.dialHelp(ctx, "1003", s.Backup, branch.BackupELIN)
				if err != nil {
					return err
				}
				n.Saw("the second trunk's PSAP sees %s", branch.BackupELIN)
				if err := tones(ctx, n, a, branch.PSTNTone, psap, s.Person("1003").Hz); err != nil {
					return err
				}
				return hangUp(ctx, a, psap)
			},
		},
		{
			Name: "All trunks are dead", Want: "the security desk rings, and the caller hears why",
			Do: s.allDead,
		},
		{
			Name: "holdfast ack Maria", Want: "nobody is rung any more",
			Do: func(ctx context.Context, n *script.Notes) error {
				out, err := s.holdfast(ctx, "ack", "Maria")
				n.Saw("%d calls acknowledged", strings.Count(out, "911 "))
				return err
			},
		},
		{
			Name: "The trunks are back; a drill from 1003", Want: "holdfast emergency drill passes: every step of a test call", Limit: 20 * time.Second,
			Do: s.drilled,
		},
	}
}

// holdfast runs a command of the box.
func (s *story) holdfast(ctx context.Context, args ...string) (string, error) {
	args = slices.Insert(args, len(args)-1, "--socket", filepath.Join(s.Box.RunDir, "holdfast.sock"))
	out, err := exec.CommandContext(ctx, s.Box.Binary, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("holdfast %s: %w\n%s", strings.Join(args[:2], " "), err, out)
	}
	return string(out), err
}

// calledBack is the PSAP calling the number that it saw from 1005.
func (s *story) calledBack(ctx context.Context, n *script.Notes) error {
	erin := s.Person(branch.NoNumber)
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
}

// dialHelp dials 911 and brings the call up at an SBC, which must see a number.
func (s *story) dialHelp(ctx context.Context, from string, at *sbc.SBC, elin string) (a, psap *ua.Call, err error) {
	drain(at.Incoming())
	if a, err = s.Person(from).Phone.Dial(branch.Emergency, ua.DialOptions{}); err != nil {
		return nil, nil, err
	}
	if psap, err = fetch(ctx, a, at.Incoming()); err != nil {
		return nil, nil, err
	}
	if err := both(ctx, a, psap); err != nil {
		return nil, nil, err
	}
	if got := psap.Invite().From().Address.User; got != elin {
		return nil, nil, fmt.Errorf("%s calls for help and is shown as %s, want %s", from, got, elin)
	}
	return a, psap, nil
}

// shared has two more callers: one gets the number that is left, the other shares the one that was used longest ago.
func (s *story) shared(ctx context.Context, n *script.Notes) error {
	for _, c := range []struct{ from, elin string }{{"1003", branch.ELIN2}, {"1004", branch.ELIN}} {
		a, psap, err := s.dialHelp(ctx, c.from, s.SBC, c.elin)
		if err != nil {
			return err
		}
		n.Saw("%s as %s", c.from, c.elin)
		if err := heard(ctx, a, psap); err != nil {
			return err
		}
		if err := hangUp(ctx, a, psap); err != nil {
			return err
		}
	}
	rings := []*branch.Person{s.Person("1004"), s.Person(branch.NoNumber), s.Person(branch.FrontDesk)}
	for _, p := range rings[1:] {
		p.Behave(ua.Behaviour{Never: true})
		defer p.Behave(ua.Behaviour{})
		drain(p.Phone.Incoming())
	}
	drain(rings[0].Phone.Incoming())
	a, err := s.SBC.CallIn(ctx, branch.PSTNCaller, branch.ELIN, ua.DialOptions{})
	if err != nil {
		return err
	}
	var answered *ua.Call
	for _, p := range rings {
		b, err := s.real(ctx, a, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Extension, err)
		}
		if answered == nil {
			answered = b
		}
	}
	if err := both(ctx, a, answered); err != nil {
		return err
	}
	n.Saw("1004, 1005 and the front desk ring, 1004 answers")
	if err := heard(ctx, a, answered); err != nil {
		return err
	}
	return hangUp(ctx, a, answered)
}

// real is a person's next call that is not a notice.
func (s *story) real(ctx context.Context, a *ua.Call, p *branch.Person) (*ua.Call, error) {
	for {
		b, err := fetch(ctx, a, p.Phone.Incoming())
		if err != nil || !strings.HasPrefix(b.Invite().From().DisplayName, branch.Emergency) {
			return b, err
		}
	}
}

// allDead dials 911 with no trunk left.
func (s *story) allDead(ctx context.Context, n *script.Notes) error {
	s.Backup.Cut()
	desk := s.Person(branch.FrontDesk)
	drain(desk.Phone.Incoming())
	a, err := s.Person("1003").Phone.Dial(branch.Emergency, ua.DialOptions{})
	if err != nil {
		return err
	}
	b, err := s.real(ctx, a, desk)
	if err != nil {
		return err
	}
	if err := both(ctx, a, b); err != nil {
		return err
	}
	if !slices.Contains(a.Statuses(), 183) {
		return fmt.Errorf("the caller heard nothing before the answer: %v", a.Statuses())
	}
	n.Saw("the security desk answered; the caller heard an announcement")
	if err := heard(ctx, a, b); err != nil {
		return err
	}
	return hangUp(ctx, a, b)
}

// drilled brings the trunks back and has the box test itself.
func (s *story) drilled(ctx context.Context, n *script.Notes) error {
	if err := errors.Join(s.SBC.Mend(), s.Backup.Mend()); err != nil {
		return err
	}
	out, err := s.holdfast(ctx, "emergency", "drill", "--number", branch.TestNumber, "1003")
	n.Saw("%d steps", strings.Count(out, "✓"))
	return err
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

// calledBackAgain has the PSAP call once more. The number is shared by now: whoever answers first has the call.
func (s *story) calledBackAgain(ctx context.Context, n *script.Notes) error {
	for _, other := range []string{"1004", branch.FrontDesk} {
		s.Person(other).Behave(ua.Behaviour{Never: true})
		defer s.Person(other).Behave(ua.Behaviour{})
	}
	return s.calledBack(ctx, n)
}

// calledHome is the PSAP calling the number that the last two callers share, when no phone is at the box any more: whoever called
// last is rung where the phone is, at the cloud.
func (s *story) calledHome(ctx context.Context, n *script.Notes) error {
	drain(s.SBC.Incoming())
	s.SBC.Behave(s.Person("1004").Cloud, ua.Behaviour{}) // somebody takes it there
	a, err := s.SBC.CallIn(ctx, branch.PSTNCaller, branch.ELIN, ua.DialOptions{})
	if err != nil {
		return err
	}
	b, err := fetch(ctx, a, s.SBC.Incoming())
	if err != nil {
		return err
	}
	req := b.Invite()
	mark := req.GetHeader("Priority")
	if to, want := req.Recipient.User, s.Person("1004").Cloud; to != want || mark == nil || mark.Value() != "psap-callback" {
		return fmt.Errorf("the box calls %s with priority %v, want %s", to, mark, want)
	}
	n.Saw("%s rings", req.Recipient.User)
	if err := both(ctx, a, b); err != nil {
		return err
	}
	return hangUp(ctx, a, b)
}

// heard waits until both ends hear something.
func heard(ctx context.Context, calls ...*ua.Call) error {
	listen(ctx, calls...)
	return poll(ctx, func() error {
		for _, c := range calls {
			if h := c.Media().Heard(); h.Packets < 10 {
				return fmt.Errorf("an end heard %d packets", h.Packets)
			}
		}
		return nil
	})
}
