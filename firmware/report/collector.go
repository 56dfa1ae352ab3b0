package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/outbox"
	"holdfast/firmware/record"
	"holdfast/sip/site"
)

// Outbox is the durable queue (firmware/outbox).
type Outbox interface {
	Append(ctx context.Context, kind string, payload []byte) (outbox.ID, error)
}

// Options of a Collector. The functions must be quick; Emergencies may read the card.
type Options struct {
	Dir         string // on the card
	Box         string
	Version     string
	Site        func() *site.Site
	Scene       func() Scene // how the box stands now
	Emergencies func() ([]emergency.Emergency, error)
	Outbox      Outbox        // nil: reports stay here
	Keep        int           // reports on the card (50)
	Settle      time.Duration // after a restart: how long the cloud must be there before an open incident is over (60 s)
	Log         *slog.Logger
}

// Collector takes what happens and makes reports of it. Its methods are safe for concurrent use and never wait for the card.
type Collector struct {
	o     Options
	log   *slog.Logger
	store store
	wake  chan struct{}

	mu     sync.Mutex
	open   *incident   // the one that runs; nil: none
	over   []*incident // whose report is not safe yet
	early  []event     // what came just before the change of mode was told
	settle time.Time   // when an incident from before a restart is over; zero: nothing of the kind
	made   uint64      // reports since New
	fault  string      // why the last try to keep a report failed; "" when it went well
}

// The changes of mode are told a moment after they took effect: what came meanwhile is kept for so long, and so much of it.
const (
	earlyFor  = 10 * time.Second
	earlyMost = 10_000
)

// New makes a Collector and reads what a restart has interrupted. A card that cannot be read costs reports only.
func New(o Options) (*Collector, error) {
	if o.Dir == "" || o.Site == nil || o.Scene == nil || o.Emergencies == nil {
		return nil, errors.New("report: no folder, site, scene or emergencies")
	}
	if o.Keep == 0 {
		o.Keep = 50
	}
	if o.Settle == 0 {
		o.Settle = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Collector{o: o, log: o.Log, store: store{dir: o.Dir, keep: o.Keep}, wake: make(chan struct{}, 1)}
	journals, err := filepath.Glob(filepath.Join(o.Dir, "*"+journalSuffix))
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	slices.Sort(journals)
	for _, path := range journals {
		id := strings.TrimSuffix(filepath.Base(path), journalSuffix)
		if _, err := time.Parse(idFormat, id); err != nil {
			continue
		}
		events, err := readJournal(path)
		if err != nil {
			c.log.Error("an incident's journal is damaged", "incident", id, "err", err)
		}
		if len(events) == 0 {
			os.Remove(path)
			continue
		}
		i := resumed(id, events)
		if i.over() {
			c.over = append(c.over, i)
			continue
		}
		if c.open != nil { // two that run: the older one was given up
			c.open.add(event{At: i.events[0].At, Close: true})
			c.over = append(c.over, c.open)
		}
		c.open = i
	}
	return c, nil
}

// Begin says in which mode the box begins its life; to be called once, before Run. In resilience an incident goes on, or
// one begins whose beginning is not known.
func (c *Collector) Begin(m mode.Mode, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open != nil:
		c.open.add(event{At: now, Restart: true})
		if m == mode.Normal {
			c.settle = now.Add(c.o.Settle)
		}
	case m != mode.Normal:
		scene := c.o.Scene()
		c.open = newIncident(now)
		c.open.add(event{At: now, Restart: true})
		c.open.add(event{At: now, Change: &record.Change{At: now, From: mode.Normal, To: m, Cause: "began anew in an outage", Evidence: []record.Evidence{}}, Scene: &scene})
	}
	c.rouse()
}

// Change takes a change of mode.
func (c *Collector) Change(t record.Change) {
	scene := c.o.Scene()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := event{At: t.At, Change: &t, Scene: &scene}
	if c.open == nil {
		if t.To == mode.Normal {
			return // from nowhere to nowhere
		}
		c.open = newIncident(t.At)
		c.open.add(e)
		for _, x := range c.early {
			if !x.At.Before(t.At) {
				c.open.add(x)
			}
		}
	} else {
		c.open.add(e)
	}
	c.early, c.settle = nil, time.Time{}
	if t.To == mode.Normal {
		c.finish()
	}
	c.rouse()
}

// finish puts the open incident to those that are over. The caller holds mu.
func (c *Collector) finish() {
	c.over = append(c.over, c.open)
	c.open = nil
}

// Phone takes a registration that the box has accepted: how many phones the user has here now.
func (c *Collector) Phone(user string, phones int, at time.Time) {
	c.take(event{At: at, Phone: &arrival{user, phones}})
}

