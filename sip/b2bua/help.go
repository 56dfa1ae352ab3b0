package b2bua

import (
	"cmp"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

// EmergencyEvent is a step of an emergency call or of a callback to one. It is told before the call goes on, so that
// what is kept of it is kept before an INVITE leaves: the listener must be quick and wait for no disk.
type EmergencyEvent struct {
	Call    string // the emergency call's ID; for a callback that of the call that it answers, "" for an alarm where none is known
	Kind    EmergencyKind
	At      time.Time
	Facts   *EmergencyFacts // with Recognised
	Trunk   string
	ELIN    string // shown, or called back; the trunk's main number where there is no ELIN
	Address string // that the PSAP has for it
	Status  int    // SIP status of a trunk that failed
	Who     string // user ID, or number outside
	How     string
	Text    string
}

// EmergencyFacts are known when the call is recognised.
type EmergencyFacts struct {
	Dialled, Number string
	Test            bool
	User            *site.User // nil: a stranger
	Device          string
	Source          string // IP address
	Instance        string // of the phone, as a pin has them
	Binding         string
	Place           site.Place
}

// EmergencyKind is what a step is; the words are those of the record.
type EmergencyKind string

// The steps that a call tells.
const (
	Recognised       EmergencyKind = "recognised"
	InviteLeaves     EmergencyKind = "invite"
	TrunkFailed      EmergencyKind = "trunk-failed"
	NoTrunk          EmergencyKind = "no-trunk"
	DeskRings        EmergencyKind = "security-desk"
	CallAnswered     EmergencyKind = "answered"
	CallEnded        EmergencyKind = "ended"
	CallbackBegan    EmergencyKind = "callback"
	CallbackAnswered EmergencyKind = "callback-answered"
	CallbackEnded    EmergencyKind = "callback-ended"
	AlarmRaised      EmergencyKind = "alarm"
	CallRestored     EmergencyKind = "restart"
)

// TakenUp is How a call of the program's last life goes on.
const TakenUp = "taken up again"

// note hands a step to whoever keeps the record: of the emergency call itself, or of those that a callback answers.
func (c *Call) note(e EmergencyEvent) {
	if c.agent.o.OnEmergency == nil {
		return
	}
	e.At = time.Now()
	if len(c.answers) > 0 {
		for _, id := range c.answers {
			e.Call = id
			c.agent.o.OnEmergency(e)
		}
		return
	}
	switch {
	case c.forHelp:
		e.Call = c.id
		c.agent.o.OnEmergency(e)
	case e.Kind == AlarmRaised: // of a callback to a number that nobody is pinned to
		e.ELIN = clip(c.query.Target)
		c.agent.o.OnEmergency(e)
	}
}

// callerDevice is the device of the site document that calls; nil if it names none. A user who says that it calls from
// another user's device does not get its place.
func (c *Call) callerDevice() *site.Device {
	if d, ok := c.site.DeviceByInstance(c.caller.instance); ok && c.caller.instance != "" &&
		(d.User == "" || c.caller.user == nil || d.User == c.caller.user.ID) {
		return d
	}
	if d, ok := c.site.DeviceByAddress(c.caller.source); ok {
		return d
	}
	return nil
}

// recognised begins the record of an emergency call, or of a callback.
func (c *Call) recognised() {
	switch {
	case c.decision.Kind == route.Emergency:
		c.forHelp = true
		f := &EmergencyFacts{Dialled: clip(c.query.Target), Number: c.decision.Number, Test: c.decision.Test, User: c.caller.user,
			Device: c.caller.instance, Source: c.caller.source.String(), Instance: c.caller.instance, Binding: c.caller.binding}
		c.spare(func() {
			d := c.callerDevice()
			f.Place = c.site.Place(d, c.caller.user)
			f.Binding = c.helper().Binding
			if d != nil {
				f.Device = d.ID
			}
		})
		c.spare(func() { c.note(EmergencyEvent{Kind: Recognised, Facts: f}) })
		c.spare(c.keepFlow)
		c.spare(func() {
			who := c.helper()
			c.caredFor.Store(&who)
			c.supersede(who)
		})
		if p := c.caller.peer; p != nil && !hasG711(p.Codecs) {
			c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the caller's phone has no G.711: the PSAP may not understand it"})
		}
	case c.decision.Callback && c.caller.trunk != nil:
		called := c.decision.Visited
		for _, n := range called {
			for _, who := range c.agent.pinned(n).Callers {
				if who.CallID != "" && !slices.Contains(c.answers, who.CallID) {
					c.answers = append(c.answers, who.CallID)
				}
			}
		}
		c.note(EmergencyEvent{Kind: CallbackBegan, Trunk: c.caller.trunk.ID, ELIN: clip(c.query.Target), Text: c.query.Caller.Number})
	}
	if c.decision.Alarm != "" {
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: string(c.decision.Alarm)})
	}
}

// shows is the number that an emergency call has on a trunk, pinned to the caller before it is used.
func (c *Call) shows(l *leg) string {
	now, t := time.Now(), l.trunk
	place := c.site.Place(c.callerDevice(), c.caller.user)
	at := elin.Place{Trunk: t.ID, Main: t.MainNumber}
	if at.Main == "" {
		at.Main = c.site.Doc().Site.MainNumber
	}
	list := place.ELINs(t.ID)
	for _, e := range list {
		at.ELINs = append(at.ELINs, e.Number)
	}
	var a elin.Assignment
	if !c.spare(func() { a = c.agent.o.ELINs.Pin(now, at, c.helper()) }) {
		a = elin.Assignment{None: true}
	}
	c.savePins()
	number, address := at.Main, ""
	if !a.None {
		number, l.elin = a.ELIN, a.ELIN
		if i := slices.IndexFunc(list, func(e site.ELIN) bool { return e.Number == number }); i >= 0 {
			address = place.Address(list[i])
		}
	}
	c.note(EmergencyEvent{Kind: InviteLeaves, Trunk: t.ID, ELIN: number, Address: address})
	switch {
	case a.None:
		c.note(EmergencyEvent{Kind: AlarmRaised, Trunk: t.ID, Text: "the place has no ELIN on this trunk: the call shows the main number"})
	case a.Unpinned:
		c.note(EmergencyEvent{Kind: AlarmRaised, Trunk: t.ID, Text: "too many emergency calls: a callback will ring the security desk"})
	}
	return number
}

