package clock

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Rhythm and limits.
const (
	retryFirst = 2 * time.Second  // without an answer; doubled up to retryMost
	again      = 10 * time.Second // when a large step needs confirming
	retryMost  = 5 * time.Minute
	pollEvery  = 15 * time.Minute
	slewMost   = 200 * time.Millisecond // more is set at once
	largeStep  = 10 * time.Minute       // once the time is known, so much needs confirming,
	confirm    = 3                      // by so many polls in a row; so many make one server's time agreed, too
	oldAfter   = 6 * time.Hour          // without an answer
)

// StateName is the state's file in the helper's own run folder.
const StateName = "clock.json"

// State is what is known of the time.
type State struct {
	Known  bool      `json:"known"` // a server said it since the start
	Last   time.Time `json:"last,omitzero"`
	Source string    `json:"source,omitempty"`
	Agreed bool      `json:"agreed"`    // by two servers at once, or by several polls in a row
	Offset float64   `json:"offset_ms"` // at the last answer
	Floor  bool      `json:"floor"`     // the clock was behind the last known time at the start
	Error  string    `json:"error,omitempty"`
}

// Alarms are what a person should look at, in words.
func (s State) Alarms(now time.Time) []string {
	why := ""
	if s.Error != "" {
		why = ": " + s.Error
	}
	switch {
	case !s.Known && s.Floor:
		return []string{"the time is only what was known before the power cut; certificates are checked by it" + why}
	case !s.Known:
		return []string{"no time server has answered yet" + why}
	case now.Sub(s.Last) > oldAfter:
		return []string{fmt.Sprintf("no time server has answered since %s%s", s.Last.UTC().Format("2006-01-02 15:04 UTC"), why)}
	}
	return nil
}

// Sure reports whether the machine's time is more than one unsigned answer, and not too old.
func (s State) Sure(now time.Time) bool {
	return s.Known && s.Agreed && s.Error == "" && now.Sub(s.Last).Abs() < oldAfter
}

// ReadState reads what the helper wrote into dir.
func ReadState(dir string) (s State, err error) {
	data, err := os.ReadFile(filepath.Join(dir, StateName))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("clock state: %w", err)
	}
	return s, nil
}

// Options of a Keeper.
type Options struct {
	Servers []string  // asked first
	Gateway string    // asked when none of them answers; "" for none
	Built   time.Time // of the program
	Raised  bool      // the clock had to be set to the floor
	Dir     string    // where the state is written
	Log     *slog.Logger
	Ask     func(ctx context.Context, server string) (Answer, error) // nil: SNTP
	Now     func() time.Time                                         // nil: time.Now
	Set     Setter                                                   // nil: the machine's clock
	OnStep  func()                                                   // told when the clock was set; nil: nobody
}

// Keeper keeps the clock right.
type Keeper struct {
	o     Options
	ask   asker
	state State
	seen  []time.Duration // offsets of polls in a row that ask for the same large step
	polls int             // in a row that said the same time

	mu      sync.Mutex
	servers []string
	gateway string
	wake    chan struct{}
}

