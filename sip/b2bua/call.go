package b2bua

import (
	"fmt"
	"log/slog"
	"runtime/debug"
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

	onTrunk   atomic.Pointer[string] // the trunk that the call takes a place on, read by other calls
	preempted atomic.Bool
	gone      chan struct{}               // closed when the parties have been told that the call is over
	adrift    atomic.Bool                 // an emergency call whose caller's phone cannot be reached
	caredFor  atomic.Pointer[elin.Caller] // that caller
	helpFlow  atomic.Uint64               // the connection of an emergency caller's phone, read by other calls
	ringsAt   atomic.Pointer[string]      // the user whose phones ring, read by who wants to pick up

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
	asking    int       // replies that other calls still owe
	early     *leg      // the branch whose early media the caller hears

	wants   []sdp.Codec // what the caller can; the box's own list if it made no offer
	offered bool        // the caller made the offer
	trunks  []*site.Trunk

	refusal   refusal // what the caller is told when nothing answers
	rang      bool    // the caller knows that it rings
	ringing   *timer
	timedOut  bool              // it rang long enough
	outside   outside           // what trunks are dialled, and as whom
	forHelp   bool              // an emergency call: it has a record
	answers   []string          // a callback: the emergency calls that it answers
	announced bool              // the caller hears a prompt
	retried   map[string]bool   // trunks that an emergency call tries a second time, since they were full
	skipped   map[string]bool   // or since they took long to connect
	redialled map[string]bool   // or since their connection fell
	invited   bool              // the emergency call's first INVITE is on a trunk
	changing  bool              // a re-INVITE is under way on either side
	queued    []func()          // what waits for its end
	settled   []func()          // what waits for an ACK with an answer
	waiting   *timer            // for the phone of a restored binding
	waitsFor  string            // its user
	hairpin   string            // it came from a trunk and goes out by one: counted under this
	reliable  reliable          // provisional responses to the caller that want a PRACK
	owed      []*stack.ServerTx // requests within the dialogs that may still want an answer
	ended     bool

	began, answeredAt time.Time
	cause             string
	endedBy           string
}

// outside is a number outside and what it is shown.
type outside struct {
	number string
	caller route.CallerID
}

// refusal is a final status for the caller.
type refusal struct {
	status int
	reason string
	theirs bool // it came from the callee's side
}

// forCaller is what the caller is told of it.
func (r refusal) forCaller() refusal {
	if s := shown(r.status); r.theirs && s != r.status {
		return refusal{status: s, reason: reason(s)}
	}
	return r
}

// run is the call's life. It returns when both sides are done.
func (c *Call) run() { c.live(c.begin) }