// Call takes a call that has ended.
func (c *Collector) Call(r record.Call) {
	c.take(event{At: r.End, Call: &r})
}

func (c *Collector) take(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open != nil {
		c.open.add(e)
		c.rouse()
		return
	}
	for len(c.early) > 0 && (e.At.Sub(c.early[0].At) > earlyFor || len(c.early) >= earlyMost) {
		c.early = c.early[1:]
	}
	c.early = append(c.early, e)
}

func (c *Collector) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Status is how it goes.
type Status struct {
	Open  string // the incident that runs; "" for none
	Made  uint64 // reports since the start
	Due   int    // incidents whose report is not safe yet
	Fault string // why not
}

// Status is a copy.
func (c *Collector) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Made: c.made, Due: len(c.over), Fault: c.fault}
	if c.open != nil {
		s.Open = c.open.id
	}
	return s
}

// Pauses between failed tries to keep a report.
const (
	firstPause = time.Second
	mostPause  = 5 * time.Minute
)

// Run writes journals and reports until ctx ends; what waits then is still written.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	pause, again := firstPause, time.Time{}
	for {
		now := time.Now()
		c.settled(now)
		c.journal(now)
		if !now.Before(again) {
			if err := c.reports(ctx, now); err != nil && ctx.Err() == nil {
				c.log.Error("an outage's report is not kept yet", "err", err, "again", pause.String())
				again, pause = now.Add(pause), min(2*pause, mostPause)
			} else {
				pause = firstPause
			}
		}
		select {
		case <-c.wake:
		case <-tick.C:
		case <-ctx.Done():
			c.journal(time.Now().Add(time.Hour)) // to the card, whenever that was last done
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, i := range append(slices.Clone(c.over), c.open) {
				if i != nil {
					i.close()
				}
			}
			return nil
		}
	}
}

// settled ends an incident from before a restart when no outage has shown itself since.
func (c *Collector) settled(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settle.IsZero() || now.Before(c.settle) || c.open == nil {
		return
	}
	at := c.settle.Add(-c.o.Settle)
	c.settle = time.Time{}
	c.open.add(event{At: at, Close: true})
	c.finish()
}

// journal brings all journals up to date. A card that fails costs what a restart would lose.
func (c *Collector) journal(now time.Time) {
	c.mu.Lock()
	list := slices.Clone(c.over)
	if c.open != nil {
		list = append(list, c.open)
	}
	events := make([][]event, len(list))
	for n, i := range list {
		events[n] = i.events // only appended to
	}
	c.mu.Unlock()
	for n, i := range list {
		if err := i.write(c.o.Dir, events[n], now); err != nil {
			c.note(err)
		}
	}
}

// note keeps the first fault of a row of them, and logs it once.
func (c *Collector) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if text != "" && c.fault == "" {
		c.log.Error("reports cannot be kept on the card", "err", err)
	}
	c.fault = text
}

// reports makes the reports of what is over, oldest first.
func (c *Collector) reports(ctx context.Context, now time.Time) error {
	for {
		c.mu.Lock()
		if len(c.over) == 0 {
			c.mu.Unlock()
			return nil
		}
		i := c.over[0]
		events, lost := i.events, i.lost
		c.mu.Unlock()
		known, err := c.o.Emergencies()
		if err != nil {
			c.log.Error("the report may lack calls for help", "err", err)
		}
		r := build(events, background{i.id, c.o.Box, c.o.Version, c.o.Site(), known, now, lost})
		if err := c.keep(ctx, r); err != nil {
			c.note(err)
			return err
		}
		c.note(nil)
		i.close()
		if err := c.store.discard(i.id + journalSuffix); err != nil {
			return err
		}
		c.mu.Lock()
		c.over = c.over[1:]
		c.made++
		c.mu.Unlock()
		c.log.Info("report", "incident", r.ID, "kind", r.Kind, "phones", r.Phones.Came, "expected", r.Phones.Expected, "calls", r.Calls.Total,
			"missed", r.Calls.Missed, "emergencies", len(r.Emergencies))
	}
}

// keep puts a report on the card and into the outbox. Done twice, it has the effect of once: the file has one name, and
// what is sent one key.
func (c *Collector) keep(ctx context.Context, r *Report) error {
	if err := c.store.save(r); err != nil {
		return err
	}
	if c.o.Outbox == nil {
		return nil
	}
	payload, err := r.payload(outbox.MaxPayload)
	if err != nil {
		return err
	}
	if _, err := c.o.Outbox.Append(ctx, Kind, payload); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// List is the reports on the card, the oldest first.
func (c *Collector) List() ([]Summary, error) { return c.store.list() }

// Get is a report of the card; "" for the last one.
func (c *Collector) Get(id string) (*Report, error) { return c.store.get(id) }
