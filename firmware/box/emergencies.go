package box

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/firmware/notice"
	"holdfast/firmware/record"
	"holdfast/firmware/webhook"
	"holdfast/sip/b2bua"
)

// onCard is the follower that writes emergency records to the card.
const onCard = "card"

// adoptFor is how long an emergency call that nobody acknowledged before a power cut is news after it.
const adoptFor = 24 * time.Hour

// unclaimedFor is how long an alarm stands about a callback that answers no call known here.
const unclaimedFor = 24 * time.Hour

// buildEmergencies builds what keeps emergency calls and tells of them.
func (b *Box) buildEmergencies() error {
	followers := []string{onCard}
	if err := b.buildWebhook(); err != nil {
		return err
	}
	if b.webhook != nil {
		followers = append(followers, webhook.Kind)
	}
	var err error
	if b.journal, err = emergency.New(emergency.Options{Snapshot: b.snapshot, Followers: followers, Log: b.log}); err != nil {
		return err
	}
	if b.emergencyDrill == nil {
		b.emergencyDrill = b.drillEmergency
	}
	b.adoptEmergencies()
	b.notices, err = notice.New(notice.Options{Journal: b.journal, Site: b.site.Load, Ringer: b.ringer, Messenger: b.messenger,
		Light: &b.front.light, Buzzer: &b.front.buzzer, Log: b.log})
	return err
}

func (b *Box) buildWebhook() error {
	w := b.cfg.Webhook
	if w.URL == "" {
		return nil
	}
	const without = "nobody outside is told of emergency calls"
	key, err := secret("webhook secret", w.SecretFile, webhook.MinSecret)
	if err != nil {
		b.lacks(err, without)
		return nil
	}
	b.webhook, err = webhook.New(webhook.Options{URL: w.URL, Secret: key, Roots: b.trusted("webhook", w.Roots, without), Outbox: b.outbox, Box: b.cfg.Name,
		Site: func() string { return b.site.Load().Doc().Site.ID }, Log: b.log})
	return err
}

// adoptEmergencies takes in what the card has kept over a power cut. What it cannot read costs no call.
func (b *Box) adoptEmergencies() {
	list, err := emergency.Read(b.recordsDir(), record.KindEmergency)
	if err != nil {
		b.log.Error("records of earlier emergency calls", "err", err)
	}
	if n := b.journal.Adopt(list, onCard, time.Now().Add(-adoptFor)); n > 0 {
		b.log.Warn("emergency calls from before a power cut wait to be acknowledged", "calls", n)
	}
}

func (b *Box) recordsDir() string { return filepath.Join(b.cfg.DataDir, "records") }

// emergencyToCard is the journal's follower: it waits for the card, and no call waits for it.
func (b *Box) emergencyToCard(ctx context.Context, e emergency.Emergency, s emergency.Step) error {
	text, err := emergency.Line(e, s)
	if err != nil {
		b.log.Error("a step of an emergency call is not on the card", "call", e.ID, "err", err)
		return nil // trying again makes it no better
	}
	return b.records.Emergency(ctx, text)
}

// tidyEmergencies forgets records that are over and old.
func (b *Box) tidyEmergencies(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b.journal.Tidy()
			b.pinned.save() // it holds ages: a crash must not make pins younger
		case <-ctx.Done():
			return nil
		}
	}
}

// resumeEmergencies looks after the calls that the program's last life left running. Those that nobody takes up are over:
// the notice says so until somebody acknowledges, and the security desk rings.
func (b *Box) resumeEmergencies(takenUp []string) {
	for _, e := range b.journal.Open() {
		steps := []emergency.Step{{Kind: emergency.Restart, How: b2bua.TakenUp, Text: "the program was restarted during the call"}}
		if !slices.Contains(takenUp, e.ID) {
			b.log.Error("an emergency call was lost in a restart of the program", "call", e.ID, "display", e.Display())
			steps = []emergency.Step{{Kind: emergency.Restart, Text: "the program was restarted during the call"},
				{Kind: emergency.Ended, Text: "program restarted", How: "box"}}
		}
		for _, s := range steps {
			if err := b.journal.Add(e.ID, s); err != nil {
				b.log.Error("a step of an emergency call", "call", e.ID, "err", err)
			}
		}
		if len(steps) > 1 && !e.Test {
			b.desk.ring(e.ID)
		}
	}
	b.pinned.table.Reconcile(time.Now(), func(id string) bool {
		e, ok := b.journal.Get(id)
		return ok && e.Open()
	})
	b.pinned.save()
}

// Acknowledge takes note of emergency calls.
func (b *Box) Acknowledge(o control.AckOrder) (string, error) {
	if o.How != emergency.ByCommand && o.How != emergency.ByPage {
		return "", fmt.Errorf("%q is no way to acknowledge", o.How)
	}
	list, err := b.notices.Acknowledge(o.By, o.How, o.Call)
	if err != nil {
		return "", err
	}
	msg := "Acknowledged by " + o.By + ":"
	for _, e := range list {
		msg += "\n  " + e.Display() + ", " + e.At.In(b.site.Load().Location()).Format("15:04 MST")
		if e.Open() {
			msg += ", the call is still running"
		}
	}
	return msg, nil
}

