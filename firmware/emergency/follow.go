package emergency

import (
	"context"
	"slices"
	"time"
)

// Pauses between failed tries of a follower.
const (
	firstPause = time.Second
	mostPause  = time.Minute
)

// Follow hands every step to deliver, in order, with the record as it stood after that step, until ctx ends. A step is
// passed when deliver returns nil; after an error it comes again after a growing pause. Where each follower stands
// survives a kill of the program; a step whose delivery the kill cut off comes once more, so deliver goes by the call's
// ID and the step's number. name is one of Options.Followers, and may be followed once.
//
// A follower may hang as long as it likes: nobody else waits for it.
func (j *Journal) Follow(ctx context.Context, name string, deliver func(context.Context, Emergency, Step) error) error {
	wake, pause := j.Watch(), firstPause
	for {
		e, s, ok := j.next(name)
		if !ok {
			select {
			case <-wake:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		err := deliver(ctx, e, s)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			j.passed(name, e.ID, s.Seq)
			pause = firstPause
			continue
		}
		j.o.Log.Warn("a step of an emergency call is kept in RAM for now", "for", name, "call", e.ID, "step", string(s.Kind), "err", err, "again", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, mostPause)
	}
}

// next is the first step that a follower has not had.
func (j *Journal) next(name string) (Emergency, Step, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.records {
		for n := range e.Steps {
			if e.Steps[n].Seq > e.passed[name] {
				return fold(e.first, e.Steps[:n+1]), e.Steps[n], true
			}
		}
	}
	return Emergency{}, Step{}, false
}

func (j *Journal) passed(name, id string, seq int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.byID[id]; e != nil {
		j.pass(name, e, seq)
	}
}

func (j *Journal) pass(name string, e *entry, seq int) {
	e.passed[name] = seq
	if err := j.o.Snapshot.Put(followSection+name, e.ID, seq); err != nil {
		j.o.Log.Error("a step of an emergency call may be told twice after a crash", "for", name, "err", err)
	}
}

// Behind counts the steps that a follower has not had.
func (j *Journal) Behind(name string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.records {
		n += e.last().Seq - e.passed[name]
	}
	return n
}

// Adopt takes in records that the card has kept over a power cut, as the follower named onCard wrote them. What is in
// RAM already stays as it is. Only calls since are taken of which nobody knows yet that they ended, or that nobody has
// acknowledged: their call is over by now, and somebody has to be told. It returns how many there were.
func (j *Journal) Adopt(list []Emergency, onCard string, since time.Time) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range list {
		if j.byID[e.ID] != nil || e.At.Before(since) || !e.Open() && e.Noticed() {
			continue
		}
		x := j.insert(e)
		for _, s := range e.Steps {
			if err := j.o.Snapshot.Put(stepsSection, stepKey(e.ID, s.Seq), newLine(x.first, s)); err != nil {
				j.o.Log.Error("a record from the card is not in the snapshot", "err", err)
			}
		}
		j.pass(onCard, x, x.last().Seq)
		j.put(x, Step{Kind: Restart, Text: "the box lost its power"})
		if x.Open() {
			j.put(x, Step{Kind: Ended, Text: "power lost", How: "box"})
		}
		n++
	}
	slices.SortStableFunc(j.records, func(a, b *entry) int { return a.At.Compare(b.At) })
	return n
}

func (j *Journal) put(e *entry, s Step) {
	if err := j.write(e, s); err != nil {
		j.o.Log.Error("a step of an emergency call", "call", e.ID, "err", err)
	}
}
