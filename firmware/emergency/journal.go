package emergency

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/snapshot"
)

// Bounds. Callers need no password, so all that they can make grow has a limit.
const (
	maxText  = 256 // bytes of a text
	maxSteps = 256 // of a call; those that decide (see weighty) find room in as many more
	maxKept  = 512 // records in RAM; twice as many where followers are behind
)

// DefaultKeep is how long a record stays in RAM after its last step: longer than a PSAP may call back.
const DefaultKeep = 3 * time.Hour

// Errors that callers meet.
var (
	ErrUnknown      = errors.New("emergency: no such call")
	ErrKnown        = errors.New("emergency: this call is there already")
	ErrAcknowledged = errors.New("emergency: acknowledged already")
)

// Sections of the snapshot: steps under call and number, and how far each follower has come under the call.
const (
	stepsSection  = "emergency"
	followSection = "emergency-" // and the follower's name
)

// Options of a Journal.
type Options struct {
	Snapshot  *snapshot.File
	Followers []string // who must have had a record before it is forgotten
	Keep      time.Duration
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Journal holds the records of the calls of the last hours. Its methods are safe for concurrent use; none waits for
// anything but RAM, except Follow.
type Journal struct {
	o Options

	mu      sync.Mutex
	records []*entry // in the order in which they began
	byID    map[string]*entry
	wake    []chan struct{}
	dropped uint64
}

type entry struct {
	Emergency
	first  Facts          // as they were when it began
	passed map[string]int // by follower: the number of the last step that it has had
}

// New reads what the program's last life left in the snapshot.
func New(o Options) (*Journal, error) {
	if o.Snapshot == nil {
		return nil, errors.New("emergency: no snapshot file")
	}
	o.Keep = cmp.Or(o.Keep, DefaultKeep)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Journal{o: o, byID: make(map[string]*entry)}
	lines, unfit := snapshot.Load[line](o.Snapshot, stepsSection)
	all := make([]line, 0, len(lines))
	for _, l := range lines {
		all = append(all, l)
	}
	for _, e := range assemble(all) {
		j.insert(e)
	}
	if unfit > 0 {
		o.Log.Error("steps of emergency calls are not readable", "steps", unfit)
	}
	for _, name := range o.Followers {
		passed, _ := snapshot.Load[int](o.Snapshot, followSection+name)
		for id, n := range passed {
			if e := j.byID[id]; e != nil {
				e.passed[name] = n
			}
		}
	}
	return j, nil
}

func (j *Journal) insert(e Emergency) *entry {
	x := &entry{e, e.Facts, make(map[string]int)}
	j.byID[e.ID] = x
	j.records = append(j.records, x)
	return x
}

// Begin notes that a call is an emergency call. When it returns the record survives a kill of the program. It also does
// its work where it returns an error other than ErrKnown, and the call must go on in any case.
func (j *Journal) Begin(f Facts) error {
	f.clip()
	if f.ID == "" {
		return fmt.Errorf("%w: it has no ID", ErrUnknown)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.byID[f.ID] != nil {
		return ErrKnown
	}
	if f.At.IsZero() {
		f.At = j.o.Now()
	}
	j.makeRoom()
	e := j.insert(Emergency{Facts: f})
	return j.write(e, Step{At: f.At, Kind: Recognised})
}

// Add notes the next step of a call; its Seq is filled in, and its At where that is zero.
func (j *Journal) Add(id string, s Step) error {
	s.clip()
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.byID[id]
	switch {
	case e == nil:
		return fmt.Errorf("%w: %s", ErrUnknown, plain(id, 64))
	case s.Kind == Acknowledged && e.Emergency.Acknowledged != nil:
		return ErrAcknowledged
	case len(e.Steps) >= maxSteps && (!weighty(s.Kind) || len(e.Steps) >= 2*maxSteps):
		j.dropped++
		return nil
	}
	return j.write(e, s)
}

// weighty steps decide what becomes of a call or its notice.
func weighty(k Kind) bool { return k == Answered || k == Ended || k == Acknowledged || k == NoticeOver }

// Acknowledge notes that somebody took note of a call. The first wins: for those after it the error is ErrAcknowledged,
// and Get tells who it was.
func (j *Journal) Acknowledge(id, by, how string) error {
	return j.Add(id, Step{Kind: Acknowledged, Who: by, How: how})
}

// write puts a step into the snapshot, then into the record. Memory is right even where the snapshot fails.
func (j *Journal) write(e *entry, s Step) error {
	if s.Seq = 1; len(e.Steps) > 0 {
		s.Seq = e.last().Seq + 1
	}
	if s.At.IsZero() {
		s.At = j.o.Now()
	}
	s.At = s.At.UTC().Round(0) // as it comes back after a restart
	if s.Kind == Recognised {
		e.At, e.first.At = s.At, s.At
	}
	err := j.o.Snapshot.Put(stepsSection, stepKey(e.ID, s.Seq), newLine(e.first, s))
	e.apply(s)
	for _, w := range j.wake {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	if err != nil {
		return fmt.Errorf("emergency: a crash would lose this step: %w", err)
	}
	return nil
}

func stepKey(id string, seq int) string { return fmt.Sprintf("%s %06d", id, seq) }

// Watch returns a channel that gets a value after something new was noted. One value may stand for several steps.
func (j *Journal) Watch() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := make(chan struct{}, 1)
	w <- struct{}{} // what was there before is new to who comes now
	j.wake = append(j.wake, w)
	return w
}

// Get is one record.
func (j *Journal) Get(id string) (Emergency, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e := j.byID[id]; e != nil {
		return e.copy(), true
	}
	return Emergency{}, false
}

// All is what is kept in RAM, the oldest first.
func (j *Journal) All() []Emergency { return j.choose(func(*entry) bool { return true }) }

// Open is every call that runs: after a restart, those that the program's last life left behind.
func (j *Journal) Open() []Emergency { return j.choose(func(e *entry) bool { return e.Open() }) }

// Unnoticed is every call of which somebody still has to be told.
func (j *Journal) Unnoticed() []Emergency {
	return j.choose(func(e *entry) bool { return !e.Noticed() })
}

// Dropped counts steps that found no room in their record.
func (j *Journal) Dropped() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dropped
}

func (j *Journal) choose(want func(*entry) bool) (out []Emergency) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.records {
		if want(e) {
			out = append(out, e.copy())
		}
	}
	return out
}

