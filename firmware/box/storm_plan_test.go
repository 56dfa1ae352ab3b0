package box

import (
	"math/rand/v2"
	"time"
)

// kind is who calls whom.
type kind int

const (
	inside kind = iota // phone to phone
	out                // phone to the trunk
	in                 // trunk to phone
	kinds
)

func (k kind) String() string { return [...]string{"inside", "out", "in"}[k] }

// fate is where and how a call is broken off.
type fate int

const (
	lives fate = iota // to its end, with a hold between: one side hangs up
	cancelAtOnce
	dropAtOnce
	cancelAfterTrying
	dropAfterTrying
	cancelRinging
	dropRinging
	calleeDropsAtOnce
	calleeDropsRinging
	rejected
	cancelCrosses200
	dropCrosses200
	calleeAnswersAndDrops
	noAck
	byeBeforeAck
	dropBeforeAck
	answerWithoutSDP
	answerWithoutCodec
	bothHangUp
	hangUpAndDrop
	silentCallee // nothing at all to the INVITE
	changeDropped
	changeCalleeDrops
	changeHangUp
	changeUnanswered
	changeRefused
	glare
	farAnswersTwice
	noAnswerAtBye
	forged
	// With a third phone (storm_move_test.go).
	transferred
	consulted
	parked
	pickedUp
	reliably
	fates
)

// moves is the first of the fates with a third phone, whose calls talk to each other: their steps are not the same each time.
const moves = transferred

var fateNames = [...]string{"lives", "CANCEL at once", "drop at once", "CANCEL after 100", "drop after 100", "CANCEL while ringing", "drop while ringing",
	"callee drops at once", "callee drops ringing", "rejected", "CANCEL crosses 200", "drop crosses 200", "callee answers and drops", "no ACK",
	"BYE before ACK", "drop before ACK", "200 without SDP", "200 without codec", "both BYE", "BYE and drop", "silent callee",
	"re-INVITE, then drop", "re-INVITE, callee drops", "re-INVITE, then BYE", "re-INVITE unanswered", "re-INVITE refused", "glare", "200 twice",
	"BYE unanswered", "forged requests", "blind transfer", "attended transfer", "park and fetch", "pickup", "100rel"}

func (f fate) String() string { return fateNames[f] }

// plan is one call, settled before it begins.
type plan struct {
	kind   kind
	fate   fate
	status int           // of a rejection
	early  bool          // the callee sends early media
	late   bool          // the caller makes no offer
	step   int           // at which a transfer and its like are broken off
	callee bool          // it is the callee that acts where both could
	offset time.Duration // between two things that cross
	pause  time.Duration // before the abort
}

// plans of one worker: the seed fixes them all. fates are those up to last.
func plans(seed, worker uint64, n int, last fate) []plan {
	r := rand.New(rand.NewPCG(seed, worker))
	refusals := []int{486, 480, 404, 503, 500, 603, 600, 302, 488, 408}
	list := make([]plan, n)
	for i := range list {
		p := plan{kind: kind(r.IntN(int(kinds))), fate: fate(r.IntN(int(last))), status: refusals[r.IntN(len(refusals))],
			early: r.IntN(4) == 0, late: r.IntN(6) == 0, callee: r.IntN(2) == 0,
			offset: time.Duration(r.IntN(3000)-1500) * time.Microsecond, pause: time.Duration(r.IntN(4)) * 700 * time.Microsecond}
		if p.step = r.IntN(13); p.fate >= moves && p.fate != reliably {
			p.early = false
			if p.kind == out && p.fate == pickedUp {
				p.kind = in
			}
		}
		if r.IntN(3) == 0 {
			p.fate = lives
		}
		if p.kind != inside && r.IntN(24) > 0 && p.drops() {
			p.kind = inside // the trunk's connection is everybody's: it falls now and then only
		}
		list[i] = p
	}
	return list
}

// drops tells whether a connection may be cut.
func (p plan) drops() bool {
	switch p.fate {
	case dropAtOnce, dropAfterTrying, dropRinging, calleeDropsAtOnce, calleeDropsRinging, dropCrosses200, calleeAnswersAndDrops, dropBeforeAck,
		hangUpAndDrop, changeDropped, changeCalleeDrops, noAnswerAtBye:
		return true
	}
	return false
}