// EmergencyLog is the last records, of RAM and of the card.
func (b *Box) EmergencyLog(n int) ([]emergency.Emergency, error) {
	kept, err := emergency.Read(b.recordsDir(), record.KindEmergency)
	list := emergency.Merge(kept, b.journal.All())
	if err != nil {
		b.log.Error("records of earlier emergency calls", "err", err)
		if len(list) == 0 {
			return nil, err
		}
	}
	return list[max(0, len(list)-n):], nil
}

// Pins lists which numbers lead back to which callers.
func (b *Box) Pins() []control.Pin {
	if b.pins == nil {
		return []control.Pin{}
	}
	return b.pins()
}

// EmergencyDrill makes a test call.
func (b *Box) EmergencyDrill(ctx context.Context, o control.EmergencyDrillOrder, step func(control.DrillStep)) error {
	s := b.site.Load()
	u, ok := b.findUser(o.User)
	switch {
	case !ok:
		return fmt.Errorf("nobody here is called %q: give an extension, a user name or a user ID of the site document", o.User)
	case len(s.TestNumbers()) == 0:
		return errors.New("the site has no test number: add one to /emergency/test_numbers that the carrier knows")
	}
	if o.Number == "" {
		o.Number = s.TestNumbers()[0]
	}
	if _, real := s.Plan().Emergency(o.Number, s.EmergencyNumbers()); real {
		return fmt.Errorf("%s is a real emergency number: a drill does not call it", o.Number)
	}
	if _, test := s.Plan().Emergency(o.Number, s.TestNumbers()); !test {
		return fmt.Errorf("%q is not a test number of this site", o.Number)
	}
	o.User = u.ID
	return b.emergencyDrill(ctx, o, step)
}

// emergencies are the calls that run and those that nobody has acknowledged.
func (b *Box) emergencies() []control.Emergency {
	out := []control.Emergency{}
	for _, e := range b.journal.All() {
		if e.Open() || !e.Noticed() {
			out = append(out, emergencyStatus(e))
		}
	}
	return out
}

func emergencyStatus(e emergency.Emergency) control.Emergency {
	c := control.Emergency{ID: e.ID, Title: e.Display(), State: "calling", Test: e.Test, Began: e.At, Answered: e.Answered, Ended: e.Ended,
		Caller: e.Caller.Name, Place: e.Place, Address: e.Address, Callback: e.ELIN, Trunk: e.Trunk}
	if e.Caller.Number != "" {
		if c.Caller != "" {
			c.Caller += ", "
		}
		c.Caller += e.Caller.Number
	}
	switch {
	case !e.Open():
		c.State = "ended"
	case !e.Answered.IsZero():
		c.State = "answered"
	}
	if e.Acknowledged != nil {
		c.Acknowledged = e.Acknowledged.By
	}
	for _, s := range e.Steps {
		switch s.Kind {
		case emergency.Alarm, emergency.Restart:
			c.Alarms = append(c.Alarms, s.Text)
		case emergency.NoTrunk:
			c.Alarms = append(c.Alarms, "no trunk took the call")
		}
	}
	return c
}

// emergencyAlarms are what is wrong with the keeping and telling of emergency calls.
func (b *Box) emergencyAlarms(now time.Time) (out []string) {
	if n := b.journal.Behind(onCard); n > 0 && b.records.Stats().Fault != "" {
		out = append(out, fmt.Sprintf("%d steps of emergency calls are in RAM only: the card cannot be written", n))
	}
	if b.codecs != nil {
		out = append(out, b.codecs.alarms(now)...)
	}
	if b.budget.short != "" {
		out = append(out, b.budget.short)
	}
	if e := b.unclaimed.Load(); e != nil && now.Sub(e.At) < unclaimedFor {
		out = append(out, fmt.Sprintf("the callback to %s at %s: %s", e.ELIN, e.At.In(b.site.Load().Location()).Format("15:04 MST"), e.Text))
	}
	if n := b.journal.Dropped(); n > 0 {
		out = append(out, fmt.Sprintf("%d steps of emergency calls found no room in their records", n))
	}
	if b.webhook != nil {
		w := b.webhook.Status()
		if w.LastError != "" && now.Sub(w.Since) > 30*time.Second {
			out = append(out, "alerts of emergency calls do not arrive: "+w.LastError)
		}
		if w.Refused > 0 {
			out = append(out, fmt.Sprintf("%d alerts of emergency calls were refused by %s", w.Refused, b.cfg.Webhook.URL))
		}
	}
	return out
}

// unacknowledged counts real calls.
func (b *Box) unacknowledged() (n int) {
	for _, e := range b.journal.Unnoticed() {
		if !e.Test {
			n++
		}
	}
	return n
}
