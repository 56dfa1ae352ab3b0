package b2bua

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Call is two dialogs and one media session. All fields but the first block belong to the goroutine in run.
type Call struct {
	agent   *Agent
	id      string
	log     *slog.Logger
	inbox   chan any
	posting sync.RWMutex // held for reading while somebody puts into inbox
	done    chan struct{}
	info    atomic.Pointer[Info]
	invite  *stack.ServerTx // the caller's
	merges  string          // what copies of that are known by; never changes

	onTrunk   atomic.Pointer[string] // the trunk that the call takes a place on, read by other calls
	preempted atomic.Bool
	toDesk    atomic.Bool                 // an ordinary call to the security desk: it is not ended for an emergency call
	gone      chan struct{}               // closed when the parties have been told that the call is over
	adrift    atomic.Bool                 // an emergency call whose caller's phone cannot be reached
	caredFor  atomic.Pointer[elin.Caller] // that caller
	helpFlow  atomic.Uint64               // the connection of an emergency caller's phone, read by other calls
	ringsAt   atomic.Pointer[string]      // the user whose phones ring, read by who wants to pick up
	helpFrom  string                      // who calls for help, for their share of the reserve; never changes
	modest    bool                        // an emergency call without a claim to others' room; never changes

	site      *site.Site // the document when the call began; a reload does not touch it
	origin    route.Origin
	query     route.Query
	decision  route.Decision
	kind      route.Kind // of the first decision
	emergency bool

	state     State
	media     MediaSession
	caller    *leg
	callee    *leg      // the branch that answered
	branches  []*leg    // every branch that was dialled
	legs      []*leg    // every leg that there ever was, the first caller first
	moving    *transfer // in Transferring and Waiting: who goes and who stays
	transfers int       // so far
	takers    int       // phones that wanted to take part so far
	asking    int       // replies that other calls still owe
	early     *leg      // the branch whose early media the caller hears

	wants   []sdp.Codec // what the caller can; the box's own list if it made no offer
	offered bool        // the caller made the offer
	trunks  []*site.Trunk

	refusal   refusal // what the caller is told when nothing answers
	rang      bool    // the caller knows that it rings
	ringing   *timer
	timedOut  bool                       // it rang long enough
	outside   outside                    // what trunks are dialled, and as whom
	forHelp   bool                       // an emergency call: it has a record
	answers   []string                   // a callback: the emergency calls that it answers
	announced bool                       // the caller hears a prompt
	retried   map[string]bool            // trunks that an emergency call tries a second time, since they were full
	crowded   map[string]bool            // of these, those where only calls to the security desk could make room
	skipped   map[string]bool            // or since they took long to connect
	redialled map[string]bool            // or since their connection fell
	silent    map[string]*stack.ClientTx // or since they said nothing at all: to this INVITE
	invited   bool                       // the emergency call's first INVITE is on a trunk
	faulty    bool                       // it has survived a fault of the program
	holds     bool                       // an emergency caller's phone insists on a hold: it was told
	changing  bool                       // a re-INVITE is under way on either side
	queued    []func()                   // what waits for its end
	settled   []func()                   // what waits for an ACK with an answer
	waiting   *timer                     // for the phone of a restored binding
	waitsFor  string                     // its user
	hairpin   string                     // it came from a trunk and goes out by one: counted under this
	reliable  reliable                   // provisional responses to the caller that want a PRACK
	copies    []*stack.ServerTx          // of the caller's INVITE, that came by other ways
	told      *sip.Response              // what the caller was told last
	owed      []*stack.ServerTx          // requests within the dialogs that may still want an answer
	ended     bool
	awaits    *timer // what may still come after the end

	began, answeredAt time.Time
	cause             string
	endedBy           string
}

// outside is a number outside and what it is shown.
type outside struct {
	number string
	caller route.CallerID
}

// run is the call's life. It returns when both sides are done.
func (c *Call) run() { c.live(c.begin) }

