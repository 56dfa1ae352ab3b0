package b2bua

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// An emergency call that was up when the program died is taken up again in its next life: the PSAP's side is re-invited at
// once, the caller's phone when it is back, with new media for both. Where that fails the PSAP's side gets BYE, and
// Options.OnCut has the security desk rung. A call that was not yet answered is cancelled: never two live legs at the
// PSAP, and the caller, whose phone has lost its connection, dials again.

// SavedHelp is what an emergency call's dialog is saved with besides.
type SavedHelp struct {
	Call             string   // its ID: both dialogs have it
	Caller           bool     // the caller's side
	ForHelp, Test    bool     // a call for help, with a record; a test
	Answers          []string `json:",omitempty"` // of a callback
	Dialled, Number  string
	Answered         time.Time
	Source           netip.Addr      `json:",omitzero"`  // the phone's
	Branch           string          `json:",omitempty"` // of an INVITE without an answer yet
	Session, Version uint64          // of the box's o= line
	Profile          string          // of the peer's SDP, with its media lines
	Lines            []sdp.MediaLine `json:",omitempty"`
	Index            int
	Mux, Plain       bool
	Codecs           []sdp.Codec `json:",omitempty"` // in force
}

// versionGap is added to a restored o= line's version: more may have been said than was saved.
const versionGap = 1000

func (c *Call) savedHelp(l *leg) *SavedHelp {
	h := &SavedHelp{Call: c.id, Caller: l == c.caller, ForHelp: c.forHelp, Test: c.decision.Test, Answers: c.answers, Dialled: clip(c.query.Target),
		Number: c.decision.Number, Answered: c.answeredAt, Source: l.source, Session: l.id, Version: l.local.Version, Plain: l.plainOK}
	if p := l.peer; p != nil {
		h.Profile, h.Lines, h.Index, h.Mux = p.Profile, p.Lines, p.Index, p.Mux
	}
	if l.codecs.Audio.Clock != 0 {
		h.Codecs = l.codecs.Codecs()
	}
	return h
}

// saveEarly keeps an emergency call's INVITE to a trunk before it is written, and again when the trunk has told its tag.
func (c *Call) saveEarly(l *leg, branch, remoteTag string) {
	if c.agent.o.Dialogs == nil || !c.dialsEmergency() || l.trunk == nil || l.answered {
		return
	}
	s := c.savedDialog(l)
	s.Help.Branch, s.RemoteTag = branch, remoteTag
	l.saved = s.Key
	c.agent.o.Dialogs.Keep(s.Key, s)
}

// endEarly cancels an INVITE of the last life (RFC 3261 §9.1: same branch, same number). If the PSAP has taken the call
// meanwhile there is nothing to cancel: then the BYE counts, as far as the other side's tag is known, or Stray.
func (a *Agent) endEarly(s SavedDialog, d dialog, c *stack.Conn) {
	a.mu.Lock()
	for id, at := range a.cancelled {
		if time.Since(at) > 2*a.o.Stack.Timers().B {
			delete(a.cancelled, id)
		}
	}
	a.cancelled[s.CallID] = time.Now()
	a.mu.Unlock()
	tag := d.remote.tag
	d.remote.tag = "" // as in the INVITE
	cancel := d.numbered(sip.CANCEL, s.Seq, c)
	cancel.Via().Params.Remove("branch")
	cancel.Via().Params.Add("branch", s.Help.Branch)
	cancel.SetBody(nil)
	c.Write(cancel)
	if tag != "" {
		d.remote.tag = tag
		c.Send(d.request(sip.BYE, c), func(*sip.Response, error) {})
	}
}

// resume takes up the emergency calls among the dialogs, and returns what is left.
func (a *Agent) resume(list []SavedDialog) (ids []string, rest []SavedDialog) {
	calls := make(map[string][]SavedDialog)
	for _, s := range list {
		_, ok := s.dialog()
		if h := s.Help; h != nil && ok && h.Call != "" && h.Branch == "" && time.Since(s.Since) < savedFor {
			calls[h.Call] = append(calls[h.Call], s)
		} else {
			rest = append(rest, s)
		}
	}
	for id, both := range calls {
		c, err := a.restoredCall(id, both)
		if err != nil {
			a.log.Error("an emergency call cannot be taken up again", "call", id, "err", err)
			rest = append(rest, both...)
			continue
		}
		ids = append(ids, id)
		go c.live(c.rejoin)
	}
	return ids, rest
}

