package box

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
	"holdfast/sip/b2bua"
)

// How long a drill looks for the notice, and for a callback where one is wanted.
const (
	noticeWithin   = 10 * time.Second
	callbackWithin = 3 * time.Minute
)

// drillEmergency makes a test call in a user's place and adds what the box itself has to do for it: the record, the notice
// with its mark, and the way back.
func (b *Box) drillEmergency(ctx context.Context, o control.EmergencyDrillOrder, say func(control.DrillStep)) error {
	failed := ""
	step := func(ok bool, name, detail, fix string) {
		s := control.DrillStep{Name: name, OK: ok, Detail: detail, At: time.Now()}
		if !ok {
			s.Fix = fix
			if failed == "" {
				failed = name
			}
		}
		say(s)
	}
	b.log.Info("emergency drill", "user", o.User, "number", o.Number, "by", o.By)
	call := ""
	err := b.calls.Drill(ctx, b2bua.DrillOrder{User: o.User, Number: o.Number, During: func(id string) {
		call = id
		b.drillNotice(ctx, id, step)
	}}, func(s b2bua.DrillStep) { step(s.OK, s.Name, s.Detail, s.Fix) })
	if o.Callback && call != "" && err == nil && ctx.Err() == nil {
		b.drillCallback(ctx, call, step)
	}
	if e, known := b.journal.Get(call); known && !e.Noticed() { // nobody needs to hear of it any more
		if err := b.journal.Add(call, emergency.Step{Kind: emergency.NoticeOver, Text: "the drill is over"}); err != nil {
			b.log.Error("the notice of a drill", "call", call, "err", err)
		}
	}
	if err == nil && failed != "" {
		err = fmt.Errorf("it failed at %q", failed)
	}
	return err
}

// drillNotice looks for the record and the notice.
func (b *Box) drillNotice(ctx context.Context, id string, step func(ok bool, name, detail, fix string)) {
	e, ok := b.journal.Get(id)
	step(ok && e.Test, "record", "kept, marked as a test", "report this: the call has no record, or no mark")
	if len(b.site.Load().NotifyUsers()) == 0 {
		step(false, "notice", "nobody is told of emergency calls here", "list whose phones ring in /emergency/notify")
		return
	}
	const rings = "ring" // a step's How: the notice call, not the text
	rang, why := "", "no phone of the front desk rings; notices of real calls that nobody has acknowledged go first"
	b.poll(ctx, noticeWithin, id, func(e emergency.Emergency) bool {
		for _, s := range e.Steps {
			switch s.Kind {
			case emergency.NoticeRung, emergency.NoticeSeen, emergency.NoticeMessage:
				rang = s.Who
			case emergency.NoticeFailed:
				if s.How == rings {
					why = strings.TrimSpace(s.Who + ": " + s.Text)
				}
			}
		}
		return rang != ""
	})
	failed := slices.ContainsFunc(b.steps(id), func(s emergency.Step) bool {
		return s.Kind == emergency.NoticeFailed && s.How == rings && s.Who == rang
	})
	if rang == "" || failed {
		step(false, "notice", why, "register a phone of those in /emergency/notify")
		return
	}
	step(strings.HasPrefix(e.Display(), "TEST"), "notice", fmt.Sprintf("%s's phones ring: %q", rang, e.Display()), "report this: the notice has no test mark")
}

// drillCallback waits for somebody to call the number that was shown.
func (b *Box) drillCallback(ctx context.Context, id string, step func(ok bool, name, detail, fix string)) {
	e, _ := b.journal.Get(id)
	step(true, "callback", fmt.Sprintf("now call %s from outside, within %v", e.ELIN, callbackWithin), "")
	who, right := "", false
	b.poll(ctx, callbackWithin, id, func(e emergency.Emergency) bool {
		for _, s := range e.Steps {
			if s.Kind == emergency.CallbackAnswered {
				who, right = s.Who, s.Who == e.Caller.User || s.Text != "" // by the user's number at the cloud
			}
		}
		return who != ""
	})
	switch {
	case who == "":
		step(false, "callback", "nobody was reached", "is the number routed to this trunk, and does the user's phone ring?")
	default:
		step(right, "callback", "reached "+who, "somebody else took it: does the user's phone ring, and is it answered?")
	}
}

func (b *Box) steps(id string) []emergency.Step {
	e, _ := b.journal.Get(id)
	return e.Steps
}

// poll looks at a record until it is as wanted, or the time is over.
func (b *Box) poll(ctx context.Context, most time.Duration, id string, ok func(emergency.Emergency) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		if e, known := b.journal.Get(id); known && ok(e) {
			return true
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return false
		}
	}
}
