package box

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
)

// codecs knows which phones have no G.711: what they answer to OPTIONS once they have registered, and what they offer in
// calls. Who dials 911 on one may not be understood, and that is to be known before.
type codecs struct {
	b     *Box
	queue chan string // users whose phones are to be asked

	mu    sync.Mutex
	asked map[phoneKey]registrar.Flow // the connection that was asked last
	lacks map[phoneKey]string         // phones without G.711: whose, for people
}

type phoneKey struct{ user, phone string } // instance, or contact of a phone without

const (
	askEvery  = 20 * time.Millisecond // a rush of phones is asked one after the other
	askFor    = 5 * time.Second
	asksWait  = 4096
	askedMost = 20000
	lacksMost = 1000
	lacksShow = 5
)

func newCodecs(b *Box) *codecs {
	return &codecs{b: b, queue: make(chan string, asksWait), asked: make(map[phoneKey]registrar.Flow), lacks: make(map[phoneKey]string)}
}

// registered has a user's phones asked; one that finds no room in the queue is asked at its next refresh.
func (c *codecs) registered(user string) {
	select {
	case c.queue <- user:
	default:
	}
}

// run asks until ctx ends.
func (c *codecs) run(ctx context.Context) error {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var asks sync.WaitGroup
	defer asks.Wait()
	for {
		select {
		case user := <-c.queue:
			for _, b := range c.b.registrar.Bindings(time.Now(), user) {
				if c.news(user, b) {
					asks.Go(func() { c.ask(ctx, user, b) })
				}
			}
		case <-ctx.Done():
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func keyOf(user string, b registrar.Binding) phoneKey {
	if b.Instance != "" {
		return phoneKey{user, b.Instance}
	}
	return phoneKey{user, b.URI}
}

// news reports whether the phone has not been asked on this connection.
func (c *codecs) news(user string, b registrar.Binding) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := keyOf(user, b)
	if b.Flow == 0 || c.asked[k] == b.Flow {
		return false
	}
	if len(c.asked) >= askedMost {
		clear(c.asked)
	}
	c.asked[k] = b.Flow
	return true
}

func (c *codecs) ask(ctx context.Context, user string, b registrar.Binding) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	has, known := c.b.calls.HasG711(ctx, user, b)
	if u, ok := c.b.site.Load().UserByID(user); ok && known {
		c.note(u, keyOf(user, b), has)
	}
}

// heard takes what a phone has offered in a call.
func (c *codecs) heard(u *site.User, instance string, g711 bool) {
	if instance != "" {
		c.note(u, phoneKey{u.ID, instance}, g711)
	}
}

func (c *codecs) note(u *site.User, k phoneKey, has bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if has {
		delete(c.lacks, k)
		return
	}
	if _, known := c.lacks[k]; !known && len(c.lacks) < lacksMost {
		c.lacks[k] = fmt.Sprintf("%s (%s)", u.Name, u.Extension)
		c.b.log.Warn("a phone has no G.711: a PSAP may not understand who calls on it", "aor", u.ID, "phone", k.phone)
	}
}

// alarms names the phones that are here.
func (c *codecs) alarms(now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var who []string
	for k, name := range c.lacks {
		if slices.ContainsFunc(c.b.registrar.Bindings(now, k.user), func(b registrar.Binding) bool { return keyOf(k.user, b) == k }) {
			who = append(who, name)
		} else {
			delete(c.lacks, k)
			delete(c.asked, k)
		}
	}
	if len(who) == 0 {
		return nil
	}
	slices.Sort(who)
	who = slices.Compact(who)
	more := ""
	if n := len(who) - lacksShow; n > 0 {
		who, more = who[:lacksShow], fmt.Sprintf(" and %d more", n)
	}
	return []string{"no G.711 on the phone of " + strings.Join(who, ", ") + more + ": a PSAP may not understand them; allow PCMU or PCMA in its settings"}
}
