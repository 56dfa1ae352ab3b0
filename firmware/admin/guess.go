package admin

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Limits on guessing passwords: from one address some tries are free, then each wrong one doubles the wait. There is no
// limit on an account: who knows a name must not be able to lock its owner out.
const (
	freeGuesses  = 5
	firstWait    = 2 * time.Second
	longestWait  = 2 * time.Minute
	forgetAfter  = 15 * time.Minute
	mostGuessers = 4096
)

// A check costs 19 MiB and a good part of a second on a small board, beside the calls: one at a time, few waiting.
const (
	checksWaiting = 8
	checkWithin   = 5 * time.Second
)

var (
	errGuessing = errors.New("too many wrong passwords from this address")
	errBusy     = errors.New("too many people log in at this moment: try again in some seconds")
)

type guesser struct {
	wrong int
	last  time.Time
	until time.Time
}

// guesses is the memory of wrong passwords.
type guesses struct {
	now     func() time.Time
	waiting chan struct{}
	turn    chan struct{}
	mu      sync.Mutex
	by      map[netip.Addr]*guesser
}

func newGuesses(now func() time.Time) *guesses {
	return &guesses{now: now, waiting: make(chan struct{}, checksWaiting), turn: make(chan struct{}, 1), by: make(map[netip.Addr]*guesser)}
}

// try runs check when it is this address's turn. The time is how long to wait before the next try, with errGuessing.
func (g *guesses) try(ctx context.Context, from netip.Addr, check func() error) (time.Duration, error) {
	if wait := g.wait(from); wait > 0 {
		return wait, errGuessing
	}
	select {
	case g.waiting <- struct{}{}:
		defer func() { <-g.waiting }()
	default:
		return 0, errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return 0, errBusy
	}
	// Many tries may have waited together: what the first of them came to counts for the next.
	if wait := g.wait(from); wait > 0 {
		return wait, errGuessing
	}
	err := check()
	g.note(from, err == nil)
	return 0, err
}

func (g *guesses) wait(from netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.by[from]; x != nil {
		return x.until.Sub(g.now())
	}
	return 0
}

func (g *guesses) note(from netip.Addr, right bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if right {
		delete(g.by, from)
		return
	}
	now := g.now()
	x := g.by[from]
	if x == nil {
		g.makeRoom(now)
		x = &guesser{}
		g.by[from] = x
	}
	if now.Sub(x.last) > forgetAfter {
		x.wrong = 0
	}
	x.last = now
	if x.wrong++; x.wrong >= freeGuesses {
		x.until = now.Add(min(firstWait<<min(x.wrong-freeGuesses, 10), longestWait))
	}
}

// makeRoom forgets who has been quiet for long, else the one that has been quiet longest.
func (g *guesses) makeRoom(now time.Time) {
	if len(g.by) < mostGuessers {
		return
	}
	var oldest netip.Addr
	for a, x := range g.by {
		if now.Sub(x.last) > forgetAfter {
			delete(g.by, a)
		} else if o := g.by[oldest]; o == nil || x.last.Before(o.last) {
			oldest = a
		}
	}
	if len(g.by) >= mostGuessers {
		delete(g.by, oldest)
	}
}
