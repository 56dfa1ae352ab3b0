package trunk

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// run probes the trunk at its interval until ctx ends, then closes the connection.
func (t *trunk) run(ctx context.Context) {
	interval := time.Duration(t.cfg.OptionsInterval) * time.Second
	if interval <= 0 {
		interval = 10 * time.Second
	}
	for ctx.Err() == nil {
		t.probe(ctx, min(interval, 4*time.Second))
		wait := interval
		if !t.up() {
			wait = min(interval, 2*time.Second) // a dead trunk is asked more often, so that it serves soon after it is back
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (t *trunk) up() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Up
}

// probe sends one OPTIONS and waits for its fate. Any final answer but 408 and 503 means alive.
func (t *trunk) probe(ctx context.Context, deadline time.Duration) {
	type result struct {
		res *sip.Response
		err error
	}
	got := make(chan result, 4)
	began := time.Now()
	t.connect(func(c *stack.Conn, err error) {
		if err == nil {
			_, err = c.Send(t.options(c), func(res *sip.Response, err error) {
				if err != nil || res.StatusCode >= 200 {
					select {
					case got <- result{res, err}:
					default:
					}
				}
			})
		}
		if err != nil {
			got <- result{nil, err}
		}
	})
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	var r result
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		r.err = fmt.Errorf("no answer to OPTIONS in %v", deadline)
	case r = <-got:
	}
	if r.err == nil && (r.res.StatusCode == 408 || r.res.StatusCode == 503) {
		r.err = fmt.Errorf("OPTIONS answered %d", r.res.StatusCode)
	}
	t.result(began, r.err)
}

// result moves the state: one answer takes a trunk up; a lost connection or two misses in a row take it down.
func (t *trunk) result(began time.Time, err error) {
	now := time.Now()
	t.mu.Lock()
	before := t.state
	t.state.LastProbe = now
	if err == nil {
		t.misses = 0
		t.state.Up, t.state.Err, t.state.RTT = true, "", now.Sub(began)
	} else {
		t.misses++
		t.state.Err = err.Error()
		dead := t.conn == nil || t.conn.Closed()
		if t.misses >= missesDown || dead {
			t.state.Up = false
			if t.conn != nil && !dead {
				// A connection that swallows OPTIONS is dead in a way that TCP has not noticed: start anew.
				go t.conn.Close()
			}
		}
	}
	if t.state.Up != before.Up {
		t.state.Since = now
	}
	after := t.state
	t.mu.Unlock()
	if after.Up != before.Up {
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
