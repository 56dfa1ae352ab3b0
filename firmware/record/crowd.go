package record

import (
	"sync"
	"time"
)

// One phone that has gone wild makes a hundred calls a second that are refused, and in minutes their records would push all
// others off the card. So of a caller's refused calls the first of each minute have a line of their own, and the others one line
// for every way in which they ended, with their number. Calls for help, and what was answered, always have their own.

const (
	inFull   = 10              // of one caller in a minute
	together = 30              // ways that one caller's may end in a minute; beyond that they count as one
	crowds   = 4096            // callers of a minute, and lines that wait for its end
	minute   = time.Minute     // by the calls' own time
	lookAt   = 5 * time.Second // how often a minute's end is looked for
)

// crowd holds back what comes in crowds. Its zero value is ready.
type crowd struct {
	mu    sync.Mutex
	began time.Time // the minute
	seen  map[string]*caller
	lines int
}

type caller struct {
	calls int
	sums  map[ending]*Call
}

type ending struct {
	status int
	cause  string
}

// take gives back what is to be written now: the call, unless it waits for others, and those that have waited.
func (d *crowd) take(c Call) []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.turn(c.End)
	if c.Emergency || c.Status < 300 || c.Direction == Inbound || c.Direction == Through {
		return append(out, c)
	}
	who := d.seen[c.From]
	if who == nil {
		if len(d.seen) == crowds {
			return append(out, c)
		}
		who = &caller{}
		d.seen[c.From] = who
	}
	if who.calls++; who.calls <= inFull {
		return append(out, c)
	}
	e := ending{c.Status, c.EndCause}
	if who.sums[e] == nil && len(who.sums) >= together {
		e = ending{} // of all others
	}
	sum := who.sums[e]
	if sum == nil {
		if d.lines == crowds {
			return append(out, c)
		}
		d.lines++
		if who.sums == nil {
			who.sums = make(map[ending]*Call)
		}
		sum = &Call{Start: c.Start}
		who.sums[e] = sum
	}
	start, n := sum.Start, sum.Count+1
	*sum = c
	sum.Start, sum.Count, sum.Legs = start, n, nil
	return out
}

// turn begins a new minute if now is in another one, and gives back what has waited for that.
func (d *crowd) turn(now time.Time) (out []Call) {
	if now = now.Truncate(minute); now.Equal(d.began) && d.seen != nil {
		return nil
	}
	for _, who := range d.seen {
		for _, sum := range who.sums {
			out = append(out, *sum)
		}
	}
	d.began, d.seen, d.lines = now, make(map[string]*caller), 0
	return out
}

// over is what has waited for a minute that is over at now.
func (d *crowd) over(now time.Time) []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.turn(now)
}
