package box

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"holdfast/firmware/emergency"
	"holdfast/firmware/notice"
	"holdfast/sip/b2bua"
	"holdfast/sip/elin"
	"holdfast/sip/site"
)

// bells let the emergency notice ring phones and send texts.
type bells struct{ b *Box }

// noticeNumber is what a phone shows besides the notice's name where the site has no numbers of its own.
const noticeNumber = "911"

// helpNumber is the number that was dialled for help, as a caller's number: a test's is never a real one, and a urn is none.
func helpNumber(number string, st *site.Site) string {
	if number != "" && !strings.HasPrefix(number, "urn:") {
		return number
	}
	if list := st.EmergencyNumbers(); len(list) > 0 {
		return list[0]
	}
	return noticeNumber
}

// Ring makes a notice call.
func (r bells) Ring(ctx context.Context, c notice.Call, on func(notice.Event)) error {
	number := helpNumber(c.Number, r.b.site.Load())
	err := r.b.calls.Ring(ctx, b2bua.RingOrder{ID: c.ID, User: c.User, But: caller(c.But), Name: c.Display, Number: number, Prompt: b2bua.EmergencyNotice, RingFor: c.RingFor},
		func(e b2bua.RingEvent) {
			on(map[b2bua.RingEvent]notice.Event{b2bua.RingBegan: notice.Ringing, b2bua.RingTaken: notice.Taken, b2bua.RingAcked: notice.Acknowledged}[e])
		})
	if errors.Is(err, b2bua.ErrNobodyThere) {
		return notice.ErrNobodyThere
	}
	return err
}

// caller is a phone that is left out, as the agent knows it; one of which nothing is known stands for all.
func caller(p *emergency.Phone) *elin.Caller {
	if p == nil {
		return nil
	}
	return &elin.Caller{Instance: p.Instance, Binding: p.Contact}
}

// Message sends a text.
func (r bells) Message(ctx context.Context, user string, but *emergency.Phone, text string) error {
	status, err := r.b.calls.Message(ctx, user, caller(but), text)
	switch {
	case err != nil:
		return err
	case status < 300:
		return nil
	case status == 405 || status == 415 || status == 501:
		return notice.ErrNoTexts
	}
	return fmt.Errorf("the phone answered %d", status)
}
