package b2bua

// State of a call's life.
type State uint8

// The states. A call is Dialling until a callee answers, Answered until the caller has acknowledged, then Up. While one
// party hands the other on it is Transferring; when a party is alone, because the transferor has hung up or the call is
// parked, it is Waiting.
const (
	Dialling State = iota
	Answered
	Up
	Transferring
	Waiting
	Over
	states
)

// String is the state's name in status and logs.
func (s State) String() string {
	return [...]string{"dialling", "answered", "up", "transferring", "waiting", "over"}[s]
}

// dials reports whether branches may be trying.
func (s State) dials() bool { return s == Dialling || s == Transferring || s == Waiting }

// input is what can happen to a call's life.
type input uint8

const (
	inRinging    input = iota // a branch rings
	inEarly                   // a branch sends early media
	inAnswer                  // a branch answers (2xx), or somebody picks the call up
	inUnusable                // the chosen branch's answer does not fit: no common codec
	inPassOn                  // the same, of a trunk in an emergency call: another trunk is tried
	inFailed                  // a branch failed, others are still trying
	inExhausted               // the last branch of the target failed
	inRingTime                // it rang long enough
	inRefused                 // nowhere left to go
	inCancel                  // the caller hung up before the answer
	inCallerLost              // the caller's connection is gone before the answer
	inAck                     // the caller acknowledged the 2xx
	inAckTime                 // a party did not acknowledge a 2xx in 64*T1
	inBye                     // a party hung up
	inDead                    // a dialog is dead: 481, 408, or no answer to a probe
	inStop                    // the box stops
	inRefer                   // a party transfers the other
	inLeave                   // the transferor hung up while the transfer is under way
	inPark                    // a party parks the other
	inParkTime                // nobody fetched the parked party
	inNobody                  // nobody takes the party that waits
	inTaken                   // another phone takes a party's place, or fetches the parked one
	inGiven                   // the far party went over to another call
	inputs
)

// action is what the call does about it.
type action uint8

const (
	doRing     action = iota // pass the ringing on
	doEarly                  // connect early media and pass it on
	doConnect                // choose the branch, cancel the others, answer the caller
	doHangUp                 // acknowledge the branch's 2xx and end it: nobody waits for it
	doStop                   // cancel what still rings
	doNext                   // ask the router where the call goes now
	doRefuse                 // answer the caller with the refusal's status
	doEnd                    // release everything
	doDial                   // try the transfer's target
	doProgress               // tell the transferor that it rings
	doJoin                   // tie the new party to the one that stays, let the transferor go
	doKeep                   // tell the transferor that it failed: it keeps the call
	doLeave                  // let the transferor go before there is a new party
	doPark                   // let the party that parks go
	doRecall                 // ring whoever left the party alone, once
	doTake                   // tie the phone that takes over to the party that stays
)

type step struct {
	to State
	do []action
}

// transitions is the whole life of a call. What is not in it leaves the state and does nothing.
var transitions = [states][inputs]*step{
	Dialling: {
		inRinging:    {Dialling, []action{doRing}},
		inEarly:      {Dialling, []action{doEarly}},
		inAnswer:     {Answered, []action{doConnect}},
		inExhausted:  {Dialling, []action{doNext}},
		inRingTime:   {Dialling, []action{doStop, doNext}},
		inRefused:    {Over, []action{doRefuse, doEnd}},
		inCancel:     {Over, []action{doRefuse, doEnd}},
		inCallerLost: {Over, []action{doEnd}},
		inStop:       {Over, []action{doRefuse, doEnd}},
	},
	Answered: {
		inAnswer:     {Answered, []action{doHangUp}},
		inUnusable:   {Over, []action{doRefuse, doEnd}},
		inPassOn:     {Dialling, nil},
		inCancel:     {Over, []action{doRefuse, doEnd}}, // the 2xx waits for a PRACK: else there is none to cancel
		inCallerLost: {Over, []action{doEnd}},
		inAck:        {Up, nil},
		inAckTime:    {Over, []action{doEnd}},
		inBye:        {Over, []action{doEnd}},
		inDead:       {Over, []action{doEnd}},
		inStop:       {Over, []action{doRefuse, doEnd}},
	},
	Up: {
		inAnswer:  {Up, []action{doHangUp}},
		inRefer:   {Transferring, []action{doDial}},
		inPark:    {Waiting, []action{doPark}},
		inTaken:   {Up, []action{doTake}},
		inGiven:   {Over, []action{doEnd}},
		inAckTime: {Over, []action{doEnd}},
		inBye:     {Over, []action{doEnd}},
		inDead:    {Over, []action{doEnd}},
		inStop:    {Over, []action{doEnd}},
	},
	Transferring: {
		inRinging:   {Transferring, []action{doProgress}},
		inEarly:     {Transferring, []action{doProgress}},
		inAnswer:    {Up, []action{doJoin}},
		inExhausted: {Transferring, []action{doNext}},
		inRingTime:  {Transferring, []action{doStop, doNext}},
		inRefused:   {Up, []action{doStop, doKeep}},
		inLeave:     {Waiting, []action{doLeave}},
		inAckTime:   {Over, []action{doEnd}},
		inBye:       {Over, []action{doEnd}},
		inDead:      {Over, []action{doEnd}},
		inStop:      {Over, []action{doEnd}},
	},
	Waiting: {
		inAnswer:    {Up, []action{doJoin}},
		inTaken:     {Up, []action{doStop, doTake}},
		inExhausted: {Waiting, []action{doNext}},
		inRingTime:  {Waiting, []action{doStop, doNext}},
		inRefused:   {Waiting, []action{doStop, doRecall}},
		inParkTime:  {Waiting, []action{doRecall}},
		inNobody:    {Over, []action{doEnd}},
		inAckTime:   {Over, []action{doEnd}},
		inBye:       {Over, []action{doEnd}},
		inDead:      {Over, []action{doEnd}},
		inStop:      {Over, []action{doEnd}},
	},
	Over: {
		inAnswer: {Over, []action{doHangUp}},
	},
}

// next is the transition table as a function: pure.
func next(s State, in input) (State, []action) {
	if t := transitions[s][in]; t != nil {
		return t.to, t.do
	}
	return s, nil
}
