package box

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/certs"
	"holdfast/firmware/control"
	"holdfast/firmware/mode"
	"holdfast/firmware/netcfg"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Status is the box as `holdfast status` shows it.
func (b *Box) Status() control.Status {
	now := time.Now()
	m, doc := b.modes.state(), b.site.Load().Doc()
	s := control.Status{
		Name: b.cfg.Name, Version: b.version, Started: b.started,
		Mode:  control.Mode{Name: m.Mode.String(), Since: m.Since, Cause: m.Cause, Until: m.Until},
		Zones: zones(b.modes.evidence()), Emergencies: b.emergencies(),
		Trunks: []control.Trunk{}, Calls: []control.Call{}, Events: []control.ModeEvent{},
		Site: b.siteStatus(), Update: b.updates.shown(),
	}
	if m.Drill != nil {
		s.Mode.Users = m.Drill.Users
	}
	for _, t := range b.trunks.States() {
		s.Trunks = append(s.Trunks, control.Trunk{ID: t.ID, Address: t.Address, Up: t.Up, Since: t.Since, RTT: ms(t.RTT), Error: t.Err})
	}
	n := b.registrar.Counts(now)
	s.Phones = control.Phones{Users: n.Users, Expected: len(doc.Users), Bindings: n.Bindings, Unreachable: n.Unreachable, Connections: b.phoneConnections()}
	for _, c := range b.calls.Calls() {
		s.Calls = append(s.Calls, control.Call{ID: c.ID, State: c.State, From: c.From, To: c.To, Dialled: c.Dialled, Codec: c.Codec, Began: c.Began, Answered: c.Answered, Emergency: c.Emergency})
	}
	slices.SortFunc(s.Calls, func(a, b control.Call) int { return a.Began.Compare(b.Began) })
	r := b.relay.Counts()
	s.Media = control.Media{Sessions: r.Sessions, PortsUsed: r.PortsUsed, PortsFree: r.PortsFree, PortsDrain: r.PortsDrained}
	for _, t := range b.modes.history() {
		s.Events = append(s.Events, control.ModeEvent{At: t.At, From: t.From.String(), To: t.To.String(), Cause: t.Cause, Evidence: zones(t.Evidence)})
	}
	s.Alarms = append(b.emergencyAlarms(now), b.alarms(s, m, now)...)
	s.Alarms = append(s.Alarms, b.trustAlarms(now)...)
	s.Alarms = append(append(s.Alarms, b.settingsAlarms()...), b.nameAlarms()...)
	s.Alarms = append(s.Alarms, b.storage...)
	s.Alarms = append(s.Alarms, machineAlarms(netcfg.Dir, b.listeners(), now)...)
	s.Alarms = append(s.Alarms, b.boardAlarms()...)
	s.Alarms = append(s.Alarms, b.gatewayAlarms()...)
	if s.Alarms == nil {
		s.Alarms = []string{} // a list in JSON too
	}
	return s
}

// alarms are what a person should look at, in words.
func (b *Box) alarms(s control.Status, m mode.State, now time.Time) (out []string) {
	for _, t := range s.Trunks {
		if !t.Up && now.Sub(b.started) > 5*time.Second {
			out = append(out, fmt.Sprintf("trunk %s is down: %s", t.ID, t.Error))
		}
	}
	// A phone that knocks in the first seconds of an outage only noticed it before the box did.
	if since := later(m.Since, now.Add(-straysFor)); m.Mode == mode.Normal && now.Sub(m.Since) > 20*time.Second {
		if n, user := b.strays.recent(since); n > 0 {
			out = append(out, fmt.Sprintf("%d phones (%s …) come here although the cloud answers: check their way to the cloud", n, user))
		}
	}
	for what, c := range map[string]*tls.Certificate{"phones": b.phoneCert.Load(), "trunk": b.trunkCert.Load()} {
		if c != nil && c.Leaf != nil {
			if i, err := certs.Describe(certs.Use(what), c); err == nil && i.Temporary {
				out = append(out, fmt.Sprintf("the %s certificate is a temporary one that nobody trusts: bring one (holdfast cert request, then install)", what))
			}
			if fault, warning := validity(what+" certificate", c.Leaf, now); fault != nil || warning != nil {
				out = append(out, errors.Join(fault, warning).Error())
			}
		}
	}
	if !b.provisioned() {
		out = append(out, "there is no site document: nobody can be served until the portal or a file brings one")
	}
	if lost := b.records.Stats().Lost; lost > 0 {
		out = append(out, fmt.Sprintf("%d records were lost: is the card full or broken?", lost))
	}
	if s.Site.LastError != "" {
		out = append(out, "site document: "+s.Site.LastError)
	}
	return out
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (b *Box) phoneConnections() (n int) {
	for _, c := range b.stack.Conns() {
		if c.Side() == stack.Access {
			n++
		}
	}
	return n
}

func zones(list []mode.Evidence) []control.Zone {
	out := make([]control.Zone, 0, len(list))
	for _, e := range list {
		out = append(out, control.Zone{Name: e.Zone, Kind: e.Kind.String(), Verdict: e.Verdict.String(), At: e.At, RTT: ms(e.RTT), Detail: e.Detail})
	}
	return out
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// StartDrill starts a drill for the site or for named users.
func (b *Box) StartDrill(o control.DrillOrder) (string, error) {
	var ids, names []string
	for _, name := range o.Users {
		u, ok := b.findUser(name)
		if !ok {
			return "", fmt.Errorf("nobody here is called %q: give an extension, a user name or a user ID of the site document", name)
		}
		ids, names = append(ids, u.ID), append(names, u.Name)
	}
	if o.By == "" {
		return "", errors.New("a drill needs the name of who starts it")
	}
	if err := b.modes.startDrill(mode.Order{By: o.By, Users: ids, Limit: o.Limit}); err != nil {
		return "", err
	}
	who := "the whole site"
	if len(names) > 0 {
		who = strings.Join(names, ", ")
	}
	return fmt.Sprintf("Drill for %s until %s.", who, time.Now().Add(o.Limit).In(b.site.Load().Location()).Format("15:04:05 MST")), nil
}

// findUser finds a user by ID, user name or any number.
func (b *Box) findUser(name string) (*site.User, bool) {
	s := b.site.Load()
	u, ok := s.UserByID(name)
	if !ok {
		u, ok = s.UserByUsername(name)
	}
	if !ok {
		u, ok = s.Lookup(name)
	}
	return u, ok
}

// StopDrill ends the drill.
func (b *Box) StopDrill(by string) (string, error) {
	if err := b.modes.stopDrill(by); err != nil {
		return "", err
	}
	return "Drill ended. Phones are sent home; running calls go on.", nil
}
