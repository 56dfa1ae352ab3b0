package b2bua

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// How an emergency call, or one to a security desk outside, goes through the trunks: it is given to the next one sooner than an ordinary call and for any
// refusal, and where a trunk is full it takes the place of the youngest ordinary call.

const (
	leastConnect = 200 * time.Millisecond // that a trunk may take to connect before the next is tried
	byeWait      = 300 * time.Millisecond // that an emergency call waits at most for the BYE of the call whose place it takes
	fullAgain    = 250 * time.Millisecond // before a trunk that was full in its own opinion is asked again
	roomFor      = 5 * time.Second        // that a trunk may take to notice that a call on it has ended
)

// connectPatience is how long a trunk may take until it is connected. An emergency call's first INVITE has to be on some
// trunk within EmergencyPatience, so those that are still to be tried share what is left of it; a trunk that was skipped
// for it comes again at the end.
func (c *Call) connectPatience(t *site.Trunk) time.Duration {
	switch all := c.agent.o.EmergencyPatience; {
	case !c.failsOver():
		return c.agent.o.TrunkPatience
	case c.silent[t.ID] != nil: // where it cannot be reached the security desk is not to wait long
		return all
	case len(c.trunks) == 0 || c.skipped[t.ID]:
		return 2 * all
	case !c.dialsEmergency():
		return all
	case c.invited:
		return 2 * all
	default:
		return max((all-time.Since(c.began))*3/4/time.Duration(len(c.trunks)+1), min(leastConnect, all/4))
	}
}

// awaitTrunk starts the clocks of an emergency call's INVITE: any response at all, and ringing or an answer, for which
// a 100 counts nothing. For an ordinary call the clock runs since the connection was asked for.
func (c *Call) awaitTrunk(l *leg) {
	if !c.failsOver() {
		return
	}
	c.invited = c.invited || c.dialsEmergency()
	l.patience.stop()
	l.patience = c.after(c.agent.o.EmergencyPatience, func() { c.giveUp(l, "no answer at all") })
	l.progress = c.after(c.agent.o.EmergencyProgress, func() {
		if c.dialsEmergency() || c.untried() { // else nobody is left to try, and a mobile may take longer: RingFor is the end
			c.giveUp(l, "nothing but 100")
		}
	})
}

// heardFromTrunk follows a trunk's responses with the clocks of failover.
func (c *Call) heardFromTrunk(l *leg, res *sip.Response) {
	if l.trunk == nil {
		return
	}
	l.heard = l.heard || res != nil
	l.patience.stop()
	if res == nil || res.StatusCode >= 180 {
		l.progress.stop()
	}
}

// comeBackTo puts a trunk that took too long to connect at the end of the list; false if it has been there.
func (c *Call) comeBackTo(l *leg) bool {
	if !c.failsOver() || l.invite != nil || len(c.trunks) == 0 || c.skipped[l.trunk.ID] || c.silent[l.trunk.ID] != nil {
		return false
	}
	if c.skipped == nil {
		c.skipped = make(map[string]bool)
	}
	c.skipped[l.trunk.ID] = true
	c.trunks = append(c.trunks, l.trunk)
	return true
}

// connectionFell takes that the connection fell under an emergency call's INVITE. It may have been dead for a while: the
// trunk is asked once more at once, over a new one. Whatever the trunk made of the first INVITE is cancelled there.
func (c *Call) connectionFell(l *leg) {
	if l.trunk == nil || !c.failsOver() || l.cancelled && l.saved == "" {
		return
	}
	if l.saved != "" && c.agent.o.Dialogs != nil {
		s := c.savedDialog(l)
		s.Help.Branch, s.RemoteTag = l.branch, l.early1xx
		l.saved = "" // it is bury's now
		go c.agent.bury([]SavedDialog{s})
	}
	if l.cancelled || c.redialled[l.trunk.ID] {
		return
	}
	if c.redialled == nil {
		c.redialled = make(map[string]bool)
	}
	c.redialled[l.trunk.ID] = true
	c.trunks = slices.Insert(c.trunks, 0, l.trunk)
}

// rangAtTrunk ends a target outside that has rung for long enough. A PSAP is left to ring: who gives up there loses the
// place in its queue.
func (c *Call) rangAtTrunk() {
	if c.dialsEmergency() {
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: "it has been ringing for " + ringAtTrunk.String()})
		return
	}
	c.ringTime()
}

// takeTrunk takes a place on the trunk. For an emergency call there always is one: where the trunk is full, the youngest
// ordinary call on it ends, and is returned: its BYE is to leave before the INVITE that takes its place.
func (c *Call) takeTrunk(t *site.Trunk) (victim *Call, ok bool) {
	if !c.crowded[t.ID] && c.agent.takeTrunk(t) {
		return nil, true
	}
	if !c.preempts() {
		return nil, false
	}
	victim = c.agent.preempt(t, c.crowded[t.ID])
	delete(c.crowded, t.ID)
	c.agent.forceTrunk(t)
	return victim, true
}

