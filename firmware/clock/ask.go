package clock

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/beevik/ntp"
)

// answerWithin bounds one question, name resolution included.
const answerWithin = 3 * time.Second

// Answer is what a server says.
type Answer struct {
	Server string
	Offset time.Duration // what the clock is behind
	Within time.Duration // how far that may be off
}

// Ask is one question by SNTP; port 123 unless the server names another.
func Ask(ctx context.Context, server string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: answerWithin, Dialer: func(_, remote string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", remote)
	}})
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return Answer{}, fmt.Errorf("time server %s: %w", server, err)
	}
	return Answer{server, r.ClockOffset, r.RTT/2 + r.RootDistance}, nil
}

// asker asks one server.
type asker func(ctx context.Context, server string) (Answer, error)

// all asks servers at the same time.
func (ask asker) all(ctx context.Context, servers []string) (answers []Answer, errs []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, s := range servers {
		wg.Go(func() {
			a, err := ask(ctx, s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else {
				answers = append(answers, a)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(answers, func(a, b Answer) int { return cmp.Compare(a.Offset, b.Offset) })
	return answers, errs
}

// near is how far honest servers may be apart, besides what they admit.
const near = 500 * time.Millisecond

// agree finds the largest group of answers that lie together and takes its middle; votes is how many they are. Of two groups
// of one size none is better than the other, and the first asked could lie: then votes is 0.
func agree(answers []Answer) (best Answer, votes int) {
	tie := false
	var group []Answer
	for i, low := range answers { // sorted
		var g []Answer
		for _, a := range answers[i:] {
			if a.Offset-low.Offset <= near+low.Within+a.Within {
				g = append(g, a)
			}
		}
		switch {
		case len(g) > len(group):
			group, tie = g, false
		case len(g) == len(group) && g[0].Offset-group[len(group)-1].Offset > near+g[0].Within+group[len(group)-1].Within:
			tie = true
		}
	}
	if len(group) == 0 || tie {
		return Answer{}, 0
	}
	return group[len(group)/2], len(group)
}