func (c *Call) live(begin func()) {
	defer c.agent.wg.Done()
	defer c.drain()
	defer c.agent.remove(c)
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

// guard ends the call, and it alone, when something in it goes wrong that nobody has thought of.
func (c *Call) guard(do func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c.agent.totals.Faults.Add(1)
		c.log.Error("fault in a call: it is ended", "fault", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.endsBy(causeFault, "box")
		c.state, c.refusal = Over, refusal{status: 500, reason: "Server Internal Error"}
		defer func() {
			if p := recover(); p != nil {
				c.log.Error("fault at the end of a call", "fault", fmt.Sprint(p))
			}
		}()
		c.refuse()
		c.end()
	}()
	do()
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
		if c.caller.answered {
			return // too late: the caller gets its 2xx, and will hang up
		}
		c.endsBy(causeCancelled, "caller")
		c.refusal = refusal{status: 487, reason: "Request Terminated"}
		c.feed(inCancel, nil, nil)
	case gotCallerLost:
		c.callerLost()
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

// begin prepares the caller's side and starts to dial.
func (c *Call) begin() {
	c.caller = &leg{call: c, name: "a", side: c.invite.Conn().Side(), user: c.origin.User, trunk: c.origin.Trunk}
	c.caller.use(c.invite.Conn())
	c.caller.dlg = dialogFrom(c.invite)
	c.caller.peerTag.Store(c.caller.dlg.remote.tag)
	c.caller.identify()
	c.caller.learn(c.invite.Request())
	c.caller.shown = c.callerShown()
	c.legs = []*leg{c.caller}
	if dev, ok := c.site.DeviceByAddress(c.invite.Conn().Remote().Addr()); ok && dev.PlainRTP {
		c.caller.plainOK = true
	}
	c.knowPhone()
	c.agent.addLeg(c.caller)
	if c.caller.trunk != nil {
		c.onTrunk.Store(&c.caller.trunk.ID)
		c.agent.forceTrunk(c.caller.trunk) // the SBC has taken a channel for it already
		c.caller.counted = true
	}
	c.log.Info("call", "from", c.caller.aor(), "to", c.query.Target, "kind", c.decision.Kind.String())
	if c.decision.Kind != route.Reject {
		c.media = c.agent.o.Media.Open(c.id, MediaOptions{Emergency: c.emergency})
		if r := c.readOffer(); r.status != 0 {
			c.refusal = r
			c.endsBy(causeRefused, "box")
			c.feed(inRefused, nil, nil)
			return
		}
	}
	c.tellCodecs()
	c.recognised()
	c.dial()
}

// knowPhone finds the binding of the phone that calls: so it is found again on another connection, and by a callback.
func (c *Call) knowPhone() {
	if c.caller.user == nil {
		return
	}
	for _, b := range c.agent.o.Bindings(c.caller.user.ID) {
		if uint64(b.Flow) == c.caller.conn.Flow() {
			c.caller.instance, c.caller.binding = b.Instance, b.URI
			return
		}
	}
}

// readOffer takes the caller's ports and its offer, if there is one.
func (c *Call) readOffer() refusal {
	if err := c.caller.openMedia(); err != nil {
		c.log.Error("no media ports", "err", err)
		return refusal{status: 503, reason: "Service Unavailable"}
	}
	req := c.invite.Request()
	if len(req.Body()) == 0 {
		c.wants = sdp.DefaultOffer()
		return refusal{}
	}
	d, r := parseBody(req)
	if r.status != 0 {
		if c.emergency { // whatever is wrong with it, the call goes on: the box makes the offer
			c.wants = sdp.DefaultOffer()
			return refusal{}
		}
		return r
	}
	c.wants, c.offered = sdp.Filter(d.Codecs), true
	if len(sdp.OfferTo(c.wants, nil)) == 0 {
		if !c.emergency {
			return refusal{status: 488, reason: "No Supported Codec"}
		}
		c.wants = sdp.DefaultOffer() // it will not be understood, but it will be seen, and called back
	}
	if c.emergency {
		c.caller.plainOK = true // better heard by others than not at all
	}
	if err := c.caller.takeOffer(d); err != nil {
		if c.emergency { // no key that the box knows: it offers its own
			c.offered, c.wants = false, sdp.DefaultOffer()
			return refusal{}
		}
		c.log.Info("offer refused", "leg", "a", "err", err)
		return refusal{status: 488, reason: "SRTP Required"}
	}
	return refusal{}
}

// ptime is the packet time that the caller asked for, for every leg: the box does not repacketise.
func (c *Call) ptime() int {
	if c.offered && c.caller.peer != nil {
		return c.caller.peer.Ptime
	}
	return 0
}

// dial carries out the decision in force.
func (c *Call) dial() {
	c.ringsAt.Store(nil)
	if c.moving != nil && c.decision.Kind == route.ToUser {
		c.decision.CallerID = c.moving.stays.shown // who calls now, not who transferred
	}
	d := c.decision
	switch {
	case len(d.Targets) > 0:
		c.dialTargets(d.Targets)
	case d.Kind == route.ToUser:
		c.dialUser(d.User)
	case d.Kind == route.ToTrunk || d.Kind == route.Emergency:
		c.outside = outside{d.Number, d.CallerID}
		c.trunks = c.orderTrunks(d.Trunks)
		c.tryTrunk()
	default:
		c.refusal = refusal{status: d.Status, reason: d.Reason}
		if d.Kind != route.Reject { // a feature code
			c.refusal = refusal{status: 403, reason: "Forbidden"}
		}
		c.refusedBy("box")
		if c.announced && d.Announce { // first the caller is to hear why
			c.after(announceFor, func() { c.feed(inRefused, nil, nil) })
			return
		}
		c.feed(inRefused, nil, nil)
	}
}

// announceFor is how long a caller hears that nobody can be reached before the call is refused.
const announceFor = 12 * time.Second

// refusedBy notes why a call that nobody has answered ends; a transfer that fails ends none.
func (c *Call) refusedBy(who string) {
	if c.state == Dialling {
		c.endsBy(causeRefused, who)
	}
}

// next asks the router where the call goes after the target's outcome. A refusal that is about the call itself (no
// codec in common, say) is the same everywhere: the caller gets it.
func (c *Call) next() {
	c.ringing.stop()
	o, ok := c.outcome()
	if !ok {
		c.refusedBy("callee")
		c.feed(inRefused, nil, nil)
		return
	}
	wasHelp := c.dialsEmergency()
	c.decision = route.After(c.decision, o)
	c.helpGoesOn(wasHelp)
	if c.decision.Kind == route.Reject && c.refusal.status != 0 && c.decision.Status == 480 && !c.emergency {
		// Nowhere else to go: the caller hears what the callee's side said.
		r := c.refusal.forCaller()
		c.decision.Status, c.decision.Reason = r.status, r.reason
	}
	c.dial()
}

// refuse answers the caller's INVITE with the refusal.
func (c *Call) refuse() {
	if c.caller.answered {
		return
	}
	r := c.refusal
	if r.status < 300 {
		r = refusal{status: 500, reason: "Server Internal Error"}
	}
	r = r.forCaller()
	// Never with Retry-After: a phone that obeys it would hold back the next call, and that may be for help.
	var headers []sip.Header
	if r.status == 415 {
		headers = append(headers, sip.NewHeader("Accept", "application/sdp"))
	}
	c.agent.totals.Refused.Add(1)
	res := c.callerResponse(r.status, r.reason)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	c.invite.Respond(res)
}

// callerResponse builds a response to the caller's INVITE with the dialog's tag.
func (c *Call) callerResponse(status int, reason string) *sip.Response {
	res := stack.NewResponse(c.invite.Request(), status, reason, c.caller.dlg.local.tag)
	if status > 100 && status < 300 { // RFC 3261 §12.1.1: the caller needs it for its route set
		sip.CopyHeaders("Record-Route", c.invite.Request(), res)
	}
	return res
}

// end releases everything that the call holds, whatever state it was in. It is the only place that does, and does it
// once.
func (c *Call) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.ringing.stop()
	c.waiting.stop()
	c.reliable.timer.stop()
	c.stopWaiting()
	c.straightened()
	c.settleDebts()
	c.cancelBranches(nil, nil)
	if c.moving != nil {
		c.refusal = refusal{status: 487, reason: "Request Terminated"}
		c.notifyEnd(c.moving, c.refusal)
		c.unpark()
	}
	for _, l := range c.legs {
		c.dismiss(l)
	}
	close(c.gone)
	c.helpEnds()
	c.report()
	if c.media != nil {
		c.media.Close()
	}
	// What still may come (the 487s, a late 2xx) is waited for, not for ever.
	c.after(2*c.agent.o.Stack.Timers().B, func() {
		for _, l := range c.branches {
			l.pending = false
		}
	})
}

// dismiss ends one leg and gives back what it holds. It is idempotent.
func (c *Call) dismiss(l *leg) {
	for _, t := range []*timer{l.resend, l.silent, l.patience, l.progress, l.session.timer, l.watch} {
		t.stop()
	}
	if l.uas != nil && !l.answered {
		l.uas.Reply(480, "Temporarily Unavailable")
	}
	l.bye()
	if l.media != nil && !l.closed {
		if l.peer != nil {
			l.stats = l.media.Stats()
		}
		l.closed = true
		l.media.Close()
	}
	l.wipe()
	c.agent.dropLeg(l)
	c.forget(l)
	if l.counted {
		l.counted = false
		c.agent.leaveTrunk(l.trunk)
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
	i := &Info{ID: c.id, State: c.state.String(), From: c.caller.aor(), To: c.query.Target, Dialled: clip(c.query.Target), Began: c.began, Answered: c.answeredAt, Emergency: c.emergency}
	if c.callee != nil {
		i.To, i.Codec = c.callee.aor(), c.callee.codecs.Audio.Name
	}
	c.info.Store(i)
}
