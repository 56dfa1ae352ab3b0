package box

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/sip/b2bua"
)

// deskBell rings the security desk by itself when an emergency call was cut off by a crash of the program and nobody else can
// tell them: who takes it hears the notice, and the display says who needs help.
type deskBell struct {
	b    *Box
	cuts chan string // emergency calls
	call func(context.Context, b2bua.RingOrder, func(b2bua.RingEvent)) error
}

const (
	deskWaits  = 256
	deskRounds = 3
	deskRings  = 20 * time.Second // each
	deskPause  = 10 * time.Second // between rounds: phones may still be on their way back to the box
)

func newDesk(b *Box) *deskBell {
	return &deskBell{b: b, cuts: make(chan string, deskWaits),
		call: func(ctx context.Context, o b2bua.RingOrder, on func(b2bua.RingEvent)) error {
			return b.calls.Ring(ctx, o, on)
		}}
}

// ring asks for it; it does not wait.
func (d *deskBell) ring(call string) {
	select {
	case d.cuts <- call:
	default:
		d.b.log.Error("the security desk is not rung: too many calls were cut off", "call", call)
	}
}

// run rings until ctx ends.
func (d *deskBell) run(ctx context.Context) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case id := <-d.cuts:
			calls.Go(func() { d.tell(ctx, id) })
		case <-ctx.Done():
			return nil
		}
	}
}

// tell rings one after the other until somebody takes it.
func (d *deskBell) tell(ctx context.Context, id string) {
	e, ok := d.b.journal.Get(id)
	if !ok { // somebody called for help all the same
		d.b.log.Error("a call that was cut off has no record", "call", id)
		e.Number = "SOS"
		if n := d.b.site.Load().EmergencyNumbers(); len(n) > 0 {
			e.Number = n[0]
		}
	}
	note := func(s emergency.Step) {
		if err := d.b.journal.Add(id, s); err != nil {
			d.b.log.Error("a step of an emergency call", "call", id, "err", err)
		}
	}
	for round := range deskRounds {
		st := d.b.site.Load()
		for _, entry := range st.Doc().Emergency.Security {
			u, number, err := st.Resolve(entry)
			if err != nil {
				continue // site.Load refuses such an entry
			}
			o := b2bua.RingOrder{ID: id, Name: "CUT OFF " + e.Display(), Number: helpNumber(e.Number, st), Prompt: b2bua.EmergencyNotice, RingFor: deskRings}
			who := string(number)
			if u != nil {
				if who, o.User = u.ID, u.ID; u.ID == e.Caller.User {
					o.But = caller(&e.Caller.Phone)
				}
			} else {
				o.Outside, o.Number = who, st.Doc().Site.MainNumber
			}
			if round == 0 {
				note(emergency.Step{Kind: emergency.Desk, Who: who})
			}
			taken := false
			err = d.call(ctx, o, func(e b2bua.RingEvent) { taken = taken || e != b2bua.RingBegan })
			switch {
			case ctx.Err() != nil:
				return
			case taken:
				note(emergency.Step{Kind: emergency.Desk, Who: who, Text: "took the call"})
				return
			case err != nil && !errors.Is(err, b2bua.ErrNobodyThere) && !errors.Is(err, b2bua.ErrNotTaken):
				d.b.log.Warn("the security desk", "call", id, "who", who, "err", err)
			}
		}
		if round < deskRounds-1 {
			select {
			case <-time.After(deskPause):
			case <-ctx.Done():
				return
			}
		}
	}
	note(emergency.Step{Kind: emergency.Alarm, Text: "nobody at the security desk took the call about it"})
}