// restoredCall makes a call of its two dialogs.
func (a *Agent) restoredCall(id string, both []SavedDialog) (*Call, error) {
	if len(both) != 2 || both[0].Help.Caller == both[1].Help.Caller {
		return nil, fmt.Errorf("it has %d sides", len(both))
	}
	if !both[0].Help.Caller {
		both[0], both[1] = both[1], both[0]
	}
	h := both[0].Help
	c := &Call{agent: a, id: id, site: a.o.Site(), began: both[0].Since, answeredAt: h.Answered, kind: route.ToUser, inbox: make(chan any, 128),
		done: make(chan struct{}), gone: make(chan struct{}), emergency: true, forHelp: h.ForHelp, answers: h.Answers, state: Up, offered: true,
		query: route.Query{Target: h.Dialled}, decision: route.Decision{Number: h.Number, Test: h.Test}}
	c.log = a.log.With("call", id)
	for i := range both {
		l, err := c.restoredLeg(&both[i])
		if err != nil {
			return nil, err
		}
		c.legs = append(c.legs, l)
	}
	c.caller, c.callee = c.legs[0], c.legs[1]
	if h.ForHelp && c.callee.trunk != nil {
		c.kind, c.decision.Kind = route.Emergency, route.Emergency
	}
	if c.caller.user != nil {
		c.origin = route.FromUser(c.caller.user)
	}
	c.caller.name, c.callee.name = "a", "b1"
	c.invite = stack.Past(c.pastInvite())
	who := c.helper()
	c.caredFor.Store(&who)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop || a.calls[id] != nil {
		return nil, stack.ErrStopped
	}
	if h.ForHelp {
		c.helpFrom = claimant(c.origin, h.Source)
		c.modest = h.Test || a.claimed(c.helpFrom)
	}
	a.calls[id] = c
	a.wg.Add(1)
	for _, l := range c.legs {
		a.legs[l.dlg.key()] = l
		if l.trunk != nil {
			c.onTrunk.Store(&l.trunk.ID)
			l.counted = true
			a.busy[l.trunk.ID]++
		}
	}
	return c, nil
}

func (c *Call) restoredLeg(s *SavedDialog) (*leg, error) {
	h := s.Help
	l := &leg{call: c, side: stack.Access, instance: s.Instance, binding: s.Binding, source: h.Source, at: s.At, plainOK: h.Plain, own: !h.Caller,
		answered: true, acked: true, id: h.Session, said: true, restored: s}
	var ok bool
	if s.Trunk != "" {
		if l.trunk, ok = c.site.Trunk(s.Trunk); !ok {
			return nil, fmt.Errorf("the site document has no trunk %q any more", s.Trunk)
		}
		l.side = stack.Trunk
	} else if l.user, ok = c.site.UserByID(s.User); !ok && s.User != "" {
		l.user = nil // its phone is asked all the same
	}
	l.dlg, _ = s.dialog()
	l.dlg.contact = contactAt(c.agent.o.Stack.Addr(l.side), stack.TLS)
	l.peerTag.Store(s.RemoteTag)
	l.local = sdp.Local{Version: h.Version + versionGap, Direction: sdp.SendRecv}
	l.peer = &sdp.Description{Profile: h.Profile, Lines: h.Lines, Index: h.Index, Mux: h.Mux, Direction: sdp.SendRecv}
	if l.peer.Profile == "" {
		l.peer.Profile = "RTP/SAVP"
	}
	l.can = h.Codecs
	l.session = session{every: c.agent.o.SessionExpires, ours: true}
	return l, nil
}

// pastInvite stands for the INVITE that the call began with.
func (c *Call) pastInvite() *sip.Request {
	l := c.caller
	req := sip.NewRequest(sip.INVITE, l.dlg.local.uri)
	req.AppendHeader(&sip.FromHeader{Address: l.dlg.remote.uri, Params: l.dlg.remote.params()})
	req.AppendHeader(&sip.ToHeader{Address: l.dlg.local.uri, Params: sip.NewParams()})
	id := sip.CallIDHeader(l.dlg.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.INVITE})
	req.SetBody(nil)
	return req
}

