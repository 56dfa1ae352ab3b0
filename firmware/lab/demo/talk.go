package demo

import (
	"context"

	"holdfast/firmware/lab/branch"
	"holdfast/firmware/lab/script"
	"holdfast/firmware/lab/ua"
)

// Talk is one call between two phones of a branch that send tones: both hear the other, then it is hung up.
func Talk(ctx context.Context, n *script.Notes, b *branch.Branch, from, to string) error {
	s := &story{Branch: b}
	caller, callee, err := s.call(ctx, from, to, to, ua.DialOptions{})
	if err != nil {
		return err
	}
	if err := tones(ctx, n, caller, s.Person(to).Hz, callee, s.Person(from).Hz); err != nil {
		return err
	}
	n.Saw("%s and %s", caller.Media().Suite(), callee.Media().Suite())
	return hangUp(ctx, caller, callee)
}

// TalkOut is one call from a phone that sends a tone to a subscriber behind the SBC.
func TalkOut(ctx context.Context, n *script.Notes, b *branch.Branch, from string) error {
	return (&story{Branch: b}).dialOut(ctx, n, from, branch.DialledOut, branch.Subscriber, ua.DialOptions{})
}
