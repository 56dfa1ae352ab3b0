package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// normal is a good day: the box watches and stays out of the way.
func (s *story) normal() []script.Step {
	return []script.Step{
		{
			Name: "The box is up and sees the cloud", Want: "mode normal", Vital: true,
			Do: func(ctx context.Context, n *script.Notes) error {
				mode, _, err := s.Box.WaitMode(ctx, "normal")
				if err == nil {
					n.Saw("mode %s, process %d", mode, s.Box.PID())
				}
				return err
			},
		},
		{
			Name: "The box keeps in touch with the SBC", Want: "OPTIONS over mutual TLS",
			Do: func(ctx context.Context, n *script.Notes) error {
				err := poll(ctx, func() error {
					if s.SBC.Options() == 0 {
						return fmt.Errorf("no OPTIONS at the SBC; refused connections: %q", s.SBC.Refused())
					}
					return nil
				})
				n.Saw("%d OPTIONS so far", s.SBC.Options())
				return err
			},
		},
		{
			Name: "All phones are on the cloud", Want: "six phones registered with zone 1 by Digest over TLS", Vital: true,
			Do: func(ctx context.Context, n *script.Notes) error {
				for _, p := range s.People {
					if _, err := p.Phone.WaitAt(ctx, "zone1"); err != nil {
						return err
					}
				}
				n.Saw("%d phones registered with zone 1", len(s.Zones[0].Registered()))
				return nil
			},
		},
		{
			Name: "A phone that asks the box now is sent away", Want: "503, so that phones stay with the cloud",
			Do: func(ctx context.Context, n *script.Notes) error {
				status, err := s.askBox(ctx)
				if err != nil {
					return err
				}
				n.Saw("REGISTER answered %d", status)
				if status != 503 {
					return fmt.Errorf("REGISTER answered %d, not 503", status)
				}
				return nil
			},
		},
	}
}

// askBox registers with the box beside the phones and returns how the REGISTER is answered.
func (s *story) askBox(ctx context.Context) (int, error) {
	p := s.Branch.NewPhone(s.Person("1001"), s.Servers[len(s.Servers)-1])
	return p.Try(ctx)
}

// outage takes the cloud away.
func (s *story) outage() []script.Step {
	return []script.Step{
		{
			Name: "The cloud is cut", Want: "both zones stop answering: one goes silent, one refuses", Vital: true,
			Do: func(_ context.Context, n *script.Notes) error {
				s.cut = time.Now()
				n.Saw("zone 1 is a black hole, zone 2 refuses connections")
				return s.CutCloud()
			},
		},
		{
			Name: "The box notices", Want: fmt.Sprintf("mode resilience within %v of the cut", detectTarget),
			Do: func(ctx context.Context, n *script.Notes) error {
				_, at, err := s.Box.WaitMode(ctx, "resilience")
				if err != nil {
					return err
				}
				took := at.Sub(s.cut)
				n.Seconds("detected after", took)
				s.screen.Line("●", "mode: resilience")
				if took > detectTarget {
					return fmt.Errorf("it took %.1f s", took.Seconds())
				}
				return nil
			},
		},
		{
			Name: "The phones come to the box", Vital: true, Limit: 20 * time.Second,
			Want: fmt.Sprintf("a REGISTER accepted within %v of the cut, all phones within %v", registerTarget, allTarget),
			Do: func(ctx context.Context, n *script.Notes) error {
				var first, last time.Time
				for _, p := range s.People {
					at, err := p.Phone.WaitAt(ctx, branch.BoxPlace)
					if err != nil {
						return err
					}
					s.arrived[p.Extension] = at
					if first.IsZero() || at.Before(first) {
						first = at
					}
					if at.After(last) {
						last = at
					}
				}
				n.Seconds("first after", first.Sub(s.cut))
				n.Seconds("all six after", last.Sub(s.cut))
				if took := first.Sub(s.cut); took > registerTarget {
					return fmt.Errorf("the first REGISTER was accepted after %.1f s", took.Seconds())
				}
				if took := last.Sub(s.cut); took > allTarget {
					return fmt.Errorf("the last phone came after %.1f s", took.Seconds())
				}
				return nil
			},
		},
		{
			Name: "A wrong password and an unknown user", Want: "both refused, and in the same way",
			Do: s.intruders,
		},
	}
}

// intruders are refused, an unknown user as one with a wrong password, so that extensions cannot be found out.
func (s *story) intruders(ctx context.Context, n *script.Notes) error {
	var answers []int
	for _, extension := range []string{"1001", "9999"} {
		p := s.Person("1001").SecondPhone(0)
		p.Extension, p.Password = extension, "guess"
		status, err := s.NewPhone(p, s.Servers[len(s.Servers)-1]).Try(ctx)
		if err != nil && !errors.Is(err, ua.ErrRefused) {
			return err
		}
		if status/100 != 4 {
			return fmt.Errorf("REGISTER of %s with a wrong password answered %d", extension, status)
		}
		answers = append(answers, status)
	}
	n.Saw("answered %d and %d", answers[0], answers[1])
	if answers[0] != answers[1] {
		return fmt.Errorf("the answers tell which user exists: %d and %d", answers[0], answers[1])
	}
	return nil
}

