package b2bua

import (
	"net/netip"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// Dialogs keeps dialogs where a crash of the program does not lose them. Its methods are called from the calls'
// goroutines and must be quick.
type Dialogs interface {
	Keep(key string, d SavedDialog)
	Forget(key string)
}

// SavedDialog is as much of a dialog as it takes to end it in the program's next life, and for an emergency call to take
// it up again. It holds no media key: an ordinary call cannot be saved, but nobody shall talk into dead air.
type SavedDialog struct {
	Key               string // as Keep got it
	User, Trunk       string // one of them: site.User.ID, site.Trunk.ID
	Instance, Binding string // which of the user's phones
	CallID            string
	Local, Remote     string // URIs of From and To
	LocalTag          string
	RemoteTag         string
	Target            string   // the peer's Contact
	Routes            []string `json:",omitempty"`
	Seq               uint32
	At                netip.AddrPort `json:",omitzero"` // of a device on UDP: where it is reached
	Emergency         bool
	Since             time.Time
	Help              *SavedHelp `json:",omitempty"` // of an emergency call
}

const (
	// seqGap is added to a restored dialog's number: later requests than the last saved one may have gone out.
	seqGap = 1000
	// savedFor bounds the age of a saved dialog: no phone believes in a call longer.
	savedFor = 24 * time.Hour
	// trunkRetry is how often, and trunkRetries how many times, a trunk is tried for its BYEs.
	trunkRetry   = 2 * time.Second
	trunkRetries = 30
)

// save keeps the leg's dialog, once it is confirmed, and again whenever it changes.
func (c *Call) save(l *leg) {
	k := c.agent.o.Dialogs
	if k == nil || !l.answered || l.over || c.state == Over || l.user == nil && l.trunk == nil && !c.emergency {
		return
	}
	s := c.savedDialog(l)
	l.saved = s.Key
	k.Keep(s.Key, s)
}

func (c *Call) savedDialog(l *leg) SavedDialog {
	d := l.dlg
	s := SavedDialog{Key: d.key(), CallID: d.callID, Local: d.local.uri.String(), LocalTag: d.local.tag, Remote: d.remote.uri.String(),
		RemoteTag: d.remote.tag, Target: d.target.String(), Seq: d.localSeq, At: l.at, Emergency: c.emergency, Since: c.began}
	for _, r := range d.routes {
		s.Routes = append(s.Routes, r.String())
	}
	if l.trunk != nil {
		s.Trunk = l.trunk.ID
	} else {
		s.Instance, s.Binding = l.instance, l.binding
		if l.user != nil {
			s.User = l.user.ID
		}
	}
	if c.emergency {
		s.Help = c.savedHelp(l)
	}
	return s
}

// forget takes a dialog that is over out again.
func (c *Call) forget(l *leg) {
	if l.saved != "" {
		c.agent.o.Dialogs.Forget(l.saved)
		l.saved = ""
	}
}

// dialog makes a dialog to send a BYE in.
func (s SavedDialog) dialog() (dialog, bool) {
	d := dialog{callID: s.CallID, local: party{tag: s.LocalTag}, remote: party{tag: s.RemoteTag}, localSeq: s.Seq + seqGap}
	for _, p := range []struct {
		text string
		uri  *sip.Uri
	}{{s.Local, &d.local.uri}, {s.Remote, &d.remote.uri}, {s.Target, &d.target}} {
		if sip.ParseUri(p.text, p.uri) != nil {
			return d, false
		}
	}
	for _, r := range s.Routes {
		var u sip.Uri
		if sip.ParseUri(r, &u) != nil {
			return d, false
		}
		d.routes = append(d.routes, u)
	}
	return d, s.CallID != "" && s.Seq < 1<<30
}

// Restore takes the dialogs of the program's last life. Ordinary calls end: on trunks at once, on each phone when it is
// back (PhoneBack). Emergency calls that were up are taken up again (resume.go); their IDs are returned. Call it once,
// when Trunks can connect.
func (a *Agent) Restore(list []SavedDialog) (resumed []string) {
	if len(list) > 0 {
		a.log.Warn("calls were up when the program ended", "dialogs", len(list))
	}
	resumed, list = a.resume(list)
	a.bury(list)
	return resumed
}

// bury ends dialogs.
func (a *Agent) bury(list []SavedDialog) {
	list = slices.DeleteFunc(slices.Clone(list), a.endAtDevice)
	trunks := make(map[string][]SavedDialog)
	users := make(map[string]bool)
	a.mu.Lock()
	for _, s := range list {
		_, ok := s.dialog()
		switch {
		case !ok || time.Since(s.Since) > savedFor || a.o.Dialogs == nil:
			if a.o.Dialogs != nil {
				a.o.Dialogs.Forget(s.Key)
			}
		case s.Trunk != "":
			trunks[s.Trunk] = append(trunks[s.Trunk], s)
		default:
			a.lost[s.User] = append(a.lost[s.User], s)
			users[s.User] = true
		}
	}
	if !a.stop {
		for id, list := range trunks {
			a.wg.Go(func() { a.endOnTrunk(id, list) })
		}
	}
	a.mu.Unlock()
	for id := range users {
		a.endLost(id) // who is back already
	}
}

// endAtDevice sends BYE to a device on UDP: it is where it was, registered or not. false if the dialog has none.
func (a *Agent) endAtDevice(s SavedDialog) bool {
	if s.Trunk != "" || a.o.Dialogs == nil || time.Since(s.Since) > savedFor {
		return false
	}
	c := a.o.Stack.Reach(s.At)
	if c == nil {
		return false
	}
	a.endSaved(s, c)
	return true
}

// endOnTrunk sends BYE for each dialog, as soon as the trunk can be reached.
func (a *Agent) endOnTrunk(id string, list []SavedDialog) {
	for range trunkRetries {
		got := make(chan *stack.Conn, 1)
		a.o.Trunks.Connect(id, func(c *stack.Conn, err error) {
			if err != nil {
				c = nil
			}
			got <- c
		})
		select {
		case c := <-got:
			if c != nil {
				for _, s := range list {
					a.endSaved(s, c)
				}
				return
			}
		case <-a.done:
			return
		}
		select {
		case <-time.After(trunkRetry):
		case <-a.done:
			return
		}
	}
	a.log.Error("calls of the last life could not be ended on a trunk", "trunk", id, "calls", len(list))
	for _, s := range list {
		a.o.Dialogs.Forget(s.Key)
	}
}

// endLost sends BYE to those of the user's phones that are here again.
func (a *Agent) endLost(userID string) {
	bindings := a.o.Bindings(userID)
	type bye struct {
		s SavedDialog
		c *stack.Conn
	}
	var now []bye
	a.mu.Lock()
	var left []SavedDialog
	for _, s := range a.lost[userID] {
		found := false
		for _, b := range bindings {
			same := s.Instance != "" && b.Instance == s.Instance || s.Instance == "" && b.Instance == "" // a phone without an instance has a new Contact now
			if !same || b.Flow == 0 {
				continue
			}
			if c, ok := a.o.Stack.Conn(uint64(b.Flow)); ok {
				now, found = append(now, bye{s, c}), true
			}
		}
		if !found {
			left = append(left, s)
		}
	}
	if len(left) > 0 {
		a.lost[userID] = left
	} else {
		delete(a.lost, userID)
	}
	a.mu.Unlock()
	for _, b := range now {
		a.endSaved(b.s, b.c)
	}
}

func (a *Agent) endSaved(s SavedDialog, c *stack.Conn) {
	if d, ok := s.dialog(); ok {
		a.log.Info("hangs up a call of the last life", "user", s.User, "trunk", s.Trunk)
		if s.Help != nil && s.Help.Branch != "" {
			a.endEarly(s, d, c)
		} else {
			c.Send(d.request(sip.BYE, c), func(*sip.Response, error) {})
		}
	}
	a.o.Dialogs.Forget(s.Key)
}