// New makes a Keeper; nothing is asked before Run.
func New(o Options) *Keeper {
	if o.Ask == nil {
		o.Ask = Ask
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Set == nil {
		o.Set = Machine{}
	}
	return &Keeper{o: o, ask: o.Ask, servers: o.Servers, gateway: o.Gateway, wake: make(chan struct{}, 1), state: State{Floor: o.Raised}}
}

// Update changes whom to ask, and asks.
func (k *Keeper) Update(servers []string, gateway string) {
	k.mu.Lock()
	k.servers, k.gateway = servers, gateway
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	retry := retryFirst
	for {
		ok := k.poll(ctx)
		k.tell()
		wait := pollEvery
		if len(k.seen) > 0 {
			wait = again
		} else if !ok {
			wait, retry = retry, min(2*retry, retryMost)
		}
		if ok {
			retry = retryFirst
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
			retry = retryFirst
		case <-time.After(wait):
		}
	}
}

// poll asks once and reports whether the time is known by it.
func (k *Keeper) poll(ctx context.Context) bool {
	k.mu.Lock()
	servers, gateway := k.servers, k.gateway
	k.mu.Unlock()
	answers, errs := k.ask.all(ctx, servers)
	if len(answers) == 0 && gateway != "" {
		more, e := k.ask.all(ctx, []string{gateway})
		answers, errs = more, append(errs, e...)
	}
	if ctx.Err() != nil {
		return false
	}
	if len(answers) == 0 {
		why := make([]string, len(errs))
		for i, e := range errs {
			why[i] = e.Error()
		}
		if len(why) == 0 {
			why = []string{"no time server is configured, and no gateway"}
		}
		return k.refuse(strings.Join(why, "; "))
	}
	a, votes := agree(answers)
	if votes == 0 {
		return k.refuse("the time servers contradict each other")
	}
	now := k.o.Now()
	to := now.Add(a.Offset)
	switch {
	case to.Before(k.o.Built):
		return k.refuse(fmt.Sprintf("time server %s says %s, which is before this program was built", a.Server, to.UTC().Format(time.DateOnly)))
	case to.After(k.o.Built.Add(lifetime)):
		return k.refuse(fmt.Sprintf("time server %s says %s, which is too late to be true", a.Server, to.UTC().Format(time.DateOnly)))
	}
	large := k.state.Known && a.Offset.Abs() > largeStep
	if large && votes < 2 && !k.confirmed(a.Offset) {
		return k.refuse(fmt.Sprintf("time server %s wants to move the clock by %s: asking again", a.Server, a.Offset.Round(time.Second)))
	}
	k.seen = nil
	if err := k.move(now, a); err != nil {
		return k.refuse("the clock cannot be set: " + err.Error())
	}
	if !k.state.Known || k.state.Error != "" {
		k.o.Log.Info("clock: the time is known", "server", a.Server, "offset", a.Offset.String(), "servers", votes)
	}
	if k.polls++; a.Offset.Abs() > aLittle {
		k.polls = 1
	}
	if votes >= 2 || large {
		k.polls = confirm
	}
	k.state = State{Known: true, Agreed: k.polls >= confirm, Last: now.Add(a.Offset), Source: a.Server, Offset: float64(a.Offset.Microseconds()) / 1000}
	return true
}

// confirmed notes a poll that wants a large step, and reports whether enough in a row wanted the same.
func (k *Keeper) confirmed(offset time.Duration) bool {
	if n := len(k.seen); n > 0 && (k.seen[n-1]-offset).Abs() > time.Second {
		k.seen = nil
	}
	k.seen = append(k.seen, offset)
	return len(k.seen) >= confirm
}

func (k *Keeper) move(now time.Time, a Answer) error {
	if a.Offset.Abs() <= slewMost {
		return k.o.Set.Slew(a.Offset)
	}
	k.o.Log.Warn("clock: set", "from", now.UTC(), "by", a.Offset.String(), "server", a.Server)
	err := k.o.Set.Step(now.Add(a.Offset))
	if err == nil && k.o.OnStep != nil {
		k.o.OnStep()
	}
	return err
}

func (k *Keeper) refuse(why string) bool {
	if why != k.state.Error {
		k.o.Log.Warn("clock: " + why)
	}
	k.state.Error, k.polls = why, 0
	return false
}

func (k *Keeper) tell() {
	data, err := json.Marshal(k.state)
	if err == nil {
		path := filepath.Join(k.o.Dir, StateName)
		if err = os.WriteFile(path+".new", append(data, '\n'), 0o644); err == nil {
			err = os.Rename(path+".new", path)
		}
	}
	if err != nil {
		k.o.Log.Error("clock: the state cannot be written", "err", err)
	}
}