func (c *Call) live(begin func()) {
	defer c.agent.wg.Done()
	defer c.drain()
	defer c.agent.remove(c)
	defer func() { c.awaits.stop() }() // else it would hold what the call has in memory
	c.guard(begin)
	var events <-chan MediaEvent
	for !c.finished() {
		if c.media != nil && !c.ended {
			events = c.media.Events()
		} else {
			events = nil
		}
		c.publish()
		select {
		case in := <-c.inbox:
			c.guard(func() {
				c.take(in)
				c.settleKeys()
			})
		case e, ok := <-events:
			if ok {
				c.guard(func() { c.heard(e) })
			}
		}
	}
}

// finished reports whether nothing can come any more that the call must answer.
func (c *Call) finished() bool {
	if c.state != Over || c.asking > 0 {
		return false
	}
	for _, l := range c.branches {
		if l.pending {
			return false
		}
	}
	return true
}

func (c *Call) take(in any) {
	switch in := in.(type) {
	case gotResponse:
		c.response(in)
	case gotStray:
		in.leg.stray(in.conn, in.res, func() { c.response(gotResponse{in.leg, in.res, nil}) })
	case gotConn:
		c.trunkConn(in)
	case gotRequest:
		if !in.leg.forward(in) {
			c.owe(in.tx)
			c.request(in.leg, in.tx)
		}
	case gotAck:
		if !in.leg.forward(in) {
			c.acked(in.leg, in.req)
		}
	case gotTake:
		c.taken(in.take)
	case gotAsk:
		c.hand(in.ask)
	case gotLeg:
		c.asking--
		c.handed(in.reply)
	case gotPhone:
		c.phoneBack(in.userID)
	case gotReply:
		in.do(in.res, in.err)
	case gotTimer:
		if !in.t.over {
			in.t.over = true
			in.t.do()
		}
	case gotCancel:
		if !c.leaves(in.way) {
			c.cancelled(in.on)
		}
	case gotCopy:
		c.copied(in)
	case gotCallerLost:
		if !c.hasWay() {
			c.callerLost()
		}
	case gotStop:
		c.endsBy(in.cause, "box")
		c.refusal = refusal{status: 503, reason: "Service Unavailable"}
		c.feed(inStop, nil, nil)
	}
}

// feed runs an input through the transition table and carries out what it says. l and res are the branch and the
// response that the input is about, where it is about one.
func (c *Call) feed(in input, l *leg, res *sip.Response) {
	to, actions := next(c.state, in)
	if to != c.state {
		c.log.Debug("call", "state", to.String())
		c.state = to
		c.publish() // before anybody outside hears of the step
	}
	for _, a := range actions {
		switch a {
		case doRing:
			c.passRinging()
		case doEarly:
			c.passEarly(l, res)
		case doConnect:
			c.connect(l, res)
		case doHangUp:
			c.hangUp(l, res)
		case doStop:
			c.cancelBranches(nil, nil)
		case doNext:
			c.next()
		case doRefuse:
			c.refuse()
		case doEnd:
			c.end()
		case doDial:
			c.startTransfer()
		case doProgress:
			c.notify(c.moving, 180)
		case doJoin:
			c.join(l, res)
		case doKeep:
			c.keep()
		case doLeave:
			c.leave()
		case doPark:
			c.park()
		case doRecall:
			c.recall()
		case doTake:
			c.takeOver(l)
		}
	}
}

// endsBy notes why and by whom the call ends; the first word stands.
func (c *Call) endsBy(cause, who string) {
	if c.cause == "" {
		c.cause, c.endedBy = cause, who
	}
}

// publish shows the call to status.
func (c *Call) publish() {
	i := &Info{ID: c.id, State: c.state.String(), From: c.caller.aor(), To: clip(c.query.Target), Dialled: clip(c.query.Target), Began: c.began, Answered: c.answeredAt, Emergency: c.emergency}
	if c.callee != nil {
		i.To, i.Codec = c.callee.aor(), c.callee.codecs.Audio.Name
	}
	c.info.Store(i)
}