// rejoin re-invites first the side that can be reached at once, the trunk's, then the other.
func (c *Call) rejoin() {
	c.log.Warn("an emergency call is taken up again")
	c.changing = true
	c.media = c.agent.o.Media.Open(c.id, MediaOptions{Emergency: true})
	for _, l := range c.legs {
		if err := l.openMedia(); err != nil {
			c.cut("no media ports: " + err.Error())
			return
		}
		c.save(l) // with the number that requests count from now
	}
	first, second := c.callee, c.caller
	if first.trunk == nil && second.trunk != nil {
		first, second = second, first
	}
	c.reach(first, func() {
		body, err := first.offerCodecs(merge(slices.Clone(first.can), sdp.DefaultOffer()), sdp.SendRecv)
		if err != nil {
			c.cut(err.Error())
			return
		}
		c.reinvite(first, body, glareTries, func(res *sip.Response, err error) {
			switch {
			case c.ended || first.over:
			case err != nil:
				c.cut(first.aor() + ": " + err.Error())
			case res.StatusCode >= 300:
				c.cut(fmt.Sprintf("%s answered %d", first.aor(), res.StatusCode))
			case !c.usable(first, res):
				c.cut(first.aor() + " has no codec in common with the box")
			default:
				c.reach(second, func() { c.rejoinSecond(first, second) })
			}
		})
	})
}

// rejoinSecond offers the other party what the first has answered with, and connects them.
func (c *Call) rejoinSecond(first, second *leg) {
	body, err := second.offerCodecs(sdp.OfferTo(first.peer.Codecs, second.can), sdp.SendRecv)
	if err != nil {
		c.cut(err.Error())
		return
	}
	c.reinvite(second, body, glareTries, func(res *sip.Response, err error) {
		defer c.free()
		if c.ended || first.over || second.over {
			return
		}
		switch {
		case err == nil && res.StatusCode >= 300:
			err = fmt.Errorf("answered %d", res.StatusCode)
		case err == nil:
			err = c.fitAnswer(first, second, res)
		}
		if err == nil {
			err = c.bridgeParties(first, second)
		}
		if err != nil {
			c.cut(second.aor() + ": " + err.Error())
			return
		}
		if c.caller.trunk == nil && c.forHelp {
			c.helpFlow.Store(c.caller.flow.Load())
		}
		c.save(first)
		c.save(second)
		c.log.Warn("an emergency call is up again")
		c.note(EmergencyEvent{Kind: CallRestored, How: TakenUp, Text: "both parties are connected again"})
	})
}

// reach waits for a connection to a party: the trunk's is made, a phone comes back by itself.
func (c *Call) reach(l *leg, do func()) {
	until := time.Now().Add(c.agent.o.ResumeWait)
	var try func()
	again := func() {
		if time.Now().After(until) {
			c.cut(l.aor() + " did not come back")
			return
		}
		c.after(resumeEvery, try)
	}
	try = func() {
		switch {
		case c.ended || l.over:
		case l.connection() != nil:
			l.restored = nil
			l.dlg.contact = contactFor(l.conn)
			do()
		case l.trunk != nil:
			c.agent.o.Trunks.Connect(l.trunk.ID, func(conn *stack.Conn, err error) {
				c.post(gotReply{l, nil, err, func(*sip.Response, error) {
					if conn != nil && !conn.Closed() {
						l.use(conn)
						try()
						return
					}
					again()
				}})
			})
		default:
			again()
		}
	}
	try()
}

// resumeEvery is how often a party that is not there is looked for.
const resumeEvery = 200 * time.Millisecond

// cut ends a call that cannot be taken up again.
func (c *Call) cut(why string) {
	if c.ended {
		return
	}
	c.log.Error("an emergency call cannot be taken up again", "why", why)
	c.note(EmergencyEvent{Kind: CallRestored, Text: "the call could not be taken up again: " + why})
	c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the call was cut off"})
	c.endsBy(causeCut, "box")
	c.feed(inDead, nil, nil)
	c.tellCut()
}

// tellCut has the security desk rung for a call that nobody ended.
func (c *Call) tellCut() {
	if c.agent.o.OnCut == nil || c.decision.Test {
		return
	}
	for _, id := range c.answers {
		c.agent.o.OnCut(id)
	}
	if c.forHelp {
		c.agent.o.OnCut(c.id)
	}
}