// homecoming brings the cloud back while a call runs.
func (s *story) homecoming() []script.Step {
	return []script.Step{
		{
			Name: "A call is up when the cloud comes back", Want: "1003 talks to 1004, tones both ways", Vital: true,
			Do: func(ctx context.Context, n *script.Notes) error {
				a, b, err := s.call(ctx, "1003", "1004", "1004", ua.DialOptions{})
				if err != nil {
					return err
				}
				s.running = [2]*ua.Call{a, b}
				if err := tones(ctx, n, a, s.Person("1004").Hz, b, s.Person("1003").Hz); err != nil {
					return err
				}
				s.mended = time.Now()
				return s.MendCloud()
			},
		},
		{
			Name: "The PSAP calls back once more", Want: "1005 is reached, although the cloud is there again",
			Do: s.calledBackAgain,
		},
		{
			Name: "Phones that look for the cloud go home", Want: "1001, 1002, 1003 and 1006 on a cloud zone by themselves",
			Do: func(ctx context.Context, n *script.Notes) error {
				return s.allHome(ctx, n, func(p *branch.Person) bool { return !p.OnlyWhenTold })
			},
		},
		{
			Name: "The box stands back", Want: "mode recovering, once the cloud was stable for the hold-off", Limit: recoverLimit,
			Do: func(ctx context.Context, n *script.Notes) error {
				_, at, err := s.Box.WaitMode(ctx, "recovering")
				if err != nil {
					return err
				}
				n.Seconds("recovering after", at.Sub(s.mended))
				s.screen.Line("◐", "mode: recovering")
				return nil
			},
		},
		{
			Name: "A phone that leaves only when told is told", Want: fmt.Sprintf("1005 on a cloud zone within %v", homeTarget), Limit: homeTarget,
			Do: func(ctx context.Context, n *script.Notes) error {
				return s.allHome(ctx, n, func(p *branch.Person) bool { return p.Extension == "1005" })
			},
		},
		{
			Name: "The call has survived", Want: "tones both ways still, then a clean end",
			Do: func(ctx context.Context, n *script.Notes) error {
				a, b := s.running[0], s.running[1]
				if err := tones(ctx, n, a, s.Person("1004").Hz, b, s.Person("1003").Hz); err != nil {
					return err
				}
				n.Saw("%.0f s after the cloud came back", time.Since(s.mended).Seconds())
				return hangUp(ctx, a, b)
			},
		},
		{
			Name: "Everybody is home", Want: "all six phones on a cloud zone, 1004 too that talked until now",
			Do: func(ctx context.Context, n *script.Notes) error {
				return s.allHome(ctx, n, func(*branch.Person) bool { return true })
			},
		},
		{
			Name: "A good day again", Want: "mode normal",
			Do: func(ctx context.Context, n *script.Notes) error {
				_, at, err := s.Box.WaitMode(ctx, "normal")
				if err != nil {
					return err
				}
				n.Seconds("normal after", at.Sub(s.mended))
				s.screen.Line("○", "mode: normal")
				return nil
			},
		},
		{
			Name: "The box has nothing left over", Want: "no call and no media session remains",
			Do: func(ctx context.Context, n *script.Notes) error {
				return poll(ctx, func() error {
					st, err := s.Box.Status(ctx)
					if err == nil && st.Calls+st.Sessions > 0 {
						err = fmt.Errorf("%d calls and %d media sessions remain", st.Calls, st.Sessions)
					}
					return err
				})
			},
		},
		{
			Name: "The box has kept records", Want: "one for each call, with its status, legs and packets, and each change of mode",
			Do: s.kept,
		},
		{
			Name: "The box tells what happened", Want: "a report whose times, phones, calls and calls for help are those that the lab knows of",
			Do: s.report,
		},
		{
			Name: "An engineer looks at each call", Want: "a ladder of its messages, without a key or a password",
			Do: s.traced,
		},
		{
			Name: "The PSAP calls back when all phones have gone home", Want: "the SBC is asked for the caller's number at the cloud, as a callback",
			Do: s.calledHome,
		},
		{
			Name: "Nothing from inside reached the SBC", Want: "no inside address, name, extension, Call-ID or key in anything that the box sent",
			Do: func(_ context.Context, n *script.Notes) error {
				texts, keys := s.Inside()
				if s.SBC.Recorded() == 0 {
					return fmt.Errorf("the SBC recorded nothing")
				}
				n.Saw("%d texts and %d keys searched in %d bytes", len(texts), len(keys), s.SBC.Recorded())
				if found := s.SBC.Leaks(texts, keys); len(found) > 0 {
					return fmt.Errorf("%d leaks, such as %s", len(found), found[0])
				}
				return nil
			},
		},
		{
			Name: "No breach of protocol was seen", Want: "the phones and the SBC have nothing to object to",
			Do: func(_ context.Context, n *script.Notes) error {
				problems := s.SBC.Problems()
				calls := len(s.SBC.Calls())
				for _, p := range s.People {
					problems = append(problems, p.Phone.Problems()...)
					calls += len(p.Phone.Calls())
				}
				n.Saw("%d ends of calls looked at", calls)
				if len(problems) > 0 {
					return fmt.Errorf("%d objections, such as: %s", len(problems), problems[0])
				}
				return nil
			},
		},
	}
}

// allHome waits until the phones of some people are registered with the cloud again.
func (s *story) allHome(ctx context.Context, n *script.Notes, who func(*branch.Person) bool) error {
	var last time.Time
	count := 0
	for _, p := range s.People {
		if !who(p) {
			continue
		}
		at, err := p.Phone.WaitAt(ctx, "zone1", "zone2")
		if err != nil {
			return err
		}
		count++
		if at.After(last) {
			last = at
		}
	}
	n.Measure("phones home", float64(count), "")
	n.Seconds("the last after", last.Sub(s.mended))
	return nil
}
