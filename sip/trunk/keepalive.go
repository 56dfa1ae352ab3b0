package trunk

import (
	"fmt"
	"net"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// run probes the trunk at its interval until it is stopped, then closes the connection.
func (t *trunk) run() {
	defer t.hangUp()
	interval := time.Duration(t.cfg.OptionsInterval) * time.Second
	if interval <= 0 {
		interval = 10 * time.Second
	}
	for t.ctx.Err() == nil {
		t.probe(min(interval, t.set.o.Patience))
		t.pause(interval, min(interval, t.set.o.Retry))
	}
}

// pause waits until the next probe is due: at the interval, but soon while the trunk is down or in doubt, so that the
// routing hears of it and that it serves soon after it is back. A lost connection puts it in doubt.
func (t *trunk) pause(interval, retry time.Duration) {
	soon := time.NewTimer(retry)
	defer soon.Stop()
	late := time.NewTimer(interval)
	defer late.Stop()
	kick, due := t.kick, soon.C
	if t.sound() {
		due = nil
	}
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-late.C:
			return
		case <-due:
			return
		case <-kick: // at the earliest when soon has passed: an SBC that hangs up at once must not be dialled all the time
			kick, due = nil, soon.C
		}
	}
}

func (t *trunk) sound() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Up && t.misses == 0
}

// outcome of one OPTIONS. A refusal that means "not now" answers and is an error all the same.
type outcome struct {
	answered bool
	rtt      time.Duration
	err      error
}

// probe sends one OPTIONS and waits for its fate.
func (t *trunk) probe(patience time.Duration) {
	got := make(chan outcome, 4) // more than can come: a late one is dropped with it
	t.connect(nil, func(c *stack.Conn, err error) {
		if err != nil {
			got <- outcome{err: err}
			return
		}
		t.mu.Lock()
		t.asked = c
		t.mu.Unlock()
		t.ask(c, got)
	})
	if o := t.await(got, patience); t.ctx.Err() == nil {
		t.result(o)
	}
}

// ask sends an OPTIONS whose fate got is told, once.
func (t *trunk) ask(c *stack.Conn, got chan<- outcome) {
	sent := time.Now()
	_, err := c.Send(t.options(c), func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			got <- judge(res, time.Since(sent), err)
		}
	})
	if err != nil {
		got <- outcome{err: err}
	}
}

func (t *trunk) await(got <-chan outcome, patience time.Duration) outcome {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.ctx.Done():
		return outcome{err: t.ctx.Err()}
	case <-timer.C:
		return outcome{err: fmt.Errorf("no answer to OPTIONS in %v", patience)}
	case o := <-got:
		return o
	}
}

// judge: any final answer but 408 and 503 means alive.
func judge(res *sip.Response, rtt time.Duration, err error) outcome {
	if err == nil && (res.StatusCode == 408 || res.StatusCode == 503) {
		return outcome{answered: true, err: fmt.Errorf("OPTIONS answered %d", res.StatusCode)}
	}
	return outcome{err == nil, rtt, err}
}

// result moves the state: one answer takes a trunk up; a lost connection or two misses in a row take it down.
func (t *trunk) result(o outcome) {
	now := time.Now()
	t.mu.Lock()
	if open := t.conn != nil && !t.conn.Closed(); open && t.asked != t.conn && !o.answered {
		t.mu.Unlock() // another connection has come meanwhile: that one was silent says nothing of this one
		return
	}
	before := t.state.Up
	t.state.LastProbe = now
	var dead *stack.Conn
	if o.err == nil {
		t.misses = 0
		t.state.Up, t.state.Err, t.state.RTT = true, "", o.rtt
	} else {
		t.misses++
		t.state.Err = o.err.Error()
		lost := t.conn == nil || t.conn.Closed()
		if t.misses >= missesDown || lost {
			t.state.Up = false
			if !lost && !o.answered {
				// A connection that swallows OPTIONS is dead in a way that TCP has not noticed: start anew. One that refuses
				// them carries its calls to their end.
				dead = t.conn
			}
		}
	}
	if t.state.Up != before {
		t.state.Since = now
	}
	after := t.state
	t.mu.Unlock()
	if dead != nil {
		dead.Abort()
	}
	if after.Up != before {
		t.set.o.Log.Info("trunk state", "trunk", t.cfg.ID, "up", after.Up, "err", after.Err)
		if t.set.o.OnChange != nil {
			t.set.o.OnChange(after)
		}
	}
}

// options builds the keepalive; it names nothing inside.
func (t *trunk) options(c *stack.Conn) *sip.Request {
	host := t.cfg.Domain
	if host == "" {
		host, _, _ = net.SplitHostPort(t.cfg.Address)
	}
	self := c.Contact()
	req := sip.NewRequest(sip.OPTIONS, sip.Uri{Scheme: "sip", Host: host, UriParams: sip.HeaderParams{{K: "transport", V: "tls"}}})
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "holdfast", Host: self.Addr().String()}, Params: sip.NewParams()}
	from.Params.Add("tag", stack.NewTag())
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", Host: host}})
	id := sip.CallIDHeader(stack.NewCallID())
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	return req
}
