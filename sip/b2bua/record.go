package b2bua

import (
	"errors"
	"time"

	"holdfast/sip/stack"
)

// ErrNoPorts is what Media returns when no port is left: 503 before the call.
var ErrNoPorts = errors.New("no media ports left")

// Why a call ended, in records.
const (
	causeBye         = "hangup"
	causeCancelled   = "cancelled"
	causeLost        = "caller lost"
	causeRefused     = "refused"
	causeNoCodec     = "no common codec"
	causeNoKey       = "no other SRTP key" // a phone had another's, and took none of the box's
	causeNoAck       = "no ACK"
	causeDead        = "dialog dead"
	causeSilence     = "media silence"
	causeStopped     = "box stopped"
	causeTransferred = "transferred" // the other party goes on in another call
	causeExpired     = "session expired"
	causeNoPrack     = "no PRACK"
	causeFault       = "fault in the box"
	causeCut         = "cut off by a restart of the box"
	causeAgain       = "the caller called again"
	causePreempted   = "made room for an emergency call"
)

// Record is what remains of a call. It holds no key.
type Record struct {
	ID                string
	Began, Answered   time.Time // Answered is zero for a call without an answer
	Ended             time.Time
	From, To, Dialled string
	Kind              string // how it was routed: user, trunk, emergency, reject
	Status            int    // final status that the caller got
	Cause, EndedBy    string // EndedBy: caller, callee or box
	Emergency         bool
	Legs              []LegRecord
}

// LegRecord is one side's quality.
type LegRecord struct {
	Name, Party  string
	Side         string // access or trunk
	Codec, Suite string
	Status       int // of a branch that failed
	Stats        LegStats

	Undecryptable bool // its sound came and could not be decrypted, for some seconds at least
}

// report hands the record over, once, while the media legs still know their figures.
func (c *Call) report() {
	if c.agent.o.OnEnd == nil {
		return
	}
	r := Record{ID: c.id, Began: c.began, Answered: c.answeredAt, Ended: time.Now(), From: c.legs[0].aor(), Dialled: clip(c.query.Target),
		Kind: c.kind.String(), Cause: c.cause, EndedBy: c.endedBy, Emergency: c.emergency, Status: c.refusal.status}
	if c.legs[0].answered {
		r.Status = 200
	}
	if c.legs[0].trunk != nil {
		r.From, _ = trunkCaller(c.invite.Request())
	}
	if c.callee != nil {
		r.To = c.callee.aor()
		switch r.EndedBy {
		case c.caller.name:
			r.EndedBy = "caller"
		case c.callee.name:
			r.EndedBy = "callee"
		}
	}
	for _, l := range c.legs {
		r.Legs = append(r.Legs, LegRecord{Name: l.name, Party: l.aor(), Side: stack.Side(l.side).String(), Codec: l.codecs.Audio.Name,
			Suite: l.send.Suite, Status: l.status, Stats: l.stats, Undecryptable: l.undecryptable})
	}
	c.log.Info("call ended", "cause", r.Cause, "by", r.EndedBy, "status", r.Status, "seconds", int(r.Ended.Sub(r.Began).Seconds()))
	c.agent.o.OnEnd(r)
}

// clip bounds what a record repeats of a request.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
