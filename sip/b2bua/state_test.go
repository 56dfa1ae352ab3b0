package b2bua

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTransitions states the whole table once more, by hand: every pair that is not here must change nothing.
func TestTransitions(t *testing.T) {
	type key struct {
		s  State
		in input
	}
	want := map[key]step{
		{Dialling, inRinging}:    {Dialling, []action{doRing}},
		{Dialling, inEarly}:      {Dialling, []action{doEarly}},
		{Dialling, inAnswer}:     {Answered, []action{doConnect}},
		{Dialling, inExhausted}:  {Dialling, []action{doNext}},
		{Dialling, inRingTime}:   {Dialling, []action{doStop, doNext}},
		{Dialling, inRefused}:    {Over, []action{doRefuse, doEnd}},
		{Dialling, inCancel}:     {Over, []action{doRefuse, doEnd}},
		{Dialling, inCallerLost}: {Over, []action{doEnd}},
		{Dialling, inStop}:       {Over, []action{doRefuse, doEnd}},
		{Answered, inAnswer}:     {Answered, []action{doHangUp}},
		{Answered, inUnusable}:   {Over, []action{doRefuse, doEnd}},
		{Answered, inPassOn}:     {Dialling, nil},
		{Answered, inCancel}:     {Over, []action{doRefuse, doEnd}},
		{Answered, inCallerLost}: {Over, []action{doEnd}},
		{Answered, inAck}:        {Up, nil},
		{Answered, inAckTime}:    {Over, []action{doEnd}},
		{Answered, inBye}:        {Over, []action{doEnd}},
		{Answered, inDead}:       {Over, []action{doEnd}},
		{Answered, inStop}:       {Over, []action{doRefuse, doEnd}},
		{Up, inAnswer}:           {Up, []action{doHangUp}},
		{Up, inRefer}:            {Transferring, []action{doDial}},
		{Up, inPark}:             {Waiting, []action{doPark}},
		{Up, inTaken}:            {Up, []action{doTake}},
		{Up, inGiven}:            {Over, []action{doEnd}},
		{Up, inAckTime}:          {Over, []action{doEnd}},
		{Up, inBye}:              {Over, []action{doEnd}},
		{Up, inDead}:             {Over, []action{doEnd}},
		{Up, inStop}:             {Over, []action{doEnd}},

		{Transferring, inRinging}:   {Transferring, []action{doProgress}},
		{Transferring, inEarly}:     {Transferring, []action{doProgress}},
		{Transferring, inAnswer}:    {Up, []action{doJoin}},
		{Transferring, inExhausted}: {Transferring, []action{doNext}},
		{Transferring, inRingTime}:  {Transferring, []action{doStop, doNext}},
		{Transferring, inRefused}:   {Up, []action{doStop, doKeep}},
		{Transferring, inLeave}:     {Waiting, []action{doLeave}},
		{Transferring, inAckTime}:   {Over, []action{doEnd}},
		{Transferring, inBye}:       {Over, []action{doEnd}},
		{Transferring, inDead}:      {Over, []action{doEnd}},
		{Transferring, inStop}:      {Over, []action{doEnd}},

		{Waiting, inAnswer}:    {Up, []action{doJoin}},
		{Waiting, inTaken}:     {Up, []action{doStop, doTake}},
		{Waiting, inExhausted}: {Waiting, []action{doNext}},
		{Waiting, inRingTime}:  {Waiting, []action{doStop, doNext}},
		{Waiting, inRefused}:   {Waiting, []action{doStop, doRecall}},
		{Waiting, inParkTime}:  {Waiting, []action{doRecall}},
		{Waiting, inNobody}:    {Over, []action{doEnd}},
		{Waiting, inAckTime}:   {Over, []action{doEnd}},
		{Waiting, inBye}:       {Over, []action{doEnd}},
		{Waiting, inDead}:      {Over, []action{doEnd}},
		{Waiting, inStop}:      {Over, []action{doEnd}},

		{Over, inAnswer}: {Over, []action{doHangUp}},
	}
	for s := range states {
		for in := range inputs {
			to, do := next(s, in)
			w, ok := want[key{s, in}]
			if !ok {
				w = step{s, nil}
			}
			if to != w.to || !slices.Equal(do, w.do) {
				t.Errorf("next(%v, %d) = %v %v, want %v %v", s, in, to, do, w.to, w.do)
			}
		}
	}
}

// TestAnyHistory holds for random lives: a call is connected at most once, released exactly once on its way to Over and
// never again, refused only before it was acknowledged, handed on only within a transfer; a late answer is always hung up.
func TestAnyHistory(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, connected, ended := Dialling, 0, 0
		for range 60 {
			in := input(r.IntN(int(inputs)))
			before := s
			var do []action
			s, do = next(s, in)
			for _, a := range do {
				switch a {
				case doConnect:
					connected++
				case doEnd:
					ended++
				case doJoin, doKeep, doLeave, doProgress, doRecall:
					if before != Transferring && before != Waiting {
						t.Fatalf("seed %d: action %d without a transfer, in %v", seed, a, before)
					}
				case doRefuse:
					if before != Dialling && before != Answered {
						t.Fatalf("seed %d: refused in %v", seed, before)
					}
				}
			}
			if in == inPassOn && before == Answered {
				connected-- // what it was connected to was of no use
			}
			if in == inAnswer && !before.dials() && !slices.Contains(do, doHangUp) {
				t.Fatalf("seed %d: late answer in %v is left alone", seed, before)
			}
			if before == Over && s != Over {
				t.Fatalf("seed %d: back from the dead to %v", seed, s)
			}
			if (s == Over) != (ended == 1) {
				t.Fatalf("seed %d: state %v, released %d times", seed, s, ended)
			}
		}
		if connected > 1 {
			t.Fatalf("seed %d: connected %d times", seed, connected)
		}
	}
}
