package b2bua

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// ringing starts a call of the box to 1001 and returns its events and its end.
func (w *world) ringing(ctx context.Context, ringFor time.Duration) (events chan RingEvent, end chan error) {
	events, end = make(chan RingEvent, 4), make(chan error, 1)
	go func() {
		end <- w.agent.Ring(ctx, RingOrder{ID: "1", User: "u1001", Name: "911 ROOM 204", Number: "911", Prompt: EmergencyNotice, RingFor: ringFor}, func(e RingEvent) {
			if e != RingBegan {
				events <- e
			}
		})
	}()
	return events, end
}

func within[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(deadline):
		t.Fatalf("waiting for %s", what)
	}
	return v
}

// TestRing: two phones ring, one answers and hears the notice, a key ends it.
func TestRing(t *testing.T) {
	w := newWorld(t, nil)
	p1, p2 := w.phone("1001"), w.phone("1001")
	events, end := w.ringing(t.Context(), deadline)
	in1, in2 := p1.incoming(sip.INVITE), p2.incoming(sip.INVITE)
	if f := in1.Request().From(); f.DisplayName != "911 ROOM 204" || f.Address.User != "911" {
		t.Errorf("the phone shows %v", f)
	}
	in1.Reply(180, "Ringing")
	in2.Reply(180, "Ringing")
	p2.answer(in2, pcmu, ev8)
	p2.acked()
	if e := within(t, events, "taken"); e != RingTaken {
		t.Errorf("event %d", e)
	}
	p1.cancelled().Reply(487, "Request Terminated")
	s, legs := w.media.last()
	if legs[1].plays == nil || legs[1].plays[0] != EmergencyNotice {
		t.Errorf("the phone hears %v", legs[1].plays)
	}
	s.events <- MediaEvent{Leg: s.legs[1], Digit: '1'}
	if e := within(t, events, "acknowledged"); e != RingAcked {
		t.Errorf("event %d", e)
	}
	p2.bye()
	if err := within(t, end, "the end"); err != nil {
		t.Error(err)
	}
}

// TestRingEnds: nobody there, refused, nobody answers, hung up without a key, called off.
func TestRingEnds(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		w := newWorld(t, nil)
		_, end := w.ringing(t.Context(), deadline)
		if err := within(t, end, "the end"); !errors.Is(err, ErrNobodyThere) {
			t.Error(err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t, nil)
		p := w.phone("1001")
		_, end := w.ringing(t.Context(), deadline)
		p.incoming(sip.INVITE).Reply(486, "Busy Here")
		if err := within(t, end, "the end"); !errors.Is(err, ErrNotTaken) {
			t.Error(err)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		w := newWorld(t, nil)
		p := w.phone("1001")
		_, end := w.ringing(t.Context(), 50*time.Millisecond)
		in := p.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		if err := within(t, end, "the end"); !errors.Is(err, ErrNotTaken) {
			t.Error(err)
		}
		p.cancelled()
		p.answer(in, pcmu) // too late
		p.acked()
		p.bye()
	})
	t.Run("hung up", func(t *testing.T) {
		w := newWorld(t, nil)
		p := w.phone("1001")
		events, end := w.ringing(t.Context(), deadline)
		desk := p.answer(p.incoming(sip.INVITE), pcmu)
		p.acked()
		within(t, events, "taken")
		desk.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(488)
		desk.within(sip.BYE, nil).wait(200)
		if err := within(t, end, "the end"); err != nil {
			t.Error(err)
		}
	})
	t.Run("called off", func(t *testing.T) {
		w := newWorld(t, nil)
		p := w.phone("1001")
		ctx, cancel := context.WithCancel(t.Context())
		_, end := w.ringing(ctx, deadline)
		in := p.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := within(t, end, "the end"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.cancelled().Reply(487, "Request Terminated")
	})
}

func TestMessage(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.agent.Message(t.Context(), "u1001", nil, "help"); !errors.Is(err, ErrNobodyThere) {
		t.Error(err)
	}
	p := w.phone("1001")
	for _, status := range []int{200, 405} {
		got := make(chan int, 1)
		go func() {
			s, err := w.agent.Message(t.Context(), "u1001", nil, "911 ROOM 204")
			if err != nil {
				t.Error(err)
			}
			got <- s
		}()
		in := p.incoming(sip.MESSAGE)
		if string(in.Request().Body()) != "911 ROOM 204" {
			t.Errorf("text %q", in.Request().Body())
		}
		in.Reply(status, "Answer")
		if s := within(t, got, "the status"); s != status {
			t.Errorf("status %d, want %d", s, status)
		}
	}
}

// TestRingOutside: the box calls a number over a trunk by itself; a trunk that fails leaves it to the next.
func TestRingOutside(t *testing.T) {
	w := newWorld(t, nil)
	x1, x2 := w.sbc("sbc1"), w.sbc("sbc2")
	end, events := make(chan error, 1), make(chan RingEvent, 4)
	go func() {
		end <- w.agent.Ring(t.Context(), RingOrder{ID: "1", Outside: "+13125550199", Name: "CUT OFF 911 ROOM 204", Number: "+12175550100", Prompt: EmergencyNotice, RingFor: deadline},
			func(e RingEvent) { events <- e })
	}()
	x1.incoming(sip.INVITE).Reply(404, "Not Found")
	in := x2.incoming(sip.INVITE)
	if r := in.Request(); r.Recipient.User != "+13125550199" || r.From().Address.User != "+12175550100" || header(r, "p-asserted-identity") == "" {
		t.Errorf("INVITE\n%s", r)
	}
	x2.answer(in, pcmu)
	x2.acked()
	if e := within(t, events, "taken"); e != RingTaken {
		t.Errorf("event %d", e)
	}
	s, _ := w.media.last()
	s.events <- MediaEvent{Leg: s.legs[len(s.legs)-1], Digit: '1'}
	x2.bye()
	if err := within(t, end, "the end"); err != nil {
		t.Error(err)
	}
	w.trunks.mu.Lock()
	w.trunks.down["sbc1"], w.trunks.down["sbc2"] = true, true
	w.trunks.mu.Unlock()
	err := w.agent.Ring(t.Context(), RingOrder{ID: "2", Outside: "+13125550199", Prompt: EmergencyNotice, RingFor: deadline}, func(RingEvent) {})
	if !errors.Is(err, ErrNotTaken) {
		t.Errorf("without a trunk: %v", err)
	}
}

// TestRingFlooded: a phone that says without end that it rings does not hold up the end of a call of the box's own, nor its connection.
func TestRingFlooded(t *testing.T) {
	r := &ring{Call: &Call{inbox: make(chan any, 1), done: make(chan struct{})}}
	if !r.deliver(gotResponse{}) {
		t.Fatal("there was room")
	}
	told := make(chan bool)
	go func() { told <- r.deliver(gotResponse{}) }()
	for r.mu.TryLock() { // until it waits for room
		r.mu.Unlock()
		runtime.Gosched()
	}
	close(r.done)
	if within(t, told, "the connection") {
		t.Error("delivered to nobody")
	}
}
