// Package notice tells the people of a branch that somebody called for help: front-desk phones ring with who and where,
// phones that show texts get one, the box's light and buzzer go on, and all that repeats until somebody acknowledges
// (47 CFR §9.16(b)(2), Kari's Law). It works without the internet and delays no call: it reads the journal of emergency
// calls (firmware/emergency), which also keeps what came of it.
//
// The calls and texts themselves are made by who implements Ringer and Messenger; telling the world outside is
// firmware/webhook's job.
package notice

import (
	"context"
	"errors"
	"time"

	"holdfast/firmware/emergency"
)

// Event is what happens in a notice call.
type Event uint8

// The events of a notice call, in their order; any may be missing.
const (
	Ringing      Event = iota + 1 // phones of the user ring
	Taken                         // somebody answered and hears it
	Acknowledged                  // and pressed the key
)

// Call is a notice call to be made.
type Call struct {
	ID      string           // of the emergency call
	User    string           // of the site document: all phones of this user ring
	But     *emergency.Phone // of these not the one that called for help; of a caller whose phone is not known none; nil: all
	Display string           // "911 ROOM 204": the name to show, whatever the phone's own list says
	Number  string           // that was dialled for help, or a urn
	Test    bool             // the announcement says so
	RingFor time.Duration    // give up when nobody has answered by then
}

// Ringer makes notice calls.
type Ringer interface {
	// Ring rings, past DND, forwarding and busy; to who answers it plays the notice until a key acknowledges it or the
	// phone hangs up. It returns when the call is over, or soon after ctx has ended, and then nobody rings any more. A
	// call that nobody took is an error. on does not wait.
	Ring(ctx context.Context, c Call, on func(Event)) error
}

// Messenger sends texts.
type Messenger interface {
	// Message sends a text to all phones of a user (RFC 3428), but for one as in Call, and returns nil when one of them took
	// it; ErrNoTexts when none of them ever will.
	Message(ctx context.Context, user string, but *emergency.Phone, text string) error
}

// ErrNoTexts says that a user's phones show no texts.
var ErrNoTexts = errors.New("notice: the phones show no texts")

// ErrNobodyThere says that no phone of a user can be reached just now.
var ErrNobodyThere = errors.New("notice: no phone of the user can be reached")

// errNotHere stands for a Ringer or Messenger that there is none of.
var errNotHere = errors.New("notice: there is no way to reach phones")

// nobody is a Ringer and a Messenger without phones.
type nobody struct{}

func (nobody) Ring(context.Context, Call, func(Event)) error                   { return errNotHere }
func (nobody) Message(context.Context, string, *emergency.Phone, string) error { return ErrNoTexts }