func (c *Call) savePins() {
	if c.agent.o.SavePins != nil {
		c.spare(c.agent.o.SavePins)
	}
}

// helpEnds starts the pins' two hours and ends the record.
func (c *Call) helpEnds() {
	switch {
	case c.forHelp:
		c.keepFlow()
		c.agent.o.ELINs.Moved(c.id, c.caller.flow.Load())
		c.agent.o.ELINs.Ended(time.Now(), c.id)
		c.savePins()
		c.note(EmergencyEvent{Kind: CallEnded, Text: c.cause, How: c.endedBy})
	case len(c.answers) > 0:
		c.note(EmergencyEvent{Kind: CallbackEnded, Text: c.cause})
	}
}

// missed tells that whoever called back has given up before anybody took it.
func (c *Call) missed() {
	if c.decision.Callback && c.caller.trunk != nil && c.decision.Alarm != route.AlarmNobody {
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the callback was given up before anybody took it"})
	}
}

// helpAnswered notes who took the call.
func (c *Call) helpAnswered(l *leg) {
	e := EmergencyEvent{Kind: CallAnswered}
	if len(c.answers) > 0 {
		e.Kind = CallbackAnswered
	}
	switch {
	case l.trunk != nil && c.dialsEmergency():
		e.Trunk = l.trunk.ID
	case l.trunk != nil:
		e.Who = c.outside.number
		if c.decision.Away {
			e.Text = "by the caller's number at the cloud"
		}
	default:
		e.Who = l.aor()
	}
	c.note(e)
}

// dialTargets rings everybody whom a callback, or an emergency call that no trunk took, has to reach together.
func (c *Call) dialTargets(list []route.Target) {
	c.refusal = refusal{status: 480, reason: "Temporarily Unavailable"}
	for _, t := range list {
		switch {
		case t.Number != "":
			c.outside = outside{t.Number, t.CallerID}
			c.trunks = c.orderTrunks(c.decision.Trunks)
		case t.Only != nil:
			c.ringCaller(t.User, *t.Only, t.CallerID)
		case t.User != nil && t.But != nil:
			c.ringPhones(t.User, t.CallerID, func(instance, binding string, flow uint64) bool {
				return !t.But.Is(instance, binding, flow) && !c.wasRung(flow, binding)
			})
		case t.User != nil:
			c.ringPhones(t.User, t.CallerID, nil)
		case t.But != nil:
			c.ringSource(*t.But, t.CallerID)
		}
	}
	if len(c.trunks) == 0 && len(c.trying()) == 0 {
		c.feed(inExhausted, nil, nil)
		return
	}
	c.ringing.stop()
	c.ringing = c.after(cmp.Or(c.decision.RingFor, ringAtTrunk), c.ringTime)
	if len(c.trunks) > 0 {
		c.tryTrunk()
	}
}

// announce lets the caller hear a prompt before anybody has answered (RFC 3960), in a codec of its own offer.
func (c *Call) announce(p Prompt) bool {
	if !c.offered || c.caller.media == nil || c.early != nil {
		return false
	}
	g, err := sdp.Agree(c.wants, c.wants, sdp.OfferTo(c.wants, nil))
	if err != nil {
		return false
	}
	c.caller.codecs, c.caller.ours = g.A, g.A
	if c.caller.reclaim() != nil || c.caller.apply(sdp.SendRecv) != nil {
		return false
	}
	body, err := c.answerCaller(sdp.SendRecv)
	if err != nil {
		return false
	}
	if _, err := c.caller.media.Play(p, PlayOptions{Loop: true}); err != nil {
		return false
	}
	c.announced = true
	up := c.callerResponse(183, "Session Progress")
	up.AppendHeader(&sip.ContactHeader{Address: c.caller.dlg.contact})
	setSDP(up, body)
	c.respond(up)
	return true
}

// helpGoesOn tells what becomes of an emergency call or a callback when its target did not take it: who is rung
// instead, which alarm that means, and what the caller hears.
func (c *Call) helpGoesOn(wasHelp bool) {
	d := c.decision
	if wasHelp && !c.dialsEmergency() {
		c.note(EmergencyEvent{Kind: NoTrunk})
	}
	if d.Alarm != "" {
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: string(d.Alarm)})
	}
	if c.forHelp && d.Kind != route.Reject && !c.dialsEmergency() {
		for _, who := range rung(d) {
			c.note(EmergencyEvent{Kind: DeskRings, Who: who})
		}
	}
	switch {
	case d.Announce && c.forHelp:
		c.announce(AllTrunksDead)
	case d.Announce: // the PSAP, or who else calls back
		c.announce(NobodyThere)
	}
}

// rung names those whom a decision rings: user IDs, and numbers outside.
func rung(d route.Decision) (out []string) {
	name := func(u *site.User, number string) {
		if u != nil && number == "" {
			number = u.ID
		}
		out = append(out, number)
	}
	for _, t := range d.Targets {
		name(t.User, t.Number)
	}
	if len(d.Targets) == 0 {
		name(d.User, d.Number)
	}
	return out
}
