package b2bua

// State of a call's life.
type State uint8

// The states. A call is Dialling until a callee answers, Answered until the caller has acknowledged, then Up.
const (
	Dialling State = iota
	Answered
	Up
	Over
	states
)

// String is the state's name in status and logs.
func (s State) String() string { return [...]string{"dialling", "answered", "up", "over"}[s] }

// input is what can happen to a call's life.
type input uint8

const (
	inRinging    input = iota // a branch rings
	inEarly                   // a branch sends early media
	inAnswer                  // a branch answers (2xx)
	inUnusable                // the chosen branch's answer does not fit: no common codec
	inFailed                  // a branch failed, others are still trying
	inExhausted               // the last branch of the target failed
	inRingTime                // it rang long enough
	inRefused                 // nowhere left to go
	inCancel                  // the caller hung up before the answer
	inCallerLost              // the caller's connection is gone before the answer
	inAck                     // the caller acknowledged the 2xx
	inAckTime                 // it did not in 64*T1
	inBye                     // a party hung up
	inDead                    // a dialog is dead: 481, 408, or no answer to a probe
	inStop                    // the box stops
	inputs
)

// action is what the call does about it.
type action uint8

const (
	doRing    action = iota // pass the ringing on
	doEarly                 // connect early media and pass it on
	doConnect               // choose the branch, cancel the others, answer the caller
	doHangUp                // acknowledge the branch's 2xx and end it: nobody waits for it
	doStop                  // cancel what still rings
	doNext                  // ask the router where the call goes now
	doRefuse                // answer the caller with the refusal's status
	doEnd                   // release everything
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
		inAnswer:   {Answered, []action{doHangUp}},
		inUnusable: {Over, []action{doRefuse, doEnd}},
		inAck:      {Up, nil},
		inAckTime:  {Over, []action{doEnd}},
		inBye:      {Over, []action{doEnd}},
		inDead:     {Over, []action{doEnd}},
		inStop:     {Over, []action{doEnd}},
	},
	Up: {
		inAnswer:  {Up, []action{doHangUp}},
		inAckTime: {Over, []action{doEnd}}, // of a re-INVITE (RFC 3261 §14.2)
		inBye:     {Over, []action{doEnd}},
		inDead:    {Over, []action{doEnd}},
		inStop:    {Over, []action{doEnd}},
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