func (e *entry) copy() Emergency {
	c := e.Emergency
	c.Steps = slices.Clone(e.Steps)
	return c
}

// Tidy forgets records that are over, known to all followers and older than Options.Keep.
func (j *Journal) Tidy() {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.o.Now()
	j.drop(func(e *entry) bool {
		return !e.Open() && e.Noticed() && j.told(e) && now.Sub(e.last().At) > j.o.Keep
	}, len(j.records))
}

// makeRoom lets the oldest go when there are too many, tests first. A call that runs is never forgotten, one that nobody
// has acknowledged or that a follower has not had only where a thousand wait.
func (j *Journal) makeRoom() {
	for _, may := range []func(*entry) bool{
		func(e *entry) bool { return e.Test && !e.Open() && j.told(e) },
		func(e *entry) bool { return !e.Open() && e.Noticed() && j.told(e) },
	} {
		j.drop(may, len(j.records)-maxKept+1)
	}
	for _, may := range []func(*entry) bool{
		func(e *entry) bool { return e.Test && !e.Open() },
		func(e *entry) bool { return !e.Open() && e.Noticed() },
		func(e *entry) bool { return !e.Open() },
	} {
		j.drop(may, len(j.records)-2*maxKept+1)
	}
}

// drop forgets the oldest of those that may go, n at most.
func (j *Journal) drop(may func(*entry) bool, n int) {
	j.records = slices.DeleteFunc(j.records, func(e *entry) bool {
		if n <= 0 || !may(e) {
			return false
		}
		n--
		delete(j.byID, e.ID)
		for _, s := range e.Steps {
			j.erase(stepsSection, stepKey(e.ID, s.Seq))
		}
		for _, name := range j.o.Followers {
			j.erase(followSection+name, e.ID)
		}
		return true
	})
}

func (j *Journal) erase(section, key string) {
	if err := j.o.Snapshot.Delete(section, key); err != nil {
		j.o.Log.Error("a record of an old emergency call stays in the snapshot", "err", err)
	}
}

func (e *entry) last() Step { return e.Steps[len(e.Steps)-1] }

// told reports whether every follower has had every step.
func (j *Journal) told(e *entry) bool {
	for _, name := range j.o.Followers {
		if e.passed[name] < e.last().Seq {
			return false
		}
	}
	return true
}

func (f *Facts) clip() {
	c := &f.Caller
	for _, s := range []*string{&f.ID, &f.Dialled, &f.Number, &f.Place, &f.Address, &c.User, &c.Name, &c.Number, &c.Device, &c.Source, &c.Display, &c.Phone.Instance, &c.Phone.Contact} {
		*s = clip(*s)
	}
}

func (s *Step) clip() {
	for _, t := range []*string{&s.Trunk, &s.ELIN, &s.Address, &s.Who, &s.How, &s.Text} {
		*t = clip(*t)
	}
}

// clip copies a text, which may be cut out of a whole message, and bounds it.
func clip(s string) string {
	return strings.ToValidUTF8(strings.Clone(s[:min(len(s), maxText)]), "")
}
