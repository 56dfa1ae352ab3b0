package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/lab/raw"
)

const callTime = time.Second // between answer and hang-up

func offer(local netip.Addr) []byte {
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"+
		"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\na=sendrecv\r\n", local)
}

// answer takes the first suite of the offer, which is ours.
func answer(local netip.Addr, to []byte) []byte {
	tag := "1"
	if _, rest, ok := strings.Cut(string(to), "a=crypto:"); ok {
		tag, _, _ = strings.Cut(rest, " ")
	}
	return []byte(strings.Replace(string(offer(local)), "a=crypto:1 ", "a=crypto:"+tag+" ", 1))
}

// call rings another phone, talks and hangs up; it returns how long it took from the INVITE to the answer.
func (p *phone) call(ctx context.Context, to string) (setup time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	peer := p.conn()
	if peer == nil {
		return 0, errLost
	}
	uri := "sip:" + to + "@" + p.server.domain
	d := raw.NewDialog(peer, "sip:"+p.user+"@"+p.server.domain, uri)
	ch := p.wait(d.CallID)
	defer p.done(d.CallID)
	began := time.Now()
	body := offer(p.local)
	var res *raw.Message
	for lines := []string(nil); ; {
		if err := peer.Write(d.Request("INVITE", body, lines...)); err != nil {
			return 0, err
		}
		if res, err = final(ctx, ch, d.Seq); err != nil {
			return 0, err
		}
		if s := res.Status(); (s == 401 || s == 407) && lines == nil {
			peer.Write(d.Ack(res, nil))
			lines = []string{raw.Authorization(res, "INVITE", uri, p.user, p.server.password, "MD5")}
			continue
		}
		break
	}
	setup = time.Since(began)
	if res.Status() != 200 {
		peer.Write(d.Ack(res, nil))
		return setup, errors.New("INVITE: " + res.Start)
	}
	d.Confirm(res)
	peer.Write(d.Ack(res, nil))
	time.Sleep(callTime)
	if err := peer.Write(d.Request("BYE", nil)); err != nil {
		return setup, err
	}
	if res, err = final(ctx, ch, d.Seq); err == nil && res.Status() != 200 {
		err = errors.New("BYE: " + res.Start)
	}
	return setup, err
}

// calls are the figures of calls at one rate.
type calls struct {
	Rate, Done, Failed int
	P50, P99           time.Duration // of the setup
	Why                string        // one failure
}

// call makes calls at a rate, each between two phones that are in no other.
func (c *crowd) call(ctx context.Context, rate int, for_ time.Duration) calls {
	n := int(float64(rate) * for_.Seconds())
	out := calls{Rate: rate}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var times []time.Duration
	began := time.Now()
	half := len(c.phones) / 2
	for i := range n {
		at := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(at))
		wg.Go(func() {
			setup, err := c.phones[i%half].call(ctx, c.phones[half+i%half].user)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out.Failed++
				out.Why = err.Error()
				return
			}
			out.Done++
			times = append(times, setup)
		})
	}
	wg.Wait()
	slices.Sort(times)
	if len(times) > 0 {
		out.P50, out.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return out
}