// connectTrunk asks for a connection to the trunk, once a call that makes room there has said so, or has taken too long.
func (c *Call) connectTrunk(t *site.Trunk, victim *Call, do func(*stack.Conn, error)) {
	ask, wait, ended := c.connects(t), time.Duration(0), (chan struct{})(nil)
	switch {
	case victim != nil:
		wait, ended = byeWait, victim.gone
	case c.retried[t.ID]:
		wait = fullAgain
	default:
		ask(do)
		return
	}
	go func() {
		select {
		case <-ended:
		case <-time.After(wait):
		case <-c.done:
		}
		ask(do)
	}()
}

// trunkFailed notes a trunk's failure. A trunk that is full in its own opinion is tried once more, last, with the place
// that the youngest ordinary call on it makes, or that one has just made there.
func (c *Call) trunkFailed(l *leg, status int, res *sip.Response) {
	if c.dialsEmergency() {
		c.note(EmergencyEvent{Kind: TrunkFailed, Trunk: l.trunk.ID, Status: status})
	}
	if !c.failsOver() || !c.preempts() || !full(status, res) || c.retried[l.trunk.ID] || status == 486 && !c.dialsEmergency() {
		return // at a security desk 486 means that it talks
	}
	crowded := false
	if c.agent.preempt(l.trunk, false) == nil && !c.agent.madeRoom(l.trunk) {
		if !c.dialsEmergency() || !c.agent.deskOn(l.trunk) {
			return // no ordinary call is in the way there, nor was one a moment ago
		}
		crowded = true // a spared call is: it ends when all other trunks have failed
	}
	if c.retried == nil {
		c.retried, c.crowded = make(map[string]bool), make(map[string]bool)
	}
	c.crowded[l.trunk.ID] = crowded
	c.retried[l.trunk.ID] = true
	c.trunks = append(c.trunks, l.trunk)
}

// full reports whether a trunk refused for want of a channel: 503, 486, or cause 34 of Q.850, no circuit available, in a
// Reason (RFC 3326).
func full(status int, res *sip.Response) bool {
	if status == 503 || status == 486 {
		return true
	}
	if res == nil {
		return false
	}
	for _, h := range res.GetHeaders("reason") {
		for one := range strings.SplitSeq(h.Value(), ",") {
			protocol, params, _ := strings.Cut(one, ";")
			if !strings.EqualFold(strings.TrimSpace(protocol), "Q.850") {
				continue
			}
			for p := range strings.SplitSeq(params, ";") {
				k, v, _ := strings.Cut(p, "=")
				cause, err := strconv.Atoi(strings.TrimSpace(v))
				if strings.EqualFold(strings.TrimSpace(k), "cause") && err == nil && cause == 34 {
					return true
				}
			}
		}
	}
	return false
}

// When ports or descriptors are used up beyond the reserve, ordinary calls end for the media of emergency calls. Others may
// be quicker to take what becomes free, so it is tried again and again, and not each try costs a call.
const (
	mediaPause = 20 * time.Millisecond
	mediaEvery = 4 // tries for one call that ends
)

// makeRoom waits for an ordinary call to give its ports back: for the youngest of all, which ends for it, or for whichever
// does. false: there is no reason to wait, or no time.
func (c *Call) makeRoom(try int) bool {
	if !c.preempts() || time.Since(c.began) > c.agent.o.EmergencyPatience*3/4 {
		return false
	}
	wait, gone := mediaPause, (chan struct{})(nil)
	if try%mediaEvery == 0 {
		if victim := c.agent.preempt(nil, false); victim != nil {
			wait, gone = byeWait, victim.gone
		}
	}
	select {
	case <-gone:
	case <-time.After(wait):
	}
	return true
}

// isGone reports whether the parties have been told that the call is over: it has no place any more that it could give up.
func (c *Call) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// youngest is the ordinary call that began last on the trunk, or of all; desk: of those that are spared. a.mu is held.
func (a *Agent) youngest(t *site.Trunk, desk bool) (youngest *Call) {
	for _, c := range a.calls {
		on := c.onTrunk.Load()
		if c.emergency || c.toDesk.Load() != desk || t != nil && (on == nil || *on != t.ID) || c.preempted.Load() || c.isGone() {
			continue
		}
		if youngest == nil || c.began.After(youngest.began) {
			youngest = c
		}
	}
	return youngest
}

// preempt ends the youngest ordinary call on the trunk, or of all; where there is none one to the security desk, if that may be.
// nil: nobody's.
func (a *Agent) preempt(t *site.Trunk, evenDesk bool) *Call {
	a.mu.Lock()
	youngest := a.youngest(t, false)
	if youngest == nil && evenDesk {
		youngest = a.youngest(t, true)
	}
	if youngest != nil {
		youngest.preempted.Store(true)
		if on := youngest.onTrunk.Load(); on != nil {
			a.room[*on] = time.Now()
		}
	}
	a.mu.Unlock()
	if youngest == nil {
		return nil
	}
	youngest.log.Warn("ended to make room for an emergency call")
	go youngest.post(gotStop{causePreempted})
	return youngest
}

// madeRoom reports whether an ordinary call has just been ended on the trunk, which may not have heard of it yet.
func (a *Agent) madeRoom(t *site.Trunk) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.room[t.ID]
	return ok && time.Since(at) < roomFor
}

// forceTrunk counts a call on the trunk beyond its limit.
func (a *Agent) forceTrunk(t *site.Trunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy[t.ID]++
}
