// Package demo is the story of an outage, told step by step on a lab branch: the cloud dies, the box takes over, people
// call each other and the outside world, the cloud comes back and everybody goes home, while a call runs on.
package demo

import (
	"context"
	"fmt"
	"time"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// Targets of the product that the story holds the box to.
const (
	detectTarget   = 10 * time.Second // the cloud is silent → mode resilience: with default probes at most 8 s (an interval, then 3 misses of 2 s), and slack for a busy machine
	registerTarget = 10 * time.Second // the cloud is silent → the first REGISTER is accepted
	allTarget      = 14 * time.Second // the cloud is silent → every phone of the branch is on the box
	homeTarget     = 30 * time.Second // the cloud answers → every phone is home; hold-off and a refresh are in it
	tidyLimit      = 2 * time.Second  // to hang up after a failure
	recoverLimit   = 25 * time.Second // the cloud answers → mode recovering: as many answers as misses, then the hold-off
)

// story is the branch and what one step leaves to the next; steps run one after the other.
type story struct {
	*branch.Branch
	screen *script.Screen

	cut     time.Time            // when the cloud was cut
	arrived map[string]time.Time // on the box, by extension
	mended  time.Time
	running [2]*ua.Call // the call that lives through the return of the cloud
}

// Steps tells the story on a branch. screen gets what happens between the steps.
func Steps(b *branch.Branch, screen *script.Screen) []script.Step {
	s := &story{Branch: b, screen: screen, arrived: make(map[string]time.Time)}
	var all []script.Step
	for _, part := range [][]script.Step{s.normal(), s.outage(), s.inside(), s.outsideWorld(), s.help(), s.unhappy(), s.homecoming()} {
		all = append(all, part...)
	}
	for i := range all {
		all[i].Do = s.tidied(all[i].Do)
	}
	return all
}

// tidied hangs up what a step leaves behind when it fails, so that the next ones are judged by themselves.
func (s *story) tidied(do func(context.Context, *script.Notes) error) func(context.Context, *script.Notes) error {
	return func(ctx context.Context, n *script.Notes) error {
		err := do(ctx, n)
		if err == nil {
			return nil
		}
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), tidyLimit)
		defer done()
		agents := []*ua.Agent{s.SBC.Agent}
		for _, p := range s.People {
			agents = append(agents, p.Phone.Agent)
		}
		for _, a := range agents {
			for _, c := range a.Calls() {
				if c != s.running[0] && c != s.running[1] && c.EndedBy() == "" {
					c.HangUp(ctx) // its own failure is no news: the step has failed already
				}
			}
		}
		return err
	}
}

// call dials from one person to another and waits for both ends.
func (s *story) call(ctx context.Context, from, to, dialled string, o ua.DialOptions) (a, b *ua.Call, err error) {
	callee := s.Person(to).Phone
	drain(callee.Incoming())
	if a, err = s.Person(from).Phone.Dial(dialled, o); err != nil {
		return nil, nil, err
	}
	if b, err = fetch(ctx, a, callee.Incoming()); err != nil {
		return nil, nil, fmt.Errorf("%s calls %s: %w", from, dialled, err)
	}
	return a, b, both(ctx, a, b)
}

// fetch waits for the far end of a call, or for its failure.
func fetch(ctx context.Context, a *ua.Call, incoming <-chan *ua.Call) (*ua.Call, error) {
	select {
	case b := <-incoming:
		return b, nil
	case <-a.Ended():
		return nil, a.Wait(ctx)
	case <-ctx.Done():
		return nil, fmt.Errorf("the call did not arrive (last status %d): %w", a.Status(), ctx.Err())
	}
}

func both(ctx context.Context, a, b *ua.Call) error {
	if err := a.Wait(ctx); err != nil {
		return err
	}
	return b.Wait(ctx)
}

func drain(ch <-chan *ua.Call) {
	for {
		select {
		case <-ch:
		default:
			return
		}
	}
}

// hangUp ends a call from one side and waits for the other.
func hangUp(ctx context.Context, a, b *ua.Call) error {
	if err := a.HangUp(ctx); err != nil {
		return err
	}
	if err := b.WaitEnd(ctx); err != nil {
		return err
	}
	if b.EndedBy() != "peer" {
		return fmt.Errorf("the far end's call ended by %q, not by BYE", b.EndedBy())
	}
	return nil
}

// listen starts both ends' measurement anew, after what is in flight has landed.
func listen(ctx context.Context, calls ...*ua.Call) {
	sleep(ctx, 60*time.Millisecond)
	for _, c := range calls {
		c.Media().Listen()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// poll asks until ok says yes, or returns its last complaint.
func poll(ctx context.Context, ok func() error) error {
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		}
		sleep(ctx, 50*time.Millisecond)
	}
}
